# SPDX-License-Identifier: Apache-2.0
"""One connection to a KMIP server: mutual TLS, an end to every wait, and no answer but its own.

Only pykmip's messages are used (KMIP 1.3, 1.4 and 2.0; TTLV encoding, section 9 of each), not its
client: that one does not look at the server's name, takes what it is not told from files in home
folders, can log what it carries in hexadecimal, and takes any answer for the one it waits for.

Here every operation bears a random number (Unique Batch Item ID), which its answer has to repeat:
an answer that came late is never taken for another's. A connection on which anything went wrong is
used no more.
"""
import contextlib
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kmip.core.enums import (
    BatchErrorContinuationOption,
    CredentialType,
    KMIPVersion,
    Operation,
    ResultReason,
    ResultStatus,
)
from kmip.core.factories.credentials import CredentialFactory
from kmip.core.messages import contents, messages
from kmip.core.utils import BytearrayStream

from km.plugins.secret_store import kmip_failures
from km.plugins.secret_store.kmip_failures import Broken

DEFAULT_PORT = 5696
VERSIONS = {'1.3': KMIPVersion.KMIP_1_3, '1.4': KMIPVersion.KMIP_1_4, '2.0': KMIPVersion.KMIP_2_0}

_HEADER = struct.Struct('!3sBI')  # the tag, its type and its length (KMIP 1.4, section 9.1.1)
_RESPONSE_MESSAGE = b'\x42\x00\x7b'
_MAX_ANSWER_BYTES = 2**20
_NUMBER_BYTES = 8
_VERDICT_SECONDS = 0.2
# After ten seconds of silence the kernel asks whether the other side is still there, three times.
_KEEP_ALIVE = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
               (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
               (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3))


class Deadline:
    """A moment that no wait goes beyond."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds until then.

        :raises TimeoutError: it is past.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Answer(NamedTuple):
    """What the server says to one operation: its payload, or the reason why there is none."""

    payload: Any
    reason: ResultReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How to speak to a server.

    :param version: of the protocol.
    :param username: told with every request; None if the certificate says who we are.
    """

    version: KMIPVersion
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def header(self, operations: int) -> messages.RequestHeader:
        """What a request of so many operations begins with: they are independent, and answered in
        their order."""
        authentication = None
        if self.username is not None:
            authentication = contents.Authentication([CredentialFactory().create_credential(
                CredentialType.USERNAME_AND_PASSWORD,
                {'Username': self.username, 'Password': self.password or ''})])
        number = self.version.value
        return messages.RequestHeader(
            protocol_version=contents.ProtocolVersion(int(number), round(number * 10) % 10),
            authentication=authentication,
            batch_error_cont_option=contents.BatchErrorContinuationOption(
                BatchErrorContinuationOption.CONTINUE),
            batch_order_option=contents.BatchOrderOption(True),
            batch_count=contents.BatchCount(operations))


