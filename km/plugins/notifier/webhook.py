# SPDX-License-Identifier: Apache-2.0
"""Events as signed HTTP requests: a webhook, by Standard Webhooks 1.0.0.

A receiver verifies the signature with any library for Standard Webhooks. The ``webhook-id`` is the
event's, so it is the same for one that comes twice.
"""
import contextlib
import http.client
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

from oslo_config import cfg

from km.interfaces import Event, Misconfigured, Notifier, Rejected, Unavailable
from km.plugins.notifier.document import document
from km.plugins.notifier.signing import read_secrets, signed

#: What refuses a request now, and perhaps not later (RFC 9110, RFC 8470, RFC 6585).
_LATER = {408, 425, 429}


class WebhookNotifier(Notifier):
    """Tells an HTTP server, which has an event when it answers with 2xx."""

    options = (
        cfg.StrOpt('url', required=True, secret=True,
                   help='Where events are posted to, https://... It never gets into a log, for it may '
                        'hold a token.'),
        cfg.StrOpt('secret_file', required=True,
                   help='File with what requests are signed with: "whsec_" and the base64 of 24 to 64 '
                        'bytes, as Standard Webhooks has it. With several, a line each, requests are '
                        'signed with all, so that they can be replaced without a gap. Its mode: 0400.'),
        cfg.StrOpt('ca_file',
                   help='Certificates, PEM, of those that may vouch for the server. Without it those '
                        'may that the system trusts.'),
        cfg.BoolOpt('allow_http', default=False,
                    help='Whether the URL may be http://... of another machine too. Whoever is on the '
                         'way reads along then.'),
        cfg.FloatOpt('timeout_seconds', default=10.0, min=0.1,
                     help='How long the server may take to answer. Keep it below call_timeout_seconds.'),
    )

    def open(self) -> None:
        self._url = self._parsed()
        try:
            self._secrets = read_secrets(self.settings.secret_file)
        except Misconfigured as error:
            raise self._mistake('secret_file', error.sentence) from None
        self._tls = None
        if self._url.scheme == 'https':
            try:
                self._tls = ssl.create_default_context(cafile=self.settings.ca_file)
            except OSError as error:
                raise self._mistake('ca_file', f'it cannot be read ({type(error).__name__})') from None

    def check(self) -> str:
        with self._connected():
            return f'{self._url.hostname} answers'

    def notify(self, event: Event) -> None:
        body = json.dumps(document(event)).encode()
        headers = signed(self._secrets, message_id=event.id, timestamp=int(time.time()), body=body)
        target = (self._url.path or '/') + (f'?{self._url.query}' if self._url.query else '')
        with self._connected() as connection:
            connection.request('POST', target, body, {
                'Content-Type': 'application/json', 'User-Agent': 'km', 'Connection': 'close',
                **headers})
            answer = connection.getresponse()
        _judge(answer.status, answer.headers.get('Retry-After'))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        """A connection, which is cut at its deadline: a server may not end what it says.

        :raises Unavailable: there is none, or it was cut.
        """
        host, seconds = self._url.hostname or '', self.settings.timeout_seconds
        connection = http.client.HTTPSConnection(
            host, self._url.port, timeout=seconds, context=self._tls) if self._tls else (
                http.client.HTTPConnection(host, self._url.port, timeout=seconds))
        try:
            connection.connect()
            with _cut_after(connection.sock, seconds):
                yield connection
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f'The server is not who it should be: {error.verify_message}.') from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f'The server does not answer ({type(error).__name__}).') from None
        finally:
            connection.close()

    def _parsed(self) -> SplitResult:
        """The URL.

        :raises Misconfigured: it is none to post to.
        """
        try:
            url = urlsplit(self.settings.url)
            (url.hostname or '').encode('idna')  # as it will be when it is looked up
            usable = url.hostname and url.port != 0 and re.fullmatch('[!-~]+', self.settings.url)
        except ValueError:
            usable = False
        if not usable or url.scheme not in ('https', 'http'):
            raise self._mistake('url', 'it is none of HTTP')
        if url.username is not None or url.fragment:
            raise self._mistake('url', 'it may have neither a user nor a fragment')
        if url.scheme == 'http' and not (
                self.settings.allow_http or _is_loopback(url.hostname or '')):
            raise self._mistake('url', 'it must begin with https://, or allow_http must be set')
        return url

    def _mistake(self, option: str, what: str) -> Misconfigured:
        return Misconfigured(f'[notifier:{self.name}] {option}: {what}.')


@contextlib.contextmanager
def _cut_after(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Have a connection end at its deadline.

    :raises TimeoutError: it did: an answer that was cut may look like a whole one.
    """
    over = threading.Event()
    alarm = threading.Timer(seconds, _cut, (sock, over))
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()
    if over.is_set():
        raise TimeoutError


def _cut(sock: socket.socket, over: threading.Event) -> None:
    over.set()
    # The plain method: that of a TLS socket pulls the session away under who reads from it.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def _judge(status: int, retry_after: str | None) -> None:
    """Whether a server that answered with ``status`` has the event.

    :raises Rejected: it never will.
    :raises Unavailable: it may later.
    """
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in _LATER:
        raise Rejected(f'The server refuses it with {status}.')
    raise Unavailable(f'The server answers with {status}.', _seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    """How long to wait by a Retry-After header (RFC 9110, 10.2.3), seconds or a date."""
    if retry_after is None:
        return None
    if re.fullmatch('[0-9]{1,9}', retry_after):
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else None
