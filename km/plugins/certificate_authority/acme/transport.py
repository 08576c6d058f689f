# SPDX-License-Identifier: Apache-2.0
"""HTTPS to an authority, with an end to every wait and to every answer.

No redirection is followed, and no proxy is used.
"""
import contextlib
import email.utils
import http.client
import json
import math
import re
import ssl
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import urlsplit

from km.interfaces import Unavailable

_MOST_BYTES = 2 ** 20
#: Two of them have room in what km keeps of an order.
_URL = re.compile('https://[!-~]{1,1000}')
_LONGEST_WAIT_SECONDS = 86400.0
_JOSE = 'application/jose+json'
#: How a connection ends that was open for a while, and that the other side gave up.
_HUNG_UP = (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Answer(NamedTuple):
    """An HTTP answer, whatever its status is."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def document(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after_seconds(self) -> float | None:
        """What Retry-After (RFC 9110, 10.2.3) says, a day at the most; None if it says nothing."""
        value = (self.headers.get('Retry-After') or '').strip()
        if value.isdecimal() and value.isascii():
            return min(float(value[:9]), _LONGEST_WAIT_SECONDS)
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT_SECONDS)


class _Socket(ssl.SSLSocket):
    """A socket that gives up at a moment, however slowly the other side goes on."""

    deadline = math.inf

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().recv_into(*arguments, **named)

    def send(self, *arguments: Any, **named: Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().send(*arguments, **named)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS from 1.2 on; the server shows a certificate for its name, by who is in ``ca_file``, or by whom
    the system trusts if that is None.

    :raises OSError: the file cannot be read, or holds no certificates (``ssl.SSLError``).
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Socket
    return context


class Transport:
    """Connections to an authority, for one call of the plugin; of one thread."""

    def __init__(self, context: ssl.SSLContext, seconds: float):
        """Connect to nobody yet.

        :param seconds: how long each request may take in all.
        """
        self._context, self._seconds = context, seconds
        self._open: dict[tuple[str, int], http.client.HTTPSConnection] = {}

    def request(self, method: str, url: str, *, body: bytes | None = None,
                accept: str | None = None) -> Answer:
        """The answer to a request.

        :raises Unavailable: there is none in time, or none that km takes.
        """
        place, path = _parts(url)
        headers = {'User-Agent': 'km'}
        if body is not None:
            headers['Content-Type'] = _JOSE
        if accept:
            headers['Accept'] = accept
        deadline = time.monotonic() + self._seconds
        try:
            kept = self._open.get(place)
            if kept:
                with contextlib.suppress(*_HUNG_UP):
                    return self._asked(kept, deadline, method, path, body, headers)
                kept.close()
            return self._asked(self._connected(place, deadline), deadline, method, path, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(place)
            raise Unavailable(
                f'The authority at {place[0]} does not answer: {_reason(error)}.') from None

    def close(self) -> None:
        """Close all connections."""
        for place in list(self._open):
            self._forget(place)

    def _connected(self, place: tuple[str, int], deadline: float) -> http.client.HTTPSConnection:
        made = self._open[place] = http.client.HTTPSConnection(
            *place, context=self._context, timeout=_left(deadline))
        made.connect()
        return made

    def _asked(self, connection: http.client.HTTPSConnection, deadline: float, method: str, path: str,
               body: bytes | None, headers: dict[str, str]) -> Answer:
        connection.sock.deadline = deadline  # type: ignore[union-attr]
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            content = response.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise http.client.HTTPException(f'it sends more than {_MOST_BYTES} bytes')
        if response.will_close:
            connection.close()
            self._open.pop((connection.host, connection.port), None)
        return Answer(response.status, response.headers, content)

    def _forget(self, place: tuple[str, int]) -> None:
        connection = self._open.pop(place, None)
        if connection:
            with contextlib.suppress(OSError):
                connection.close()


def is_url(text: Any) -> TypeGuard[str]:
    """Whether km takes something for the address of a resource."""
    try:
        _parts(text)
    except Unavailable:
        return False
    return True


def _parts(url: str) -> tuple[tuple[str, int], str]:
    """Host and port, and the path with its query."""
    try:
        if _URL.fullmatch(url):
            parts = urlsplit(url)
            if parts.hostname and '@' not in parts.netloc:
                return (parts.hostname, parts.port or http.client.HTTPS_PORT), (
                    parts.path or '/') + (f'?{parts.query}' if parts.query else '')
    except (ValueError, TypeError):
        pass  # a port or an address that is none, or no text at all
    raise Unavailable('The authority names a resource by what is no URL of https.')


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: Exception) -> str:
    """Why there is no answer, without anything that was sent or received."""
    if isinstance(error, TimeoutError):
        return 'it takes too long'
    if isinstance(error, ssl.SSLCertVerificationError):
        return f'its certificate is not trusted ({error.verify_message})'
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if type(error) is http.client.HTTPException else type(error).__name__
