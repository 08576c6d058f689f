# SPDX-License-Identifier: Apache-2.0
"""Fifty clients who ask a km at the same moment, each over a connection it had before."""
import http.client
import json as jsonlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.functional.servers import HOST

CLIENTS = 50
_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What km answered.

    :ivar headers: by their names in lower case.
    """

    status: int
    headers: dict
    body: bytes

    def json(self):
        return jsonlib.loads(self.body)


class Crowd:
    """Fifty clients of a km that believes everybody."""

    def __init__(self, km):
        self._port = int(km.url.rpartition(':')[2])
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._own = threading.local()

    def close(self):
        self._threads.shutdown()

    def at_once(self, asked, headers=None):
        """The answers to fifty requests at once, in their order.

        :param asked: for each its method, path, project and body: None, bytes that are text, or an
            object to send as JSON.
        :param headers: more of them, by name, for all.
        """
        assert len(asked) == CLIENTS
        all_ready = threading.Barrier(CLIENTS, timeout=_SECONDS)
        return list(self._threads.map(lambda one: self._ask(all_ready, headers or {}, *one), asked))

    def _ask(self, all_ready, more, method, path, project, body):
        headers = {'X-Project-Id': project, 'X-User-Id': project, **more}
        if body is not None:
            text = isinstance(body, bytes)
            headers['Content-Type'] = 'text/plain' if text else 'application/json'
            body = body if text else jsonlib.dumps(body).encode()
        connection = self._connection()
        all_ready.wait()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()},
                      response.read())

    def _connection(self):
        """This thread's connection, which has just been used."""
        if not hasattr(self._own, 'connection'):
            self._own.connection = http.client.HTTPConnection(HOST, self._port, timeout=_SECONDS)
        connection = self._own.connection
        try:
            connection.request('GET', '/healthcheck')
            connection.getresponse().read()
        except (http.client.HTTPException, OSError):  # km closes those that nobody used for long
            connection.close()
            connection.connect()
        return connection
