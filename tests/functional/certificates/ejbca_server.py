# SPDX-License-Identifier: Apache-2.0
"""Run the stand-in for EJBCA (``tests/ejbca``), as a process of its own."""
import contextlib
import http.client
import json
import sys
import tempfile
import time
from pathlib import Path

from cryptography import x509

from tests.ejbca import tokens
from tests.ejbca.routes import PREFIX
from tests.functional.certificates import Authority
from tests.functional.servers import HOST, reserved_port, running, wait_until

_ROOT = Path(__file__).parents[3]
CA, ROOT_CA = 'km Sub CA', 'km Root CA'
_WAIT_SECONDS = 10


class EjbcaServer:
    """A stand-in that runs.

    Its ``home`` has ``ca.pem``, which vouches for it and for its clients; those clients' files, of whom
    ``km`` has a role and ``stranger`` has none; and ``anchors.pem``, the root of what it issues.
    """

    def __init__(self, home, *, port, control_port):
        self.home, self.port, self._control_port = home, port, control_port
        self.url, self.token_url = f'https://{HOST}:{port}{PREFIX}', f'https://{HOST}:{port}{tokens.PATH}'
        self.authority = Authority(home)
        self.authority.server()
        for name in ('km', 'stranger'):
            self.authority.client(name)
            secret = home / f'{name}.secret'
            secret.touch(mode=0o600)
            secret.write_text(tokens.CLIENTS[name] + '\n')

    def options(self, client='km', **more):
        """The options of a plugin that reaches it by mutual TLS, as that client."""
        return {**self._options(), 'client_certificate_file': f'{self.home}/{client}.pem',
                'client_key_file': f'{self.home}/{client}.key', **more}

    def token_options(self, client='km', **more):
        """The same, with OAuth 2.0 instead."""
        return {**self._options(), 'token_url': self.token_url, 'client_id': client,
                'client_secret_file': f'{self.home}/{client}.secret', **more}

    def _options(self):
        return {'url': self.url, 'ca_file': f'{self.home}/ca.pem',
                'anchors_file': f'{self.home}/anchors.pem', 'certificate_authority': CA,
                'certificate_profile': 'SERVER', 'end_entity_profile': 'Hosts',
                'profiles': {'people': 'CLIENT/People', 'fixed': 'FIXED/Hosts'},
                'http_timeout_seconds': 5, 'poll_seconds': 7}

    def tell(self, what, told=None):
        """Ask the second port, and give what it answers."""
        connection = http.client.HTTPConnection(HOST, self._control_port, timeout=_WAIT_SECONDS)
        try:
            connection.request('POST', f'/{what}', json.dumps(told))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def reset(self, **settings):
        """Forget all that happened, and be so."""
        self.tell('reset', settings)

    def set(self, **settings):
        """Be so from now on."""
        self.tell('settings', settings)

    def go_wrong(self, what, **fault):
        """Do so once: at the call of this number, or at the next whose path has this in it."""
        self.tell('faults', {'what': what, **fault})

    @property
    def calls(self):
        """What was asked since the beginning: method and the last part of the path."""
        return [f'{call["method"]} {call["path"].rpartition("/")[2]}' for call in self.tell('calls')]

    @property
    def certificates(self):
        """All that were issued."""
        return self.tell('certificates')

    def decide(self, status):
        """Decide about whatever waits to be approved: EXECUTED, REJECTED, EXPIRED or EXECUTIONFAILED."""
        for number, now in self.tell('approvals').items():
            if now == 'WAITING':
                self.tell(f'approvals/{number}/{status}')

    def wait_until_held(self):
        """Wait until a call is held where a test wanted it."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self.tell('held'):
            assert time.monotonic() < deadline, 'no call came'
            time.sleep(0.005)

    def write_anchors(self):
        """Write what no client can be told by the server itself."""
        (self.home / 'anchors.pem').write_text(self.tell(f'chain/{ROOT_CA.replace(" ", "+")}')[0])

    @property
    def root(self):
        """The root of what it issues."""
        return x509.load_pem_x509_certificate((self.home / 'anchors.pem').read_bytes())

    def answers(self):
        """Whether it listens."""
        try:
            self.tell('held')
        except OSError:
            return False
        return True


@contextlib.contextmanager
def ejbca(folder):
    """Run a stand-in that keeps its log in ``folder``; give an ``EjbcaServer``."""
    with (tempfile.TemporaryDirectory(prefix='km-ejbca-') as home, reserved_port() as port,
          reserved_port() as control_port):
        server = EjbcaServer(Path(home), port=port, control_port=control_port)
        log = Path(folder, 'ejbca.log')
        command = [sys.executable, '-m', 'tests.ejbca', '--folder', home, '--port', str(port),
                   '--control-port', str(control_port)]
        with running(command, log, cwd=_ROOT) as process:
            wait_until(server.answers, process, log)
            server.write_anchors()
            yield server
