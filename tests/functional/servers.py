# SPDX-License-Identifier: Apache-2.0
"""Start and stop the real servers that functional tests and benchmarks run against.

Here are the means to run any server, and PostgreSQL; Keystone has a module of its own. Every
server listens on 127.0.0.1 only, stops at the end of its `with` block, and also ends when the
process that started it is killed.
"""

import contextlib
import http.client
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlalchemy

HOST = '127.0.0.1'
START_SECONDS = 120
STOP_SECONDS = 10


class ServerError(Exception):
    """A server cannot be started; the message says why, or what to install."""


@contextlib.contextmanager
def reserved_port():
    """Give a port of 127.0.0.1 that nobody else gets while the block lasts.

    It stays bound here without listening. A server that sets SO_REUSEADDR, as nearly all do, can
    bind it all the same, while the kernel hands it to nobody who asks for any free port.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def running(command, log, **options):
    """Run `command`, its output going to the file `log`, and stop it when the block ends.

    Gives the `Popen` object; `options` are more arguments for its making. The command must end
    on SIGINT: of the signals that end a server in order, the one which has PostgreSQL, Gunicorn
    and uWSGI wait for no client. The thread that starts it has to live as long as it.
    """
    with log.open('ab') as output:
        process = subprocess.Popen(
            _tied(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the test run, which then stops its servers in order.
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        _stop(process)


def _tied(command):
    """Give `command` changed so that it gets SIGINT when the thread that starts it dies.

    That is the death of the whole test run too, even a sudden one that runs no clean-up.
    """
    setpriv = shutil.which('setpriv')
    return [setpriv, '--pdeathsig=INT', '--', *command] if setpriv else command


def _stop(process):
    """End `process` with SIGINT, and by force what is left of it and its children."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(ready, process, log):
    """Wait until `ready()` is true; raise `ServerError` with the end of `log` if it never is."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f'{log.stem} did not start:\n{_tail(log)}')
        time.sleep(0.02)


def _tail(log):
    """Give the last lines of the file `log`."""
    return '\n'.join(log.read_text(errors='replace').splitlines()[-30:])


def http_answers(port, path='/'):
    """Tell whether a GET of `path` on `port` is answered with success."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request('GET', path)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass(frozen=True)
class PostgreSQL:
    """A running PostgreSQL server, and the password of its superuser `km`."""

    port: int
    password: str = field(repr=False)

    def connect(self):
        """Give a psycopg connection, in autocommit mode, to the database `postgres`."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user='km',
            password=self.password,
            dbname='postgres',
            autocommit=True,
        )

    def answers(self):
        """Tell whether the server lets its superuser in."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name):
        """Create the database `name`, empty, and give its URL for SQLAlchemy as a string."""
        with self.connect() as connection:
            connection.execute(
                psycopg.sql.SQL('CREATE DATABASE {}').format(psycopg.sql.Identifier(name))
            )
        url = sqlalchemy.URL.create(
            'postgresql+psycopg', 'km', self.password, HOST, self.port, name
        )
        return url.render_as_string(hide_password=False)


    def dump(self, name):
        """Give what pg_dump writes of the database `name`, as bytes."""
        command = [_postgresql_programs() / 'pg_dump', f'--host={HOST}', f'--port={self.port}']
        command += ['--username=km', name]
        environment = {**os.environ, 'PGPASSWORD': self.password}
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout


@contextlib.contextmanager
def postgresql(folder):
    """Run a PostgreSQL server that keeps its log in `folder`; give a `PostgreSQL`.

    Its data live in a temporary folder of their own: run by root, the server becomes the user
    postgres, who may not enter the folders that pytest makes.
    """
    programs, account = _postgresql_programs(), _ordinary_user()
    log = Path(folder, 'postgresql.log')
    with tempfile.TemporaryDirectory(prefix='km-postgresql-') as home, reserved_port() as port:
        server = PostgreSQL(port, secrets.token_hex(16))
        _make_cluster(programs, Path(home), server.password, account)
        command = [programs / 'postgres', '-D', 'data', *_postgresql_options(port)]
        with running(command, log, cwd=home, **account) as process:
            wait_until(server.answers, process, log)
            yield server


def _postgresql_programs():
    """Give the folder that holds PostgreSQL's server programs."""
    for folder in _postgresql_folders():
        if (folder / 'initdb').exists() and (folder / 'postgres').exists():
            return folder
    raise ServerError('initdb and postgres not found; install the Debian package postgresql')


def _postgresql_folders():
    """Give, best first, the folders where PostgreSQL's programs may be."""
    if pg_config := shutil.which('pg_config'):
        answer = subprocess.run(
            [pg_config, '--bindir'], check=False, capture_output=True, text=True
        )
        yield Path(answer.stdout.strip())
    if initdb := shutil.which('initdb'):
        yield Path(initdb).resolve().parent
    # Debian keeps the server programs of each version in a folder outside PATH.
    versions = Path('/usr/lib/postgresql').glob('*/bin')
    yield from sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)


def _ordinary_user():
    """Give the `Popen` options to run a server with that refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam('postgres')
    except KeyError:
        raise ServerError('no user postgres; install the Debian package postgresql') from None
    return {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}


def _make_cluster(programs, home, password, account):
    """Make in `home` the folder `data` with a superuser `km` who has this `password`."""
    password_file = home / 'password'
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if account:
        shutil.chown(home, account['user'], account['group'])
        shutil.chown(password_file, account['user'], account['group'])
    command = [programs / 'initdb', '--pgdata=data', '--username=km', '--pwfile=password']
    command += ['--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--no-sync']
    done = subprocess.run(command, cwd=home, check=False, capture_output=True, text=True, **account)
    password_file.unlink()
    if done.returncode != 0:
        raise ServerError(f'initdb failed:\n{done.stdout}{done.stderr}')


def _postgresql_options(port):
    """Give the options of a server that listens on `port` only and need not survive a crash."""
    options = ['-p', str(port), '-h', HOST, '-k', '', '-c', 'max_connections=200']
    for costly in ('fsync', 'synchronous_commit', 'full_page_writes'):
        options += ['-c', f'{costly}=off']
    return options
