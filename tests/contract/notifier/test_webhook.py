# SPDX-License-Identifier: Apache-2.0
"""The contract of notifiers, held against webhooks, with a server that takes them."""
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from km.plugins.notifier.webhook import WebhookNotifier
from km.testing import open_plugin
from km.testing.notifier import NotifierContract


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.taken.append(json.loads(body)['id'])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.taken = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestWebhook(NotifierContract):
    @pytest.fixture
    def notifier(self, folder, receiver):
        secret = folder / 'secret'
        secret.write_text(f'whsec_{base64.b64encode(bytes(32)).decode()}\n')
        secret.chmod(0o400)
        notifier = open_plugin(WebhookNotifier, secret_file=str(secret),
                               url=f'http://127.0.0.1:{receiver.server_port}/events')
        yield notifier
        notifier.close()

    @pytest.fixture
    def heard(self, receiver):
        return lambda: list(receiver.taken)
