# SPDX-License-Identifier: Apache-2.0
"""The options of an EJBCA, and what they come to."""
import hashlib
import hmac
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cryptography import x509
from oslo_config import cfg

from km.interfaces import Misconfigured, NotSupported

SINGLE, TWO_STEP = 'single', 'two_step'
_MOST_FILE_BYTES = 2 ** 20

OPTIONS = (
    cfg.StrOpt('url', required=True,
               help='The REST interface of EJBCA, such as '
                    'https://ca.example.org:8443/ejbca/ejbca-rest-api.'),
    cfg.StrOpt('ca_file', required=True,
               help='PEM file with the authorities that the TLS certificates of EJBCA and of token_url '
                    'may be by.'),
    cfg.StrOpt('client_certificate_file',
               help='PEM file with the certificate by which EJBCA knows km, and its chain. A role of '
                    'EJBCA must have it as a member.'),
    cfg.StrOpt('client_key_file',
               help='PEM file with its private key, without a passphrase, readable by nobody but the '
                    'user km runs as and its group.'),
    cfg.StrOpt('token_url',
               help='Instead of, or beside, a certificate: where OAuth 2.0 gives km a bearer token for '
                    'its client credentials (RFC 6749, 4.4).'),
    cfg.StrOpt('client_id', help='By which name token_url knows km.'),
    cfg.StrOpt('client_secret_file',
               help='File with the secret that goes with it, readable by nobody but the user km runs as '
                    'and its group.'),
    cfg.StrOpt('token_scope', help='The scope to ask for, for a token_url that wants one.'),
    cfg.StrOpt('certificate_authority', required=True, help='The name of the CA, as EJBCA has it.'),
    cfg.StrOpt('certificate_profile', required=True,
               help='The certificate profile, as EJBCA has it, of orders that name no profile.'),
    cfg.StrOpt('end_entity_profile', required=True,
               help='The end entity profile, as EJBCA has it, of orders that name no profile.'),
    cfg.DictOpt('profiles', default={},
                help='What orders may name as their profile: NAME:CERTIFICATE PROFILE/END ENTITY '
                     'PROFILE, and so on after commas.'),
    cfg.StrOpt('enrollment_mode', default=SINGLE, choices=[
        (SINGLE, 'a call makes the end entity and the certificate; no approvals'),
        (TWO_STEP, 'km makes the end entity, people may have to approve it, and km has the certificate '
                   'made then; this takes EJBCA Enterprise')],
               help='How certificates are ordered.'),
    cfg.StrOpt('username_prefix', default='km-',
               help='End entities are named so, and then by the id of the order. Two km that use one '
                    'EJBCA need not differ in it. Do not change it while orders are pending.'),
    cfg.IntOpt('retries_of_400', default=3, min=0,
               help='EJBCA answers 400 to bad orders, and also while the key of the CA is offline. km '
                    'asks so many times more before it calls the order bad.'),
    cfg.FloatOpt('http_timeout_seconds', default=10, min=0.1,
                 help='How long a call to EJBCA may take.'),
    cfg.FloatOpt('poll_seconds', default=60, min=0.1,
                 help='How long km waits before it asks again whether something was approved, or what '
                      'was answered with 400.'),
    cfg.StrOpt('anchors_file', required=True,
               help='PEM file with the root certificates that the chain of every certificate must end '
                    'in. What does not verify is not given to anybody.'),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What EJBCA calls a profile."""

    certificate: str
    end_entity: str


class EjbcaSettings:
    """The options of one EJBCA, looked at."""

    def __init__(self, name: str, settings: Any):
        """Look at all of them, and at the files.

        :raises Misconfigured: one cannot work; the sentence names it.
        """
        self.name, self._settings = name, settings
        self.url = self._https('url').rstrip('/')
        self.by_certificate = self._both('client_certificate_file', 'client_key_file')
        self.by_token = self._both('token_url', 'client_id', 'client_secret_file')
        if not self.by_certificate and not self.by_token:
            self._wrong('client_certificate_file', 'set this and client_key_file, or token_url, '
                                                   'client_id and client_secret_file')
        self.token_url = self._https('token_url') if self.by_token else None
        self.usual_profile = Profile(settings.certificate_profile, settings.end_entity_profile)
        self._profiles = {known: self._profile(known, names)
                          for known, names in settings.profiles.items()}
        self._require_tls_files()
        self.anchors = self._anchors()
        secret = self._private('client_key_file' if self.by_certificate else 'client_secret_file')
        self._password_key = hashlib.sha256(secret).digest()

    def __getattr__(self, option: str) -> Any:
        return getattr(self._settings, option)

    def profile(self, known: str | None) -> Profile:
        """The profile that an order names, or the usual one.

        :raises NotSupported: there is none of that name.
        """
        if known is None:
            return self.usual_profile
        try:
            return self._profiles[known]
        except KeyError:
            raise NotSupported('The certificate authority has no such profile.') from None

    def password(self, username: str) -> str:
        """The password of an end entity: the same each time, and for nobody to find out who has not the
        key, or the secret, by which EJBCA knows km. So km need not keep it anywhere."""
        return hmac.digest(self._password_key, b'km end entity ' + username.encode(), 'sha256').hex()

    def client_secret(self) -> str:
        """The secret of the OAuth 2.0 client, as the file has it now.

        :raises Misconfigured: it cannot be read.
        """
        try:
            return self._private('client_secret_file').decode().strip()
        except UnicodeDecodeError:
            self._wrong('client_secret_file', 'it does not hold text')

    def _https(self, option: str) -> str:
        url = getattr(self._settings, option)
        try:
            parts = urlsplit(url)
            wrong = (parts.scheme != 'https' or not parts.hostname or '@' in parts.netloc
                     or parts.query or parts.fragment or parts.port == 0)
        except ValueError:
            wrong = True
        if wrong:
            self._wrong(option, 'it must be a URL that begins with https://, with no user, query or '
                                'fragment in it')
        return url

    def _both(self, *options: str) -> bool:
        """Whether these are set, which go together."""
        missing = [option for option in options if not getattr(self._settings, option)]
        if missing and len(missing) < len(options):
            self._wrong(missing[0], f'it goes together with {" and ".join(options)}; set all or none')
        return not missing

    def _profile(self, known: str, names: str) -> Profile:
        certificate, slash, end_entity = (part.strip() for part in names.partition('/'))
        if not (known and certificate and slash and end_entity) or '/' in end_entity:
            self._wrong('profiles', f"'{known}' needs a certificate profile, a slash, and an end entity "
                                    'profile')
        return Profile(certificate, end_entity)

    def _require_tls_files(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._loaded('ca_file', context.load_verify_locations)
        if self.by_certificate:
            self._private('client_key_file')
            # Looked at by itself too, for an error to name the right one of two files.
            self._loaded('client_certificate_file',
                         ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations)
            self._loaded('client_key_file', lambda path: context.load_cert_chain(
                self._settings.client_certificate_file, path, password=lambda: b''))

    def _loaded(self, option: str, load: Callable[[str], None]) -> None:
        path = getattr(self._settings, option)
        try:
            load(path)
        except ssl.SSLError as error:
            problem = 'is not the key of client_certificate_file' if (
                error.reason == 'KEY_VALUES_MISMATCH') else 'does not hold what it should, as PEM'
            self._wrong(option, f'{path} {problem}')
        except OSError as error:
            self._wrong(option, f'{path} cannot be read ({error.strerror})')

    def _anchors(self) -> tuple[x509.Certificate, ...]:
        content = self._read('anchors_file')
        try:
            return tuple(x509.load_pem_x509_certificates(content))
        except ValueError:
            self._wrong('anchors_file', f'{self._settings.anchors_file} holds no certificates, as PEM')

    def _private(self, option: str) -> bytes:
        """What is in a file that not everybody may read."""
        path = getattr(self._settings, option)
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            self._wrong(option, f'{path} cannot be read ({error.strerror})')
        if mode & 0o007:
            self._wrong(option, f'{path} may be read or written by everybody; set its mode to 0400')
        content = self._read(option)
        if not content.strip():
            self._wrong(option, f'{path} is empty')
        return content

    def _read(self, option: str) -> bytes:
        path = getattr(self._settings, option)
        try:
            with open(path, 'rb') as file:
                return file.read(_MOST_FILE_BYTES)
        except OSError as error:
            self._wrong(option, f'{path} cannot be read ({error.strerror})')

    def _wrong(self, option: str, problem: str) -> NoReturn:
        raise Misconfigured(f'[certificate_authority:{self.name}] {option}: {problem}.') from None