class Connection:
    """A connection, made when the object is; at most one thread at a time may use it."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, *, speech: Speech,
                 deadline: Deadline, connect_seconds: float):
        """Connect, and shake hands.

        :param address: host name or IP address, which the server's certificate must have, and port.
        :param connect_seconds: the most that each of the two may take.
        :raises Broken: it cannot be.
        """
        self.address, self._speech = address, speech
        self._socket = _connected(address, context, deadline, connect_seconds)
        #: Whether an answer came over it already.
        self.used = False
        self._since = time.monotonic()

    def is_fresh(self, idle_seconds: float) -> bool:
        """Whether it was used within so many seconds, and the server has not hung up since."""
        if time.monotonic() - self._since > idle_seconds:
            return False
        return not _says_something(self._socket, 0)

    def ask(self, operations: Sequence[tuple[Operation, Any]], deadline: Deadline) -> list[Answer]:
        """The answers to operations, each of them with its payload, in their order.

        :raises Broken: there are none, and this connection must be closed.
        """
        numbers = [os.urandom(_NUMBER_BYTES) for _ in operations]
        request = self._encoded(operations, numbers)
        try:
            self._socket.settimeout(deadline.left())
            self._socket.sendall(request)
            answer = self._received(deadline)
        except OSError as error:
            raise kmip_failures.broken_in_a_call(error) from None
        self.used, self._since = True, time.monotonic()
        return self._decoded(answer, numbers)

    def close(self) -> None:
        """Let go of the socket. Nothing is sent: another process may have it too, after a fork."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _encoded(self, operations: Sequence[tuple[Operation, Any]], numbers: list[bytes]) -> bytes:
        request = messages.RequestMessage(
            request_header=self._speech.header(len(operations)),
            batch_items=[messages.RequestBatchItem(
                operation=contents.Operation(operation), request_payload=payload,
                unique_batch_item_id=contents.UniqueBatchItemID(number))
                for (operation, payload), number in zip(operations, numbers, strict=True)])
        stream = BytearrayStream()
        request.write(stream, self._speech.version)
        return stream.buffer

    def _received(self, deadline: Deadline) -> bytes:
        header = self._bytes(_HEADER.size, deadline)
        tag, _type, length = _HEADER.unpack(header)
        if tag != _RESPONSE_MESSAGE or length > _MAX_ANSWER_BYTES:
            raise Broken(kmip_failures.NO_KMIP)
        return header + self._bytes(length, deadline)

    def _bytes(self, count: int, deadline: Deadline) -> bytes:
        received = bytearray()
        while len(received) < count:
            self._socket.settimeout(deadline.left())
            some = self._socket.recv(count - len(received))
            if not some:
                raise Broken(kmip_failures.HUNG_UP, lost=True)
            received += some
        return bytes(received)

    def _decoded(self, answer: bytes, numbers: list[bytes]) -> list[Answer]:
        response = messages.ResponseMessage()
        try:
            response.read(BytearrayStream(answer), self._speech.version)
            items = list(response.batch_items)
        except Exception:  # pykmip's decoder raises whatever it stumbles over, with the bytes in it
            raise Broken(kmip_failures.NO_KMIP) from None
        if len(items) == 1 and items[0].unique_batch_item_id is None and items[0].result_reason:
            raise Broken(f'{kmip_failures.REFUSED} ({items[0].result_reason.value.name}).')
        told = [item.unique_batch_item_id.value for item in items if item.unique_batch_item_id]
        if told != numbers:
            raise Broken(kmip_failures.ANOTHERS_ANSWER)
        return [_answer(item) for item in items]


def _answer(item: messages.ResponseBatchItem) -> Answer:
    if item.result_status.value is ResultStatus.SUCCESS:
        return Answer(item.response_payload, None)
    return Answer(None, item.result_reason.value if item.result_reason else ResultReason.GENERAL_FAILURE)


def _connected(address: tuple[str, int], context: ssl.SSLContext, deadline: Deadline,
               seconds: float) -> ssl.SSLSocket:
    try:
        plain = socket.create_connection(address, min(seconds, deadline.left()))
    except OSError as error:
        raise kmip_failures.broken_while_connecting(error) from None
    try:
        for option in _KEEP_ALIVE:
            plain.setsockopt(*option)
        plain.settimeout(min(seconds, deadline.left()))
        connected = context.wrap_socket(plain, server_hostname=address[0])
        _hear_refusal(connected)
        return connected
    except OSError as error:
        plain.close()  # if it was not wrapped
        raise kmip_failures.broken_in_the_handshake(error) from None


def _hear_refusal(connected: ssl.SSLSocket) -> None:
    """With TLS 1.3 a server looks at our certificate only after the handshake is over for us.

    Most then send tickets to resume the session with, or say that they refuse it: what was sent to
    them by then would have the kernel forget what they said.
    """
    if connected.version() == 'TLSv1.3' and _says_something(connected, _VERDICT_SECONDS):
        connected.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            connected.recv(1)
            raise ConnectionResetError


def _says_something(connected: ssl.SSLSocket, seconds: float) -> bool:
    """Whether the server sends something, or hangs up, within so many seconds."""
    said = select.poll()
    said.register(connected, select.POLLIN)
    return bool(said.poll(seconds * 1000))
