# SPDX-License-Identifier: Apache-2.0
"""Sets the stage: PostgreSQL, Keystone, km's configuration, and metadata of many secrets."""
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import sqlalchemy as sa
from keystoneclient.v3.client import Client as KeystoneClient

from benchmarks import usage
from km.conf.load import load
from km.deploy import database
from km.testing.application import write_conf
from tests.functional.keystone_server import DOMAIN, Keystone, User, keystone
from tests.functional.postgresql_server import PostgreSQL, postgresql
from tests.functional.servers import http_answers, reserved_port, running, wait_until

REPOSITORY = Path(__file__).parents[1]
_DATABASES = ('km_metadata', 'km_ciphertext')


@dataclass(frozen=True)
class Caller:
    """A member of a project, and the token of theirs that a client sends."""

    user_id: str
    project_id: str
    token: str


@dataclass(frozen=True)
class Stage:
    """Everything km needs, running.

    :param conf: the path of km.conf.
    :param postgresql: the process that forks a process for each connection.
    :param callers: by the number of secrets their project has; 0 is who creates and reads.
    """

    conf: Path
    port: int
    postgresql: int
    callers: dict[int, Caller]


@contextlib.contextmanager
def stage(folder: Path, sizes: tuple[int, ...]) -> Iterator[Stage]:
    """Start and fill everything but km itself.

    :param folder: for logs and configuration.
    :param sizes: how many secrets the projects to be listed have, a project each.
    """
    with reserved_port() as port, postgresql(folder) as server, keystone(folder) as identity:
        urls = [server.create_database(name) for name in _DATABASES]
        conf = write_conf(folder, _sections(folder, port, urls, identity))
        database(load(files=[str(conf)])).upgrade()
        callers = {size: _caller(identity, f'project-of-{size}') for size in (0, *sizes)}
        _fill(urls[0], callers)
        yield Stage(conf, port, _process(server), callers)


@contextlib.contextmanager
def serving(application: str, port: int, folder: Path, conf: Path) -> Iterator[list[int]]:
    """Serve a WSGI application by gunicorn; its worker processes."""
    command = [sys.executable, '-m', 'gunicorn', '--config', 'python:benchmarks.gunicorn_settings',
               '--bind', f'127.0.0.1:{port}', application]
    log = folder / f'{application.partition(":")[0]}.log'
    environment = os.environ | {'KM_CONF': str(conf)}
    with running(command, log, cwd=REPOSITORY, env=environment) as process:
        wait_until(lambda: http_answers(port), process, log)
        yield usage.children(process.pid)


def _process(server: PostgreSQL) -> int:
    with server.connect() as connection:
        return usage.parent(connection.info.backend_pid)


def _sections(folder: Path, port: int, urls: list[str], identity: Keystone) -> dict:
    return {
        # As in production: INFO, to a file.
        'DEFAULT': {'log_file': folder / 'km.log'},
        'api': {'auth_strategy': 'keystone', 'host_href': f'http://127.0.0.1:{port}'},
        'keystone_authtoken': identity.authtoken_section(),
        'database': {'connection': urls[0]},
        'secret_store:soft': {'connection': urls[1]},
    }


_MOST_VACUUMS = 50
_VISIBLE_PAGES = sa.text("SELECT relallvisible FROM pg_class WHERE relname = 'secrets'")


def _caller(identity: Keystone, name: str) -> Caller:
    """A new project's only member."""
    admin = KeystoneClient(
        session=identity.session('admin'), endpoint_override=identity.auth_url)
    project = admin.projects.create(name, domain=DOMAIN)
    user = User(f'{name}-member', name, 'member')
    account = admin.users.create(user.name, domain=DOMAIN, password=user.password)
    role, = admin.roles.list(name=user.role)
    admin.roles.grant(role, user=account, project=project)
    return Caller(account.id, project.id, identity.token(user))


def _fill(url: str, callers: dict[int, Caller]) -> None:
    """Give each project its rows; nobody reads their payloads, so there are none in the store."""
    engine = sa.create_engine(url)
    table = sa.Table('secrets', sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        for size, caller in callers.items():
            rows = _rows(caller, size)
            while part := list(islice(rows, 5000)):
                connection.execute(table.insert(), part)
    with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        # As autovacuum would before long. It marks as visible to all only what is known to be on the
        # disk, which with asynchronous commits takes a moment.
        for _ in range(_MOST_VACUUMS):
            connection.execute(sa.text('VACUUM ANALYZE secrets'))
            if connection.execute(_VISIBLE_PAGES).scalar_one():
                break
            time.sleep(0.2)
    engine.dispose()


def _rows(caller: Caller, count: int) -> Iterator[dict]:
    oldest = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=300)
    for number in range(count):
        created = oldest + timedelta(seconds=number)
        yield {
            'id': str(uuid.uuid4()), 'project_id': caller.project_id, 'creator_id': caller.user_id,
            'status': 'ACTIVE', 'name': f'secret {number}', 'secret_type': 'symmetric',
            'algorithm': 'aes', 'mode': 'cbc', 'bit_length': 256,
            'content_type': 'application/octet-stream', 'created': created, 'updated': created,
            'store': 'soft', 'reference': json.dumps({'version': 1}), 'project_access': True}
