# SPDX-License-Identifier: Apache-2.0
"""The metadata database: connections from a URL, errors as km's own, the version of its schema."""
import os
import select
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError

from km.db import failures
from km.errors import Misconfigured

_PORTS = {'postgresql': 5432, 'mysql': 3306, 'mariadb': 3306}
#: What SQLAlchemy calls it, as the URL is written.
_MARIADB = 'mysql', 'mariadb'
_MIGRATIONS = Path(__file__).parent / 'migrations'


class Database:
    """The metadata database of one process.

    ``statement()`` gives a connection on which every statement commits by itself, which spares a
    request the round trips of a transaction; ``transaction()`` gives one whose statements commit
    together when the ``with`` block ends, or not at all. Both raise ``Unavailable`` when the
    database does not answer, ``km.db.failures.Undone``, which is one, when it did nothing, and
    SQLAlchemy's ``TimeoutError`` when all connections are in use, which the outermost rooms know.
    """

    def __init__(self, url: str, *, max_connections: int = 20, recycle_seconds: int = 3600,
                 wait_seconds: float = 30):
        """Connect to nothing yet.

        :param wait_seconds: how long to wait for one of the connections when all are in use.
        :raises Misconfigured: ``url`` is no database URL, or its driver is not installed.
        """
        try:
            self.engine = sa.create_engine(
                url, isolation_level='AUTOCOMMIT', hide_parameters=True, pool_size=max_connections,
                max_overflow=0, pool_timeout=wait_seconds, pool_recycle=recycle_seconds,
                pool_use_lifo=True, skip_autocommit_rollback=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise Misconfigured('[database] connection: it is not a database URL that this km can '
                                f'use ({type(error).__name__}).') from None
        event.listen(self.engine, 'handle_error', failures.explain)
        sqlite = self.engine.dialect.name == 'sqlite'
        if sqlite:
            event.listen(self.engine, 'connect', _sqlite)
        else:
            event.listen(self.engine, 'checkout', _refuse_dead)
        if self.engine.dialect.name in _MARIADB:
            event.listen(self.engine, 'connect', _strict)
        self.statement = self.engine.connect
        self.transaction = self.engine.execution_options(
            isolation_level='SERIALIZABLE' if sqlite else 'READ COMMITTED').begin

    def is_at(self, url: str) -> bool:
        """Whether ``url`` names this database too, by whatever user or driver.

        Two names of one host are two hosts here: this finds mistakes, not intent.
        """
        try:
            other, own = sa.make_url(url), self.engine.url
        except ArgumentError:
            return False
        return _place(other) == _place(own)

    def ping(self) -> bool:
        """True.

        :raises Unavailable: the database does not answer.
        """
        with self.statement() as connection:
            return bool(connection.scalar(sa.select(1)))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def upgrade(self) -> None:
        """Bring the schema to the version this km needs; does nothing if it is there."""
        with self.transaction() as connection:
            if self.engine.dialect.name in _MARIADB:  # the server's default may know no Japanese
                connection.exec_driver_sql(
                    'ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin')
            command.upgrade(_alembic(connection), 'head')

    def current(self) -> str | None:
        """The version of the schema in the database; None for an empty one."""
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def require_schema(self) -> None:
        """Refuse a schema that is not this km's.

        :raises Misconfigured: with the command to run.
        """
        there = self.current()
        if there == head():
            return
        if there is None:
            found = 'is empty'
        elif there in {step.revision for step in _script().walk_revisions()}:
            found = f'is at schema version {there}, and this km needs {head()}'
        else:
            raise Misconfigured(f'[database] connection: the schema version {there} is unknown to '
                                "this km. Is the database another service's, or of a newer km?")
        raise Misconfigured(f'[database] connection: the database {found}. '
                            'Run "km-manage db upgrade".')


def _place(url: sa.URL) -> tuple:
    """Where a database is, without who asks for it and how, as far as a URL tells."""
    backend = url.get_backend_name()
    if backend == 'sqlite':
        return backend, os.path.realpath(url.database or '')
    return backend, (url.host or '').lower(), url.port or _PORTS.get(backend), url.database


def head() -> str | None:
    """The schema version this km needs."""
    return _script().get_current_head()


def _alembic(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option('script_location', str(_MIGRATIONS))
    config.attributes['connection'] = connection
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())


def _refuse_dead(connection, _record, _proxy) -> None:
    """Notice that the server hung up while a connection was idle, without asking it anything.

    An idle connection has nothing to say: if there is something to read, it is the end.
    """
    idle = select.poll()
    idle.register(getattr(connection, '_sock', connection), select.POLLIN)  # PyMySQL's, or psycopg's
    if idle.poll(0):
        raise DisconnectionError


def _strict(connection, _record) -> None:
    """Have MariaDB refuse what it would otherwise cut to fit, however the server is set up."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'TRADITIONAL'")


def _sqlite(connection, _record) -> None:
    connection.execute('PRAGMA busy_timeout=30000')
    connection.execute('PRAGMA journal_mode=WAL')
    connection.execute('PRAGMA synchronous=FULL')
    connection.execute('PRAGMA foreign_keys=ON')
    connection.execute('PRAGMA case_sensitive_like=ON')
