# SPDX-License-Identifier: Apache-2.0
"""One HTTP call, and no more than one: it is not made again, follows nothing, and ends in time."""
import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3

from km.plugins.certificate_authority.ejbca import failures

_CONNECTIONS = 8
_READ_AT_ONCE = 65536
#: So many times as long as km waited it leaves alone who was too slow.
_PAUSE = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    :param content: the body as it was sent.
    """

    status: int
    content: bytes


class _Connection(urllib3.connection.HTTPSConnection):
    """One by which an answer begins in time, however slowly its headers drip."""

    def getresponse(self) -> Any:
        over = threading.Event()
        alarm = threading.Timer(float(self.timeout or 0), _cut, (self.sock, over))
        alarm.daemon = True
        alarm.start()
        try:
            return super().getresponse()
        finally:
            alarm.cancel()
            if over.is_set():  # what was cut may look like a whole answer
                raise TimeoutError


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {'https': _Pool}


def _cut(sock: socket.socket, over: threading.Event) -> None:
    over.set()
    # The plain method: that of a TLS socket pulls the session away under who reads from it.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def session(ca_file: str, certificate: tuple[str, str] | None) -> requests.Session:
    """A session that trusts this file alone, and takes nothing from the environment: no proxy, no
    password file. Files that are renewed are used for the next connection.

    :param certificate: the files of a client's certificate and its key.
    """
    made = requests.Session()
    made.trust_env = False
    made.verify, made.cert = ca_file, certificate
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    made.mount('https://', _Adapter(pool_maxsize=_CONNECTIONS, max_retries=0))
    made.headers.update({'Accept': 'application/json', 'Accept-Encoding': 'identity'})
    return made


def send(session: requests.Session, request: requests.Request, *, name: str, seconds: float,
         most_bytes: int) -> Reply:
    """Send a request.

    :param name: the operator's of the plugin, for the log.
    :param seconds: how long it may take.
    :param most_bytes: the longest body that is read.
    :raises NoAnswer: nothing came, or not in time, or too much. What was asked may have been done.
    """
    until = time.monotonic() + seconds
    try:
        prepared = session.prepare_request(request)
        # Not by the session: where it is sent it looks, and reads all that comes with it.
        with session.get_adapter(str(prepared.url)).send(
                prepared, timeout=seconds, stream=True, verify=session.verify, cert=session.cert,
                proxies={}) as response:
            return Reply(response.status_code, _body(response.raw, until, most_bytes))
    except _TooLong:
        why = failures.TOO_LONG
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        why = _why(error)
    # Who was too slow may be at it still. If it were asked again at once it would do the same twice.
    raise failures.no_answer(name, why, _PAUSE * seconds if why == failures.TOO_SLOW else None)


class _TooLong(Exception):
    """More came than is read."""


def _body(raw: Any, until: float, most_bytes: int) -> bytes:
    body = bytearray()
    # Not read(), which waits for so many bytes however slowly they drip.
    while some := raw.read1(_READ_AT_ONCE, decode_content=False):
        body += some
        if len(body) > most_bytes:
            raise _TooLong
        if time.monotonic() > until:
            raise requests.Timeout
    return bytes(body)


def _why(error: Exception) -> str:
    if in_tls := failures.in_tls(error):
        return in_tls
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return failures.TOO_SLOW
    if 'NewConnectionError' in repr(error) or isinstance(error, FileNotFoundError):
        return failures.NOTHING_LISTENS
    return failures.HUNG_UP
