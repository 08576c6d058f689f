# SPDX-License-Identifier: Apache-2.0
"""The commands as ``openstack`` runs them, but for its start; what they ask goes over real HTTP."""
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from keystoneauth1.http_basic import HTTPBasicAuth
from keystoneauth1.session import Session

from km.client import plugin


class StandIn(ThreadingHTTPServer):
    """An HTTP server that says what a test told it to, and remembers what it was asked.

    :ivar answers: (method, path with query) -> (status, JSON or text)
    :ivar asked: (method, path with query, JSON body or None), in order
    """

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Answering)
        self.url = f'http://127.0.0.1:{self.server_address[1]}'
        self.answers, self.asked, self.headers = {}, [], []


class Answering(BaseHTTPRequestHandler):

    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
        self.server.headers.append(dict(self.headers))
        status, told = self.server.answers.get((self.command, self.path), (500, 'not foreseen'))
        sent = (told if isinstance(told, str) else json.dumps(told)).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'text/plain' if isinstance(told, str) else 'application/json')
        self.send_header('Content-Length', str(0 if status == 204 else len(sent)))
        self.end_headers()
        if status != 204:
            self.wfile.write(sent)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server():
    """A stand-in for a key manager's API, whose requests a test checks."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def openstack(server):
    """Runs a command, given by its class and arguments; gives what it prints."""
    clients = SimpleNamespace(
        session=Session(HTTPBasicAuth(f'{server.url}/v1', 'ann', 'a password')),
        interface='public', region_name=None)
    clients.km = plugin.make_client(clients)

    def run(command, *arguments):
        app = SimpleNamespace(client_manager=clients, stdout=io.StringIO())
        made = command(app, None)
        made.run(made.get_parser('openstack').parse_args(arguments))
        return app.stdout.getvalue()

    return run
