# SPDX-License-Identifier: Apache-2.0
"""The options of an ACME authority, and what they come to: a TLS context, an external account's key."""
import os
import ssl
import stat
from collections.abc import Mapping
from typing import Any, NoReturn

import josepy
from oslo_config import cfg

from km.interfaces import Misconfigured
from km.plugins.certificate_authority.acme import transport

_MOST_KEY_BYTES = 4096
_FEWEST_SECRET_BYTES = 16

OPTIONS = (
    cfg.StrOpt('directory_url', required=True,
               help='URL of the directory of the authority, https only. Another URL is another '
                    'authority: km registers a new account there.'),
    cfg.StrOpt('ca_file',
               help='PEM file with the authorities that the HTTPS certificate of the ACME server may be '
                    'by. Without it those are trusted that the operating system trusts.'),
    cfg.ListOpt('contact', default=[],
                help='Mail addresses, or other URLs, that the authority is told when km registers.'),
    cfg.BoolOpt('terms_of_service_agreed', default=False,
                help='Whether you agree to the terms of service of the authority. Without that km '
                     'does not register with an authority that has such.'),
    cfg.StrOpt('eab_key_id',
               help='Key identifier of the external account that the authority gave you, if it wants '
                    "km's account to be bound to one."),
    cfg.StrOpt('eab_key_file',
               help='File with the HMAC key of that external account, in base64url as the authority '
                    'told it. It must be readable by nobody but root, the user km runs as, and its '
                    'group.'),
    cfg.StrOpt('preferred_chain',
               help='Common name of the root whose chain is wanted, for authorities that offer several. '
                    'It is the issuer of the topmost certificate. If no chain has it, the usual one is '
                    'taken.'),
    cfg.StrOpt('key_store', required=True,
               help='The secret store, by its name, that makes the account key and signs with it. It '
                    'must be one that can sign; the key never leaves it.'),
    cfg.StrOpt('connection', required=True, secret=True,
               help='SQLAlchemy URL of the database for accounts and answered challenges. All workers '
                    'must have the same.'),
    cfg.IntOpt('max_connections', default=5, min=1,
               help='Connections to that database that one process may open.'),
    cfg.IntOpt('database_timeout_seconds', default=10, min=1,
               help='How long to wait for a connection to that database and for each answer.'),
    cfg.ListOpt('responders', default=[],
                help='The challenge responders, by their names, that may prove names. For each name the '
                     'first is asked whose kind the authority offers and that takes the name. '
                     'Wildcards need one for dns-01. Without it all may that are enabled.'),
    cfg.FloatOpt('http_timeout_seconds', default=10, min=0.1,
                 help='How long each request to the authority may take in all. A call of km makes '
                      'several; let it be well below call_timeout_seconds.'),
    cfg.FloatOpt('poll_min_seconds', default=1, min=0,
                 help='How long km waits before it asks again for an order, if the authority does not '
                      'say; then twice as long each time.'),
    cfg.FloatOpt('poll_max_seconds', default=60, min=0.1,
                 help='The most that this becomes.'),
)


class AcmeSettings:
    """The options of one instance, looked at."""

    def __init__(self, name: str, settings: Any, *, key_stores: Mapping[str, Any],
                 responders: Mapping[str, Any]):
        """Look at all of them.

        :raises Misconfigured: one is wrong; the sentence names it.
        """
        self._name, self._settings = name, settings
        self.directory_url: str = settings.directory_url
        if not transport.is_url(self.directory_url):
            self._wrong('directory_url', 'it must be a URL of https')
        if settings.key_store not in key_stores:
            self._wrong('key_store', f"'{settings.key_store}' is no enabled secret store that can sign")
        for one in settings.responders:
            if one not in responders:
                self._wrong('responders', f"'{one}' is no enabled challenge responder")
        if settings.poll_min_seconds > settings.poll_max_seconds:
            self._wrong('poll_min_seconds', 'it must not be more than poll_max_seconds')
        #: The names of the challenge responders, in the order in which they are asked.
        self.responders: list[str] = settings.responders or list(responders)
        self.context = self._context()
        self.contact = [one if ':' in one else f'mailto:{one}' for one in settings.contact]
        self.terms_of_service_agreed: bool = settings.terms_of_service_agreed
        self.eab_key_id: str | None = settings.eab_key_id
        self.eab_key = self._eab_key()

    def __repr__(self) -> str:
        return f'<AcmeSettings {self._name}>'

    @property
    def section(self) -> str:
        """The section of the instance, for sentences."""
        return f'[certificate_authority:{self._name}]'

    def _context(self) -> ssl.SSLContext:
        path = self._settings.ca_file
        try:
            return transport.tls_context(path)
        except ssl.SSLError:
            self._wrong('ca_file', f'{path} does not hold certificates, as PEM')
        except OSError as error:
            self._wrong('ca_file', f'{path} cannot be read ({error.strerror})')

    def _eab_key(self) -> str | None:
        """The HMAC key, base64url."""
        path = self._settings.eab_key_file
        if (path is None) is not (self.eab_key_id is None):
            self._wrong('eab_key_file', 'it goes together with eab_key_id; set both or neither')
        if path is None:
            return None
        try:
            text = self._private(path).decode('ascii').strip().rstrip('=')
            if len(josepy.b64decode(text)) < _FEWEST_SECRET_BYTES:
                raise ValueError
        except (ValueError, TypeError):
            self._wrong('eab_key_file', f'{path} does not hold an HMAC key of at least '
                        f'{_FEWEST_SECRET_BYTES} bytes, as base64url')
        return text

    def _private(self, path: str) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, 'rb') as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
                    self._wrong('eab_key_file', f'{path} must be a regular file that belongs to root or '
                                'to the user km runs as')
                if status.st_mode & 0o037:
                    self._wrong('eab_key_file', f'{path} may be read or written by others; set its mode '
                                'to 0400')
                return file.read(_MOST_KEY_BYTES)
        except OSError as error:
            self._wrong('eab_key_file', f'{path} cannot be read ({error.strerror})')

    def _wrong(self, option: str, problem: str) -> NoReturn:
        raise Misconfigured(f'{self.section} {option}: {problem}.') from None
