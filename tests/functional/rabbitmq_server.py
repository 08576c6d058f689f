# SPDX-License-Identifier: Apache-2.0
"""Run a real RabbitMQ.

Debian's scripts turn into the user rabbitmq, or talk to the broker of the system. So Erlang is told
here what they would tell it, and to take part in no cluster: there is no epmd, and no other port
than the two for clients.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

import amqp

from tests.functional import certificates
from tests.functional.servers import HOST, ServerError, reserved_port, running, wait_until

_USER = 'km'


class RabbitMQ:
    """A RabbitMQ broker, and the password of its user `km`.

    `port` speaks AMQP, `tls_port` the same inside TLS, with a certificate for 127.0.0.1 that
    `ca_file` vouches for. Both ports stay the broker's while it is down.
    """

    def __init__(self, home, log, *, port, tls_port):
        """Take the folder `home` for all that the broker writes but its `log`; start nothing yet."""
        self.port, self.tls_port, self.ca_file = port, tls_port, home / 'ca.pem'
        self.password, self._home, self._log = secrets.token_hex(16), home, log
        self._running = contextlib.ExitStack()
        certificates.write(home)
        _write_configuration(home, self)
        (home / 'definitions.json').write_text(json.dumps(_definitions(self.password)))

    @property
    def transport_url(self):
        """The URL for oslo.messaging and kombu, of the port without TLS."""
        return f'rabbit://{_USER}:{self.password}@{HOST}:{self.port}/'

    @property
    def tls_transport_url(self):
        """The URL for oslo.messaging, of the port with TLS."""
        return f'rabbit://{_USER}:{self.password}@{HOST}:{self.tls_port}/?ssl=1'

    def start(self):
        """Start the broker, and wait until it lets its user in."""
        options = {'cwd': self._home, 'env': _environment(self._home)}
        process = self._running.enter_context(
            running(_command(), self._log, stop_signal=signal.SIGTERM, **options))
        wait_until(self.answers, process, self._log)
        self._process = process

    def stop(self):
        """Stop the broker in order: it closes its connections, and keeps what is durable."""
        self._running.close()

    @contextlib.contextmanager
    def down(self, number=signal.SIGTERM):
        """Have no broker while the block lasts, after ending it with the signal `number`."""
        self._process.send_signal(number)
        self._process.wait()
        self.stop()
        yield
        self.start()

    def answers(self):
        """Tell whether the broker lets its user in."""
        try:
            with self.connect():
                return True
        except (OSError, amqp.AMQPError):
            return False

    def connect(self):
        """Give an open `amqp.Connection`, a context manager, on the port without TLS."""
        connection = amqp.Connection(
            f'{HOST}:{self.port}', _USER, self.password, connect_timeout=10)
        connection.connect()
        return connection


@contextlib.contextmanager
def rabbitmq(folder):
    """Run a RabbitMQ that keeps its log in `folder`; give a `RabbitMQ`."""
    with (
        tempfile.TemporaryDirectory(prefix='km-rabbitmq-') as home,
        reserved_port() as port,
        reserved_port() as tls_port,
    ):
        server = RabbitMQ(Path(home), Path(folder, 'rabbitmq.log'), port=port, tls_port=tls_port)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _write_configuration(home, server):
    """Write rabbitmq.conf into `home`. Unlike what Debian configures, it lets nobody in as guest."""
    options = {
        'listeners.tcp.1': f'{HOST}:{server.port}',
        'listeners.ssl.1': f'{HOST}:{server.tls_port}',
        'ssl_options.cacertfile': home / 'ca.pem',
        'ssl_options.certfile': home / 'server.pem',
        'ssl_options.keyfile': home / 'server.key',
        'load_definitions': home / 'definitions.json',
        # Full disks and small machines shall not keep a test waiting.
        'disk_free_limit.absolute': '1MB',
        'vm_memory_high_watermark.absolute': '1GB',
    }
    lines = (f'{name} = {value}\n' for name, value in options.items())
    (home / 'rabbitmq.conf').write_text(''.join(lines))


def _definitions(password):
    """Give what the broker imports at its start: the user, by a salted hash of its `password`."""
    salt = os.urandom(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    everything = dict.fromkeys(('configure', 'write', 'read'), '.*')
    return {
        'users': [
            {
                'name': _USER,
                'password_hash': hashed,
                'hashing_algorithm': 'rabbit_password_hashing_sha256',
                'tags': '',
            }
        ],
        'vhosts': [{'name': '/'}],
        'permissions': [{'user': _USER, 'vhost': '/', **everything}],
    }


def _command():
    """Give the command of a broker, in an Erlang that listens for no other node."""
    if not shutil.which('erl'):
        raise ServerError('erl not found; install the Debian package rabbitmq-server')
    return [
        'erl', '-noinput', '-boot', 'start_sasl', '-s', 'rabbit', 'boot', '+W', 'w',
        # A node that is named already needs no epmd; its cookie is a file in its home. RabbitMQ
        # wants to know the port where other nodes find it: there is none, and the number is a lie.
        '-sname', 'km@localhost', '-start_epmd', 'false', '-dist_listen', 'false',
        '-erl_epmd_port', '1',
        # Erlang's threads would spin while they wait for work.
        '+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none',
    ]


def _environment(home):
    """Give the environment of a broker that keeps everything in `home`."""
    program = max(Path('/usr/lib/rabbitmq/lib').glob('rabbitmq_server-*'), default=None)
    if program is None:
        raise ServerError('no RabbitMQ found; install the Debian package rabbitmq-server')
    return {
        'PATH': os.environ['PATH'],
        'HOME': str(home),
        'ERL_LIBS': f'{program}/plugins',
        'RABBITMQ_HOME': str(program),
        'RABBITMQ_NODENAME': 'km@localhost',
        'RABBITMQ_CONFIG_FILE': f'{home}/rabbitmq.conf',
        'RABBITMQ_CONF_ENV_FILE': '/dev/null',
        'RABBITMQ_ENABLED_PLUGINS_FILE': f'{home}/enabled_plugins',
        'RABBITMQ_LOGS': '-',
        'RABBITMQ_LOG_BASE': f'{home}/log',
        'RABBITMQ_MNESIA_BASE': f'{home}/mnesia',
    }
