# SPDX-License-Identifier: Apache-2.0
"""What a TLS client asks for (RFC 8446, 4.1.2), looked at before anything is answered.

Python's ``ssl`` tells a server the name, but not which protocols were offered, and completes a handshake
with who offered none of its own; and it writes a trace for each name that is not ASCII.
"""
import socket
import struct
from dataclasses import dataclass

from km.plugins.challenge_responder.listening import limit

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0
_PROTOCOLS = 16
_HEADER_BYTES = 5
_MAX_RECORD_BYTES = _HEADER_BYTES + 2 ** 14
_VERSION_AND_RANDOM_BYTES = 2 + 32


@dataclass(frozen=True, slots=True)
class ClientHello:
    """Parts of one.

    :param server_name: RFC 6066, 3; empty if there is none.
    :param protocols: RFC 7301, in order.
    """

    server_name: bytes
    protocols: tuple[bytes, ...]


def peek(connection: socket.socket, deadline: float) -> ClientHello:
    """The one that a connection begins with; its bytes stay to be read.

    :raises OSError: none came in time.
    :raises ValueError: what came is none, or one in several records.
    """
    seen = b''
    while len(seen) < _HEADER_BYTES or len(seen) < _length(seen):
        # Woken only when there is more than was seen already.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(seen) + 1)
        limit(connection, deadline)
        before, seen = seen, connection.recv(_MAX_RECORD_BYTES, socket.MSG_PEEK)
        if len(seen) <= len(before):
            raise ConnectionError('hung up')
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return parse(seen[_HEADER_BYTES:_length(seen)])


def parse(record: bytes) -> ClientHello:
    """The one in a handshake record, without the header of the record.

    :raises ValueError: there is none.
    """
    message = _Bytes(record)
    if message.number(1) != _CLIENT_HELLO:
        raise ValueError('not a ClientHello')
    hello = _Bytes(message.sized(3))
    hello.take(_VERSION_AND_RANDOM_BYTES)
    for size in (1, 2, 1):  # session, cipher suites, compression
        hello.sized(size)
    extensions, found = _Bytes(hello.sized(2)), {}
    while extensions.left:
        kind = extensions.number(2)
        found[kind] = extensions.sized(2)
    return ClientHello(_name(found.get(_SERVER_NAME)), tuple(_protocols(found.get(_PROTOCOLS))))


def _length(seen: bytes) -> int:
    """The length of a record with its header."""
    kind, _version, length = struct.unpack_from('>BHH', seen)
    if kind != _HANDSHAKE or length + _HEADER_BYTES > _MAX_RECORD_BYTES:
        raise ValueError('not a handshake')
    return int(length) + _HEADER_BYTES


def _name(extension: bytes | None) -> bytes:
    if extension is None:
        return b''
    names = _Bytes(_Bytes(extension).sized(2))
    return names.sized(2) if names.number(1) == _HOST_NAME else b''


def _protocols(extension: bytes | None) -> list[bytes]:
    if extension is None:
        return []
    offered, found = _Bytes(_Bytes(extension).sized(2)), []
    while offered.left:
        found.append(offered.sized(1))
    return found


class _Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, left: bytes):
        self.left = left

    def take(self, count: int) -> bytes:
        if len(self.left) < count:
            raise ValueError('cut off')
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), 'big')

    def sized(self, size: int) -> bytes:
        """What follows a length of so many bytes."""
        return self.take(self.number(size))
