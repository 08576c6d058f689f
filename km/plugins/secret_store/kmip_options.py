# SPDX-License-Identifier: Apache-2.0
"""The options of a KMIP store, and what they come to: addresses, a TLS context, a way to speak."""
import os
import ssl
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from oslo_config import cfg

from km.interfaces import Misconfigured
from km.plugins.secret_store.kmip_connection import DEFAULT_PORT, VERSIONS, Speech

OPTIONS = (
    cfg.ListOpt('hosts', required=True,
                help='The KMIP servers, each as host or host:port (5696 if it is left out). They must '
                     'have the same objects: when one does not take a connection, the next does.'),
    cfg.StrOpt('ca_file', required=True,
               help='PEM file with the authorities that the certificates of the servers may be by. '
                    'The certificate must also be one for the host as it is written in hosts.'),
    cfg.StrOpt('certificate_file', required=True,
               help='PEM file with the certificate by which the servers know km, and its chain. '
                    'Servers keep apart what belongs to different certificates; all hosts of one km '
                    'need the same name in it. Renewed files are used for every new connection.'),
    cfg.StrOpt('key_file', required=True,
               help='PEM file with its private key, without a passphrase, readable by nobody but the '
                    'user km runs as and its group.'),
    cfg.StrOpt('username', help='Told to servers that want more than a certificate.'),
    cfg.StrOpt('password', secret=True, help='Told with the username.'),
    cfg.StrOpt('object_group', default='km',
               help='The Object Group of all objects of this store. Two of them, or two km, that use '
                    'the same servers must differ in it: "km-manage reconcile" takes what is in the '
                    'group and of no secret for left over.'),
    cfg.StrOpt('protocol_version', default='1.4', choices=list(VERSIONS),
               help='The version of KMIP to speak.'),
    cfg.IntOpt('connections', default=4, min=1,
               help='Connections that each process of km may have open at once.'),
    cfg.FloatOpt('connect_timeout_seconds', default=3, min=0.1,
                 help='How long connecting to one server may take, and the TLS handshake again.'),
    cfg.FloatOpt('timeout_seconds', default=10, min=0.1,
                 help='How long a call may take in all, waiting for a connection included.'),
    cfg.FloatOpt('idle_seconds', default=20, min=0,
                 help='Connections that were not used for so long are made anew; less than after '
                      'which the servers, or something on the way to them, hang up.'),
    cfg.IntOpt('failures_before_pause', default=3, min=1,
               help='After so many failed calls in a row the servers are left alone for a second, '
                    'then two, then four: meanwhile calls fail at once.'),
    cfg.FloatOpt('longest_pause_seconds', default=30, min=0.1,
                 help='The most that such a pause becomes.'),
    cfg.IntOpt('max_payload_bytes', default=65536, min=1, max=262144,
               help='Longer payloads are refused. The time that pykmip takes for one grows with the '
                    'square of its length.'),
)


class KmipSettings:
    """The options of one store, looked at."""

    def __init__(self, name: str, settings: Any):
        """Look at those that can be wrong by themselves.

        :raises Misconfigured: one is; the sentence names it.
        """
        self._name, self._settings = name, settings
        self.addresses = [self._address(host) for host in settings.hosts]
        if (settings.username is None) is not (settings.password is None):
            self._wrong('password', 'it goes together with username; set both or neither')
        for option in ('object_group', 'username', 'password'):
            if not (getattr(settings, option) or '').isascii():
                self._wrong(option, 'it may have only characters of ASCII, for pykmip sends no others')
        self.speech = Speech(version=VERSIONS[settings.protocol_version], username=settings.username,
                             password=settings.password)

    def context(self) -> ssl.SSLContext:
        """TLS from 1.2 on with the files as they are now: both sides show a certificate, and the
        server's is for the host that was asked for.

        :raises Misconfigured: a file cannot be read, or does not hold what it should.
        """
        self._require_private(self._settings.key_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded('ca_file', context.load_verify_locations)
        # Looked at by itself too, for an error to name the right one of two files.
        self._loaded('certificate_file',
                     ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations)
        self._loaded('key_file', lambda path: context.load_cert_chain(
            self._settings.certificate_file, path, password=lambda: b''))
        return context

    def _loaded(self, option: str, load: Callable[[str], None]) -> None:
        path = getattr(self._settings, option)
        try:
            load(path)
        except ssl.SSLError as error:
            problem = 'is not the key of certificate_file' if (
                error.reason == 'KEY_VALUES_MISMATCH') else 'does not hold what it should, as PEM'
            self._wrong(option, f'{path} {problem}')
        except OSError as error:
            self._wrong(option, f'{path} cannot be read ({error.strerror})')

    def _require_private(self, path: str) -> None:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            self._wrong('key_file', f'{path} cannot be read ({error.strerror})')
        if mode & 0o007:
            self._wrong('key_file', f'{path} may be read or written by everybody; set its mode to 0400')

    def _address(self, host: str) -> tuple[str, int]:
        try:
            parts = urlsplit(f'//{host}')
            name, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            name = None
        if not name or parts.netloc != host or '@' in host:
            self._wrong('hosts', f"'{host}' is no host or host:port")
        return name, port

    def _wrong(self, option: str, problem: str) -> NoReturn:
        raise Misconfigured(f'[secret_store:{self._name}] {option}: {problem}.') from None
