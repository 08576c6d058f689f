# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server that says what it is told to: for answers of authorities that no real one gives when a
test wants them. What real ones give is tested with them, in tests/functional/certificates."""

import base64
import contextlib
import itertools
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.functional.certificates import Authority
from tests.functional.servers import HOST

URN = 'urn:ietf:params:acme:error:'


class FakeServer:
    """An authority that registers everybody, and takes every nonce but those it shall refuse.

    `script` maps a path to its answers, each `(status, body, headers)`: one after the other, the last of
    them for ever. A body that can be called writes what it likes, and the connection ends. `asked` are
    the requests: the method, the path, and of a signed one its protected header and its payload,
    decoded, without looking at the signature.
    """

    def __init__(self, folder):
        Authority(folder).server()
        self.ca_file, self.refused_nonces = str(folder / 'ca.pem'), 0
        self._nonces = itertools.count(1)
        self._server = ThreadingHTTPServer((HOST, 0), type('Handler', (_Handler,), {'fake': self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / 'server.pem', folder / 'server.key')
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f'https://{HOST}:{self._server.server_port}'
        self.directory = {name: f'{self.url}/{name}' for name in (
            'newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange')}
        self.script = {
            '/dir': [(200, self.directory, {})], '/newNonce': [(200, b'', {})],
            '/newAccount': [(201, {'status': 'valid'}, {'Location': f'{self.url}/account'})],
            '/account': [(200, {'status': 'valid'}, {})]}
        self.asked = []

    def says(self, path, *answers):
        """Have a path answered so, in this order; a document alone is one with status 200."""
        self.script[path] = [
            answer if isinstance(answer, tuple) else (200, answer, {}) for answer in answers]

    def refuses(self, kind, status=400, **more):
        """Give the answer that is a problem of this type."""
        return status, {'type': f'{URN}{kind}', 'detail': f'It is {kind}.', **more}, {}

    def posted(self, path):
        """Give the payloads that were posted to a path."""
        return [payload for method, asked, _, payload in self.asked if (method, asked) == ('POST', path)]

    def answer(self, method, path, body):
        """Give the status, the body and the headers of the answer to a request."""
        protected = payload = None
        if body:
            message = json.loads(body)
            protected, content = (_decoded(message[part]) for part in ('protected', 'payload'))
            protected, payload = json.loads(protected), json.loads(content) if content else None
        self.asked.append((method, path, protected, payload))
        if body and self.refused_nonces:
            self.refused_nonces -= 1
            return self.refuses('badNonce')
        answers = self.script.get(path) or [self.refuses('malformed', 404)]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def nonce(self):
        return base64.urlsafe_b64encode(f'nonce-{next(self._nonces):06}'.encode()).decode()

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout, disable_nagle_algorithm, wbufsize = 5, True, -1
    fake = None

    def _handle(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        status, content, headers = self.fake.answer(self.command, self.path, body)
        if callable(content):
            self.close_connection = True
            return content(self.wfile)
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {'Replay-Nonce': self.fake.nonce(), **headers}.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            with contextlib.suppress(OSError):  # who asked may have had enough
                self.wfile.write(content)
        return None

    do_GET = do_HEAD = do_POST = _handle  # noqa: N815

    def log_message(self, *_):
        """Say nothing."""


def _decoded(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
