# SPDX-License-Identifier: Apache-2.0
"""The client: sends requests over kept-alive connections, in a process of its own."""
import base64
import http.client
import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

HOST = '127.0.0.1'
_THREADS = 2
# Each thread takes turns with these, so that both worker processes get their share.
_CONNECTIONS = 4


@dataclass(frozen=True)
class Request:
    """A request to send again and again, and the status it must have.

    :param paths: taken in turn.
    :param posts: whether each body is a new key of 32 bytes; else each is ``content``.
    """

    port: int
    paths: tuple[str, ...]
    method: str = 'GET'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    posts: bool = False
    content: bytes | None = None

    def body(self) -> bytes | None:
        """What to send: the JSON of a new 256-bit key, or ``content``, if anything."""
        return new_key() if self.posts else self.content


def new_key() -> bytes:
    """The body of a POST as a service that encrypts volumes sends it."""
    return json.dumps({
        'name': 'benchmark', 'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc',
        'secret_type': 'symmetric', 'payload': base64.b64encode(os.urandom(32)).decode(),
        'payload_content_type': 'application/octet-stream',
        'payload_content_encoding': 'base64'}).encode()


class Client:
    """A process that sends what it is told; use it in a ``with`` block."""

    def __enter__(self):
        # Not forked: the process that starts servers has threads and sockets of its own.
        self._pool = multiprocessing.get_context('spawn').Pool(1)
        return self

    def __exit__(self, *_):
        self._pool.terminate()
        self._pool.join()

    def send(self, request: Request, count: int) -> list[bytes]:
        """Send a request ``count`` times; the last bodies that came back, one a thread.

        :raises RuntimeError: an answer did not have the status it must have.
        """
        return self._pool.apply(_send, (request, count))


def _send(request: Request, count: int) -> list[bytes]:
    answers: list[bytes] = []
    failures: list[Exception] = []

    def work(first: int) -> None:
        try:
            answers.append(_send_in_turns(request, range(first, count, _THREADS)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(_THREADS)]
    _each(threads, threading.Thread.start)
    _each(threads, threading.Thread.join)
    if failures:
        raise RuntimeError(str(failures[0]))
    return answers


def _send_in_turns(request: Request, numbers: range) -> bytes:
    connections = [http.client.HTTPConnection(HOST, request.port, timeout=60)
                   for _ in range(_CONNECTIONS)]
    answer = b''
    for number in numbers:
        connection = connections[number // _THREADS % _CONNECTIONS]
        answer = _ask(connection, request, request.paths[number % len(request.paths)])
    _each(connections, http.client.HTTPConnection.close)
    return answer


def _ask(connection: http.client.HTTPConnection, request: Request, path: str) -> bytes:
    connection.request(request.method, path, request.body(), request.headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != request.status:
        raise RuntimeError(f'{request.method} {path}: {response.status} {answer[:300]!r}')
    return answer


def _each(things: list, act: Callable) -> None:
    for thing in things:
        act(thing)
