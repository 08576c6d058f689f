# SPDX-License-Identifier: Apache-2.0
"""A second port, without TLS, by which tests look into the stand-in and have it do wrong."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.serialization import Encoding

from tests.ejbca.enrolling import serial


class Control(ThreadingHTTPServer):
    """Listens on a port of its own."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port, server):
        super().__init__(('127.0.0.1', port), _Handler)
        self.stand_in, self.world = server, server.world

    def do(self, path, told):
        """What ``path`` does, and what it answers."""
        _, what, *rest = path.split('/')
        with self.world.lock:
            return getattr(self, f'_{what}')(told, *rest)

    def _reset(self, told):
        self.stand_in.released.set()
        self.stand_in.held.clear()
        self.stand_in.want_only = True
        self.world.reset(told)

    def _settings(self, told):
        self.stand_in.want_only = told.pop('want_only', self.stand_in.want_only)
        self.world.set(told)

    def _faults(self, told):
        self.stand_in.released.clear()
        self.stand_in.held.clear()
        self.world.faults.append(told)

    def _release(self, _told):
        self.stand_in.released.set()

    def _held(self, _told):
        return self.stand_in.held.is_set()

    def _calls(self, told):
        if told == 'forget':
            self.world.calls.clear()
        return self.world.calls

    def _tokens(self, told):
        if told == 'forget':
            self.world.valid_tokens.clear()
        return self.world.tokens_given

    def _approvals(self, _told, number=None, status=None):
        if number is not None:
            self.world.decide(int(number), status)
        return {approval.number: approval.status for approval in self.world.approvals.values()}

    def _entities(self, _told):
        return {entity.username: entity.status for entity in self.world.entities.values()}

    def _certificates(self, _told):
        return [{'username': kept.username, 'serial': serial(kept.certificate), 'reason': kept.reason,
                 'authority': kept.authority.name,
                 'pem': kept.certificate.public_bytes(Encoding.PEM).decode()}
                for kept in self.world.certificates]

    def _chain(self, _told, name):
        return [one.public_bytes(Encoding.PEM).decode()
                for one in self.world.authorities[name.replace('+', ' ')].chain]


class _Handler(BaseHTTPRequestHandler):

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        content = json.dumps(self.server.do(self.path, told)).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass
