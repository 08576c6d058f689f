# SPDX-License-Identifier: Apache-2.0
"""Run a real PostgreSQL."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlalchemy

from tests.functional.servers import HOST, ServerError, reserved_port, running, wait_until


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

    def hang_up(self):
        """End every connection there is, as a restart or a proxy would."""
        with self.connect() as connection:
            connection.execute(
                'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")

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
