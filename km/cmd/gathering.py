# SPDX-License-Identifier: Apache-2.0
"""A worker for gunicorn in which clients that send slowly hold no thread.

gunicorn's own ``gthread`` gives a thread to a connection when its first byte comes; eight clients that
send half a request line, and no more, stop a process of eight threads. Here a request is left in the
kernel until it is there as a whole, head and body, and only looked at meanwhile.

This stands on how gunicorn 27 hands connections to its threads; ``setup.cfg`` lets in no other, and
``tests/functional/test_slow_clients.py`` says whether a newer one will do.
"""
import contextlib
import re
import socket
import time
from functools import partial
from selectors import EVENT_READ

from gunicorn.workers.gthread import TConn, ThreadWorker

#: A request of more bytes is not awaited: a head is refused, a body is left to a thread, which by
#: default refuses it too ([oslo_middleware] max_request_body_size).
MOST_BYTES = 32768
#: How long a request may be on its way.
MOST_SECONDS = 30

_HEAD_ENDS = b'\r\n\r\n'
_LENGTH = re.compile(rb'\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n', re.IGNORECASE)
_CHUNKED = re.compile(rb'\r\ntransfer-encoding:', re.IGNORECASE)
_EXPECTS = re.compile(rb'\r\nexpect:', re.IGNORECASE)
_TOO_LARGE = (b'HTTP/1.1 431 Request Header Fields Too Large\r\n'
              b'Connection: close\r\nContent-Length: 0\r\n\r\n')


class GatheringWorker(ThreadWorker):
    """``gthread``, but a thread gets a connection once a whole request has come."""

    def enqueue_req(self, conn: TConn) -> None:
        """Called by gunicorn, in its main thread, for a connection that may have something to read."""
        conn.sock.setblocking(False)
        # With the end of one request a thread may have read the beginning of the next.
        ahead = conn.parser.unreader.buf.getvalue() if conn.initialized else b''
        come = _peeked(conn.sock)
        if self._settled(conn, ahead, come):
            return
        conn.timeout = time.monotonic() + MOST_SECONDS
        self.pending_conns.append(conn)  # gunicorn closes those whose time is over
        self._wait(conn, ahead, come or b'')

    def _settled(self, conn: TConn, ahead: bytes, come: bytes | None) -> bool:
        """Whether a connection has gone to a thread, or away.

        :param come: what the kernel has of it; None if nothing yet.
        """
        if come is None and not ahead:
            return False
        request = ahead + (come or b'')
        if len(request) >= MOST_BYTES and _HEAD_ENDS not in request:
            self._refuse(conn)
        elif come == b'' or len(request) >= MOST_BYTES or whole(request):
            conn.data_ready = True
            super().enqueue_req(conn)
        else:
            return False
        return True

    def _wait(self, conn: TConn, ahead: bytes, come: bytes) -> None:
        """Have the kernel say when there is more than has come, or the client has gone."""
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(come) + 1)
        self.poller.register(conn.sock, EVENT_READ, partial(self._more, conn, ahead, len(come)))

    def _more(self, conn: TConn, ahead: bytes, before: int, _sock: socket.socket) -> None:
        self.poller.unregister(conn.sock)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        come = _peeked(conn.sock)
        if come is not None and len(come) == before:
            ahead, come = ahead + come, b''  # the client has sent all it will
        if self._settled(conn, ahead, come):
            self.pending_conns.remove(conn)
        else:
            self._wait(conn, ahead, come or b'')

    def _refuse(self, conn: TConn) -> None:
        with contextlib.suppress(OSError):
            conn.sock.send(_TOO_LARGE)
        self.nr_conns -= 1
        conn.close()


def whole(request: bytes) -> bool:
    """Whether a request has come to its end, or so far that a thread can say what is wrong with it."""
    head, ends, body = request.partition(_HEAD_ENDS)
    if not ends:
        return False
    head += b'\r\n'
    if _EXPECTS.search(head):
        return True  # the client sends the body when it is told to
    if _CHUNKED.search(head):
        return _chunks_end(body)
    length = _LENGTH.search(head)
    return length is None or not len(body) < int(length[1]) <= MOST_BYTES


def _chunks_end(body: bytes) -> bool:
    """Whether the last chunk (RFC 9112, section 7.1) has come, or one that is none."""
    while True:
        line, ends, rest = body.partition(b'\r\n')
        if not ends:
            return False
        try:
            size = int(line.partition(b';')[0], 16)
        except ValueError:
            return True
        if size <= 0:
            return size < 0 or _HEAD_ENDS in ends + rest
        if len(rest) < size + 2:
            return False
        body = rest[size + 2:]


def _peeked(sock: socket.socket) -> bytes | None:
    """What has come and is still to be read; None if nothing yet, empty if nothing will."""
    try:
        return sock.recv(MOST_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b''
