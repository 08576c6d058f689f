# SPDX-License-Identifier: Apache-2.0
"""The second plugin: a certificate authority whose key is in a file encrypted with age.

It is the smallest that is honest. What it issued it keeps in a database of SQLite, for an order has one
certificate however often km asks. Its certificates are for names in domains that the operator has, end
within days, and are therefore not revoked.
"""
import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyrage
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from km.interfaces import (
    Authority,
    CertificateAuthority,
    Issued,
    IssueRequest,
    Misconfigured,
    NotSupported,
    Rejected,
    RevokeRequest,
    Unavailable,
)
from oslo_config import cfg

from km_age import identities

_NAME = 'age'
_BACKDATED = timedelta(minutes=1)  # the clocks of clients are not ours
_MOST_BYTES = 64 * 1024
_TABLE = 'CREATE TABLE IF NOT EXISTS issued (order_id TEXT PRIMARY KEY, certificate BLOB NOT NULL)'


class AgeAuthority(CertificateAuthority):
    """Issues certificates for the hosts of a few domains, for a few days."""

    options = (
        cfg.StrOpt('identity_file', required=True,
                   help='A file made by age-keygen, of mode 0400, whose identities open key_file.'),
        cfg.StrOpt('key_file', required=True,
                   help='The private key that signs, P-256 or the like, as PEM that is encrypted with '
                        'age.'),
        cfg.StrOpt('certificate_file', required=True,
                   help='The certificate of that key and those above it, its issuer first, as PEM.'),
        cfg.StrOpt('database', required=True,
                   help='The file that remembers what was issued, in a folder of km alone.'),
        cfg.ListOpt('domains', required=True,
                    help='It issues for these names and all below them.'),
        cfg.IntOpt('days', default=7, min=1, max=90, help='When a certificate ends.'),
    )

    def open(self) -> None:
        self._chain = self._read_chain()
        self._key = self._read_key()
        if self._key.public_key() != self._chain[0].public_key():
            raise self._misconfigured('certificate_file', 'its first one is not that of the key.')
        with self._database() as database:
            database.execute(_TABLE)

    def check(self) -> str:
        said = os.urandom(32)
        try:
            self._key.public_key().verify(self._key.sign(said, ec.ECDSA(hashes.SHA256())), said,
                                          ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Unavailable('The key does not sign.') from None
        with self._database() as database:
            number, = database.execute('SELECT count(*) FROM issued').fetchone()
        left = self._chain[0].not_valid_after_utc - datetime.now(UTC)
        return f'{number} certificates issued, {left.days} days left'

    def authorities(self) -> Sequence[Authority]:
        own, *above = map(_der, self._chain)
        return [Authority(name=_NAME, description=self._chain[0].subject.rfc4514_string(),
                          certificate=own, chain=tuple(above))]

    def issue(self, request: IssueRequest) -> Issued:
        with self._database() as database:
            found = _kept(database, request.order_id)
        if found is None:
            made = self._signed(request)
            with self._database() as database:
                # Should another process have been quicker, its certificate is the one of the order.
                database.execute('INSERT OR IGNORE INTO issued VALUES (?, ?)', (request.order_id, made))
                found = _kept(database, request.order_id)
        return Issued(certificate=found or b'', chain=tuple(map(_der, self._chain)))

    def revoke(self, request: RevokeRequest) -> None:
        raise NotSupported('This authority revokes nothing: its certificates end within days.')

    def _signed(self, request: IssueRequest) -> bytes:
        if request.authority != _NAME:
            raise Rejected('There is no such authority.')
        if request.profile is not None or request.details:
            raise NotSupported('This authority has no profiles, and takes no details.')
        csr, issuer = _loaded(request.csr), self._chain[0]
        now = datetime.now(UTC).replace(microsecond=0)
        ends = min(now + timedelta(days=self.settings.days), issuer.not_valid_after_utc,
                   *([request.not_after.replace(tzinfo=UTC)] if request.not_after else []))
        if ends <= now:
            raise Rejected('The certificate would have ended already.')
        # Of what was requested only the key and the names are taken. All else is for us to say.
        made = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(
            issuer.subject).public_key(csr.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(now - _BACKDATED).not_valid_after(ends)
        for extension, critical in (
                (x509.SubjectAlternativeName(self._names(csr)), True),
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                (x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), False),
                (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)):
            made = made.add_extension(extension, critical)
        return _der(made.sign(self._key, hashes.SHA256()))

    def _names(self, csr: x509.CertificateSigningRequest) -> list[x509.DNSName]:
        """The names of a request, all of which are ours."""
        try:
            asked = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            raise Rejected('The request has no subject alternative name.') from None
        domains = [domain.lower() for domain in self.settings.domains]
        for name in asked:
            if not isinstance(name, x509.DNSName) or not any(
                    f'.{name.value.lower()}'.endswith(f'.{domain}') for domain in domains):
                raise Rejected(f'This authority issues for hosts in {", ".join(domains)} alone.')
        return list(asked)

    def _read_chain(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(_content(self.settings.certificate_file))
        except (OSError, ValueError):
            raise self._misconfigured('certificate_file', 'it cannot be read as PEM.') from None

    def _read_key(self) -> Any:
        try:
            opening = identities.read(self.settings.identity_file)
        except identities.NoIdentities as error:
            raise self._misconfigured('identity_file', str(error)) from None
        try:
            sealed = _content(self.settings.key_file)
            key = load_pem_private_key(pyrage.decrypt(sealed, opening), None)
        except (OSError, ValueError, TypeError, pyrage.DecryptError):
            # Without the cause: it could have part of the key.
            raise self._misconfigured('key_file', 'it does not open, or holds no key.') from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise self._misconfigured('key_file', 'its key is not of the kind EC.')
        return key

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on the disk when the block ends."""
        try:
            with contextlib.closing(sqlite3.connect(self.settings.database, timeout=10)) as opened, (
                    opened):
                yield opened
        except sqlite3.Error as error:
            raise Unavailable(f'The database of the authority does not work: {error}.') from None

    def _misconfigured(self, option: str, sentence: str) -> Misconfigured:
        return Misconfigured(f'[certificate_authority:{self.name}] {option}: {sentence}')


def _kept(database: sqlite3.Connection, order_id: str) -> bytes | None:
    row = database.execute('SELECT certificate FROM issued WHERE order_id = ?', (order_id,)).fetchone()
    return row and row[0]


def _loaded(csr: bytes) -> x509.CertificateSigningRequest:
    try:
        return x509.load_der_x509_csr(csr)
    except ValueError:
        raise Rejected('The request is no PKCS#10.') from None


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _content(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read(_MOST_BYTES)
