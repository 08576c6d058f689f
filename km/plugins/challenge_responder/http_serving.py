# SPDX-License-Identifier: Apache-2.0
"""The little of HTTP/1.1 (RFC 9112) that http-01 needs: one request a connection, one kind of page."""
import contextlib
import re
import socket
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from km.plugins.challenge_responder.listening import limit

#: A token (RFC 8555, 8.3): base64url, and so the name of a file.
TOKEN = re.compile(r'[A-Za-z0-9_-]{1,255}')
PATH = '/.well-known/acme-challenge/'

#: A server takes the absolute form too (RFC 9112, 3.2.2); whose name is asked for makes no difference.
_REQUEST = re.compile(rb'([A-Z]{1,20}) (?:http://[^/ ]{1,255})?(/[!-~]{0,2000}|\*) HTTP/1\.[01]')
_MAX_REQUEST_BYTES = 8192
_MAX_IGNORED_BYTES = 65536
_PIECE = 4096


def serve(connection: socket.socket, deadline: float, find: Callable[[str], bytes | None]) -> None:
    """Answer one request.

    :param find: the content for a token; None if there is none.
    :raises OSError: the other side is gone, or too slow.
    """
    head = _head(connection, deadline)
    if head is None:
        return
    method, status, content = _answer(head, find)
    lines = [f'HTTP/1.1 {status.value} {status.phrase}', f'Date: {formatdate(usegmt=True)}',
             'Content-Type: application/octet-stream', f'Content-Length: {len(content)}',
             'Cache-Control: no-store', 'Connection: close']
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append('Allow: GET, HEAD')
    answer = '\r\n'.join([*lines, '', '']).encode('ascii')
    limit(connection, deadline)
    connection.sendall(answer if method == b'HEAD' else answer + content)
    _hang_up(connection, deadline)


def _head(connection: socket.socket, deadline: float) -> bytes | None:
    """The request up to its empty line, or the beginning of one that is too long; None if the other
    side hung up."""
    read = b''
    while b'\r\n\r\n' not in read and len(read) <= _MAX_REQUEST_BYTES:
        limit(connection, deadline)
        piece = connection.recv(_PIECE)
        if not piece:
            return None
        read += piece
    return read


def _answer(head: bytes, find: Callable[[str], bytes | None]) -> tuple[bytes, HTTPStatus, bytes]:
    if b'\r\n\r\n' not in head:
        return b'', HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b''
    line = _REQUEST.fullmatch(head.partition(b'\r\n')[0])
    if not line:
        return b'', HTTPStatus.BAD_REQUEST, b''
    method, path = line[1], line[2].decode('ascii')
    if method not in (b'GET', b'HEAD'):
        return method, HTTPStatus.METHOD_NOT_ALLOWED, b''
    token = path.removeprefix(PATH)
    content = find(token) if path.startswith(PATH) and TOKEN.fullmatch(token) else None
    return (method, HTTPStatus.NOT_FOUND, b'') if content is None else (method, HTTPStatus.OK, content)


def _hang_up(connection: socket.socket, deadline: float) -> None:
    """Close without cutting the answer off: what is still coming is read first, if it is little."""
    connection.shutdown(socket.SHUT_WR)
    ignored = 0
    with contextlib.suppress(OSError):
        while ignored < _MAX_IGNORED_BYTES:
            limit(connection, deadline)
            piece = connection.recv(_PIECE)
            if not piece:
                return
            ignored += len(piece)
