# SPDX-License-Identifier: Apache-2.0
"""The stand-in on a port: TLS, who asks, and what goes wrong on the way when a test wants it."""
import contextlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.ejbca import routes, tokens
from tests.ejbca.refusals import Refusal

#: Common names of client certificates that have a role.
ROLES = {'km', 'other-admin'}
_HELD_SECONDS = 20


class Server(ThreadingHTTPServer):
    """Serves a world over TLS. ``want_only``: who shows no certificate is let in, and hears 403."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port, world, folder):
        super().__init__(('127.0.0.1', port), Handler)
        self.world, self._folder = world, folder
        self.released, self.held = threading.Event(), threading.Event()
        self.want_only = True

    def context(self):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self._folder / 'server.pem', self._folder / 'server.key')
        made.load_verify_locations(self._folder / 'ca.pem')
        made.verify_mode = ssl.CERT_OPTIONAL if self.want_only else ssl.CERT_REQUIRED
        return made

    def handle_error(self, request, client_address):
        """Clients that hang up, or fail the handshake, are what tests are about."""


class Handler(BaseHTTPRequestHandler):
    """A connection."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def setup(self):
        self.request.settimeout(30)
        # Here, and not where connections are taken: one that says nothing shall not keep others out.
        self.request = self.server.context().wrap_socket(self.request, server_side=True)
        super().setup()

    def do_GET(self):
        content = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path == tokens.PATH and self.command == 'POST':
            self._send(*tokens.give(self.server.world, self.headers, content))
            return
        request = routes.Request.of(self.command, self.path, content)
        fault = self._count(request)
        if fault:
            self._go_wrong(fault, request)
        else:
            self._send(*self._answer(request))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *arguments):
        """Nothing: calls are told on the other port."""

    def _answer(self, request):
        try:
            status, body = routes.answer(self.server.world, request, authorise=self._authorise)
        except Unauthenticated:
            status, body = 401, {'error_code': 401, 'error_message': 'The token is not valid.'}
        self._call['status'] = status
        return status, body

    def _authorise(self):
        kind, _, token = self.headers.get('Authorization', '').partition(' ')
        if kind == 'Bearer':
            client = tokens.who(self.server.world, token)
            if client is None:
                raise Unauthenticated
            known = client in tokens.ROLES
        else:
            certificate = self.connection.getpeercert()
            if not certificate:
                raise Refusal(403, 'There is no client certificate and no token.')
            known = ROLES & {value for rdn in certificate['subject'] for name, value in rdn
                             if name == 'commonName'}
        if not known:
            raise Refusal(403, 'The administrator has no role that allows this.')

    def _count(self, request):
        """Write a call down, and give the fault that is meant for it."""
        world = self.server.world
        with world.lock:
            self._call = {'method': request.method, 'path': request.path,
                          'query': request.query, 'status': None}
            world.calls.append(self._call)
            for fault in world.faults:
                if fault.get('call') in (None, len(world.calls)) and (
                        fault.get('path', '') in request.path):
                    world.faults.remove(fault)
                    return fault
        return None

    def _go_wrong(self, fault, request):
        what = fault['what']
        if what == 'drop_before':
            self._drop()
        elif what == 'drop_after':
            self._answer(request)
            self._drop()
        elif what == 'hold_before':
            self._hold()
            self._drop()
        elif what == 'hold_after':
            answer = self._answer(request)
            self._hold()
            self._send(*answer)
        elif what == 'slow':
            answer = self._answer(request)
            time.sleep(fault['seconds'])
            self._send(*answer)
        elif what == 'status_after':
            self._answer(request)
            self._send_wrong('status', fault)
        elif what == 'drip':
            self._drip(fault['seconds'])
        else:
            self._send_wrong(what, fault)

    def _send_wrong(self, what, fault):
        match what:
            case 'status':
                self._send(fault['status'], {
                    'error_code': fault['status'], 'error_message': fault.get('message', 'It failed.')})
            case 'page':
                self._send(fault['status'], fault.get('text', '<html>Not EJBCA.</html>').encode())
            case 'body':
                self._send(fault['status'], fault['body'])
            case 'huge':
                self._send(200, b'x' * fault['bytes'])
            case 'redirect':
                self._send(302, b'', Location=fault['to'])

    def _hold(self):
        self.server.held.set()
        self.server.released.wait(_HELD_SECONDS)

    def _drip(self, seconds):
        """Send a byte now and then, for so long."""
        self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n')
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.wfile.write(b' ')
            time.sleep(0.05)
        self._drop()

    def _drop(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def _send(self, status, body, **headers):
        is_file = isinstance(body, bytes)
        content = body if is_file else b'' if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/octet-stream' if is_file else 'application/json')
        if is_file and status == 200:
            self.send_header('Content-Disposition', 'attachment; filename="certificates.pem"')
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)


class Unauthenticated(Exception):
    """A token that is not valid."""
