# SPDX-License-Identifier: Apache-2.0
"""Run a real MariaDB."""

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import sqlalchemy

from tests.functional.servers import HOST, ServerError, reserved_port, running, wait_until


@dataclass(frozen=True)
class MariaDB:
    """A running MariaDB server, and the password of its superuser `km`."""

    port: int
    password: str = field(repr=False)

    def connect(self):
        """Give a PyMySQL connection, in autocommit mode, to no database."""
        return pymysql.connect(
            host=HOST, port=self.port, user='km', password=self.password, autocommit=True)

    def answers(self):
        """Tell whether the server lets its superuser in."""
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def create_database(self, name):
        """Create the database `name`, empty, and give its URL for SQLAlchemy as a string."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE `{name}`')
        url = sqlalchemy.URL.create(
            'mysql+pymysql', 'km', self.password, HOST, self.port, name,
            query={'charset': 'utf8mb4'})
        return url.render_as_string(hide_password=False)

    def hang_up(self):
        """End every connection there is, as a restart or a proxy would."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                'SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()')
            for number in cursor.fetchall():
                # One that ends by itself is well.
                with contextlib.suppress(pymysql.OperationalError):
                    cursor.execute('KILL %s', number)

    def dump(self, name):
        """Give what mariadb-dump writes of the database `name`, as bytes; blobs in hexadecimal."""
        command = [_program('mariadb-dump'), '--no-defaults', '--hex-blob', f'--host={HOST}']
        command += [f'--port={self.port}', '--user=km', name]
        environment = {**os.environ, 'MYSQL_PWD': self.password}
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout


@contextlib.contextmanager
def mariadb(folder):
    """Run a MariaDB server that keeps its log in `folder`; give a `MariaDB`."""
    log = Path(folder, 'mariadb.log')
    with tempfile.TemporaryDirectory(prefix='km-mariadb-') as home, reserved_port() as port:
        server = MariaDB(port, secrets.token_hex(16))
        _make_data(Path(home), server.password)
        command = [_program('mariadbd'), '--no-defaults', *_storage(home), *_network(home, port)]
        with running(command, log, stop_signal=signal.SIGTERM, cwd=home) as process:
            wait_until(server.answers, process, log)
            yield server


def _program(name):
    """Give the path of one of MariaDB's programs, of which Debian keeps some for root."""
    path = shutil.which(name, path=f'{os.environ["PATH"]}:/usr/sbin')
    if not path:
        raise ServerError(
            f'{name} not found; install the Debian packages mariadb-server-core, mariadb-client')
    return path


def _make_data(home, password):
    """Make the folder `data` in `home`, with `km` for its only user.

    mariadb-install-db does the same and more, in five seconds instead of one.
    """
    tables = Path('/usr/share/mysql/mysql_system_tables.sql')
    if not tables.exists():
        raise ServerError(f'{tables} not found; install the Debian package mariadb-server-core')
    hashed = hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()
    statements = (
        f'USE mysql;\n{tables.read_text()}\nFLUSH PRIVILEGES;\n'
        f"CREATE USER km@'{HOST}' IDENTIFIED VIA mysql_native_password USING '*{hashed}';\n"
        f"GRANT ALL ON *.* TO km@'{HOST}' WITH GRANT OPTION;\n")
    (home / 'data' / 'mysql').mkdir(parents=True)
    command = [_program('mariadbd'), '--no-defaults', '--bootstrap', *_storage(home)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=statements)
    if done.returncode != 0:
        raise ServerError(f'mariadbd --bootstrap failed:\n{done.stdout}{done.stderr}')


def _storage(home):
    """Give the options that say where data are, and that they need not survive a crash."""
    return [
        # Root has to be said, or the server refuses to be run by it.
        f'--user={pwd.getpwuid(os.geteuid()).pw_name}', f'--datadir={home}/data',
        '--innodb-flush-log-at-trx-commit=0', '--innodb-doublewrite=0',
    ]


def _network(home, port):
    """Give the options of a server that listens on `port` only; a socket it makes in any case."""
    return [
        f'--bind-address={HOST}', f'--port={port}', f'--socket={home}/socket',
        '--skip-name-resolve', '--max-connections=200',
    ]
