# SPDX-License-Identifier: Apache-2.0
"""A listener for strangers: few connections at once, and none for long."""
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable

from km.interfaces import KmError
from km.plugins.challenge_responder.complaints import address, misconfigured

LOG = logging.getLogger(__name__)

#: What one connection may take in all, from its acceptance on.
CONNECTION_SECONDS = 5.0
#: Connections at once; more are hung up on.
MAX_CONNECTIONS = 100

_BACKLOG = 128
_PAUSE_SECONDS = 0.1
_STOP_SECONDS = 5.0


Serve = Callable[[socket.socket, float], None]


def listening(name: str, where: str, serve: Serve, *,
              is_served: Callable[[], object]) -> 'Listener | None':
    """A listener that is open; None if another user's process listens there already, as km's own does
    while an administrator runs a command, and serves what this one would.

    :param name: the operator's name of the responder.
    :param where: address and port, as the option ``listen`` has them.
    :param serve: see ``Listener``.
    :param is_served: finds out whether somebody does; raises ``KmError`` if nobody does.
    :raises Misconfigured: it is no such address, or nobody can listen there.
    """
    try:
        listener = Listener(address(where), serve)
    except ValueError:
        raise misconfigured(name, 'listen', f"'{where}' is no address:port") from None
    try:
        listener.open()
    except OSError as error:
        try:
            is_served()
        except KmError:
            raise misconfigured(name, 'listen',
                                f'km cannot listen on {where} ({error.strerror})') from None
        return None
    return listener


class Listener:
    """Takes connections on an address, each in a thread of its own.

    Several processes of one user may listen on one address: the kernel shares the connections out.
    """

    def __init__(self, address: tuple[str, int], serve: Serve):
        """Remember them.

        :param serve: is given each connection, and by when (``time.monotonic``) it has to return; what
            it raises of ``OSError`` ends the connection. It need not close it.
        """
        self.address = address
        self._serve = serve
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._closing = threading.Event()

    def open(self) -> None:
        """Listen.

        :raises OSError: not on this address.
        """
        self._socket = _bound(self.address)
        self._thread = threading.Thread(target=self._accept, name='challenges', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections; those that there are end by their deadlines."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(_STOP_SECONDS)
        self._socket.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closing; or no more files may be open
                self._closing.wait(_PAUSE_SECONDS)
                continue
            if not self._free.acquire(blocking=False):
                connection.close()
                continue
            try:
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()
            except RuntimeError:  # no more threads may run
                connection.close()
                self._free.release()

    def _one(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                self._serve(connection, time.monotonic() + CONNECTION_SECONDS)
        finally:
            self._free.release()


def limit(connection: socket.socket, deadline: float) -> None:
    """Have whatever is done next with a connection end by a deadline.

    :raises TimeoutError: it is over.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def reachable(address: tuple[str, int]) -> tuple[str, int]:
    """Where a listener on an address is reached from this host."""
    host, port = address
    return {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port  # noqa: S104 - it is looked for


def _bound(address: tuple[str, int]) -> socket.socket:
    host, port = address
    family, kind, protocol, _, place = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != '::'))
        made.bind(place)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made
