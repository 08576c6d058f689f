# SPDX-License-Identifier: Apache-2.0
"""Run a real KMIP server: PyKMIP's, which demands TLS 1.2 and a client certificate.

It keeps what it is given in plain text, as only a server for tests may.
"""

import contextlib
import os
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

from tests.functional.certificates import Authority
from tests.functional.servers import HOST, reserved_port, running, wait_until

_PROGRAM = Path(sys.executable).parent / 'pykmip-server'
_CONFIGURATION = """\
[server]
hostname={host}
port={port}
certificate_path={home}/{certificate}.pem
key_path={home}/{certificate}.key
ca_path={home}/ca.pem
auth_suite=TLS1.2
policy_path={home}/policy
enable_tls_client_auth=True
logging_level=INFO
database_path={home}/kmip.sqlite
"""


class KmipServer:
    """A KMIP server, and the CA that vouches for it and for its clients.

    Its `home` has the certificate and key of a client named km, whose the objects are that it
    makes. The port stays the server's while it is down, and so do the objects.
    """

    def __init__(self, home, log, *, port):
        """Take the folder `home` for all that the server writes but its `log`; start nothing yet."""
        self.home, self.port, self.authority = home, port, Authority(home)
        self._log = log
        self._running = contextlib.ExitStack()
        self.authority.server()
        self.authority.client('km')
        (home / 'policy').mkdir()

    @property
    def database(self):
        """The SQLite file that keeps its objects."""
        return self.home / 'kmip.sqlite'

    def options(self, client='km', **more):
        """The options of a store of the plugin kmip, by name, that reach it as that client."""
        return {'hosts': f'{HOST}:{self.port}', 'ca_file': f'{self.home}/ca.pem',
                'certificate_file': f'{self.home}/{client}.pem',
                'key_file': f'{self.home}/{client}.key', **more}

    def start(self, certificate='server'):
        """Start the server with the certificate of that name, and wait until it listens."""
        conf = self.home / 'server.conf'
        conf.write_text(_CONFIGURATION.format(
            host=HOST, port=self.port, home=self.home, certificate=certificate))
        self._process = self._running.enter_context(running(
            [str(_PROGRAM), '-f', str(conf), '-l', str(self.home / 'server.log')], self._log))
        wait_until(self.answers, self._process, self._log)

    def stop(self):
        """Stop the server, in order if it can be; connections to it are cut."""
        self._running.close()

    def kill(self):
        """Kill it with all its processes, as the kernel does that runs out of memory."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._running.close()

    @contextlib.contextmanager
    def down(self):
        """Have no server while the block lasts, after killing it."""
        self.kill()
        yield
        self.start()

    @contextlib.contextmanager
    def frozen(self):
        """Have the server stand still while the block lasts: it keeps connections and says nothing."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGCONT)

    def answers(self):
        """Tell whether it takes part in a TLS handshake, whatever its certificate is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.home / 'km.pem', self.home / 'km.key')
        try:
            with socket.create_connection((HOST, self.port), timeout=5) as connection:
                context.wrap_socket(connection).close()
                return True
        except OSError:
            return False


@contextlib.contextmanager
def kmip(folder):
    """Run a KMIP server that keeps its log in `folder`; give a `KmipServer`."""
    with tempfile.TemporaryDirectory(prefix='km-kmip-') as home, reserved_port() as port:
        server = KmipServer(Path(home), Path(folder, 'kmip.log'), port=port)
        try:
            server.start()
            yield server
        finally:
            server.stop()
