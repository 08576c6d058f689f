# SPDX-License-Identifier: Apache-2.0
"""A database of a plugin's own, as one process has it: durable, and never waited for longer than the
operator says.

The engine commits each statement by itself, but for those within ``transaction``.
"""
import contextlib
import logging
import select
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
)

from km.interfaces import Unavailable

LOG = logging.getLogger(__name__)

#: The age at which an idle connection is replaced: sooner than servers and firewalls forget it.
_RECYCLE_SECONDS = 3600
_BUSY_PAUSE_SECONDS = 0.01


class PluginDatabase:
    """The database of one process. All methods raise ``Unavailable`` when it does not answer in time."""

    def __init__(self, url: str, tables: sa.MetaData, *, name: str, max_connections: int, seconds: int):
        """Connect, and create the tables that are not there.

        :param name: whose it is, for sentences, such as ``secret store``.
        :param seconds: how long to wait for a connection, and for each statement.
        :raises sqlalchemy.exc.ArgumentError: ``url`` is no database URL.
        :raises Unavailable: the database does not answer.
        """
        try:
            self.engine = sa.create_engine(
                url, isolation_level='AUTOCOMMIT', hide_parameters=True, pool_size=max_connections,
                max_overflow=0, pool_timeout=seconds, pool_recycle=_RECYCLE_SECONDS,
                pool_use_lifo=True, skip_autocommit_rollback=True)
        except TypeError:  # a database in memory, which every connection would have its own of
            raise ArgumentError('not a database that is kept') from None
        except ValueError:
            raise ArgumentError('not a port') from None
        _keep_deadlines(self.engine, seconds)
        try:
            self._connect_once()
            _create_tables(self.engine, tables)
        except DBAPIError as error:
            self.engine.dispose()
            raise Unavailable(f'The database of the {name} does not answer ({error.orig}).') from None
        event.listen(self.engine, 'handle_error', self._unavailable)
        self._name = name
        self._transactions = self.engine.execution_options(
            isolation_level='SERIALIZABLE' if self.engine.dialect.name == 'sqlite'
            else 'READ COMMITTED')

    def _connect_once(self) -> None:
        """One attempt, before those that may be repeated."""
        try:
            self.engine.connect().close()
        except (TypeError, ValueError, AttributeError, OSError):
            # What drivers say of parameters that they do not know, and of hosts that can be none.
            self.engine.dispose()
            raise ArgumentError('not what the driver takes') from None

    def one(self, statement: Any, **values: Any) -> sa.Row | None:
        """The first row."""
        with self._connected() as connection:
            return connection.execute(statement, values).first()

    def all(self, statement: Any, **values: Any) -> Sequence[sa.Row]:
        """All rows."""
        with self._connected() as connection:
            return connection.execute(statement, values).all()

    def run(self, statement: Any, **values: Any) -> int:
        """How many rows it changed."""
        with self._connected() as connection:
            return connection.execute(statement, values).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection whose statements are committed together at the end of the block, or not at all.

        What the database undid, because of somebody else's transaction, is ``Unavailable`` too.
        """
        with self._connected(self._transactions) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _connected(self, engine: sa.Engine | None = None) -> sa.Connection:
        try:
            return (engine or self.engine).connect()
        except sa.exc.TimeoutError:
            LOG.warning('All connections to the database of the %s are in use.', self._name)
            raise Unavailable(f'All connections of the {self._name} are in use.') from None

    def _unavailable(self, context: Any) -> None:
        if isinstance(context.sqlalchemy_exception, DBAPIError) and not isinstance(
                context.sqlalchemy_exception, IntegrityError | ProgrammingError):
            LOG.warning('The database of the %s failed: %s', self._name, context.original_exception)
            raise Unavailable(f'The {self._name} cannot reach its database.') from None


def _create_tables(engine: sa.Engine, tables: sa.MetaData) -> None:
    """Create what is not there. Each failure may be another process that was faster with one table."""
    for _ in tables.sorted_tables:
        with contextlib.suppress(IntegrityError, ProgrammingError, OperationalError):
            return tables.create_all(engine)
    return tables.create_all(engine)


def _keep_deadlines(engine: sa.Engine, seconds: int) -> None:
    """Have every connection give up by itself, whatever the server or the network does."""
    if engine.dialect.name == 'sqlite':
        def durable(connection: Any, _record: Any) -> None:
            connection.execute(f'PRAGMA busy_timeout={seconds * 1000}')
            _write_ahead(connection, time.monotonic() + seconds)
            connection.execute('PRAGMA synchronous=FULL')

        event.listen(engine, 'connect', durable)
        return
    event.listen(engine, 'checkout', _refuse_dead)
    if engine.dialect.driver == 'psycopg':
        @event.listens_for(engine, 'do_connect')
        def _connect(_dialect: Any, _record: Any, arguments: Any, settings: Any) -> Any:
            connection = _BoundedConnection.connect(*arguments, **_postgresql(seconds) | settings)
            connection.bound(seconds)
            return connection
    elif engine.dialect.driver == 'pymysql':
        @event.listens_for(engine, 'do_connect')
        def _settings(_dialect: Any, _record: Any, _arguments: Any, settings: Any) -> None:
            for name in ('connect_timeout', 'read_timeout', 'write_timeout'):
                settings.setdefault(name, seconds)


def _write_ahead(connection: sqlite3.Connection, deadline: float) -> None:
    """Have SQLite log ahead. Of those who want that first of a new file at once, all but one fail at
    once, whatever ``busy_timeout`` is."""
    while True:
        try:
            connection.execute('PRAGMA journal_mode=WAL')
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)


def _postgresql(seconds: int) -> dict[str, Any]:
    """What libpq shall do by itself: the network may be gone, or the server be slow."""
    return {'connect_timeout': seconds, 'tcp_user_timeout': seconds * 1000, 'keepalives_idle': seconds,
            'keepalives_interval': max(1, seconds // 3), 'keepalives_count': 3}


class _BoundedConnection(psycopg.Connection):
    """A connection that waits for no statement longer than it was told.

    A server that is stopped, but not gone, goes on acknowledging what is sent to it: neither TCP nor the
    server's own ``statement_timeout`` ends such a wait.
    """

    _seconds: float = 0

    def bound(self, seconds: float) -> None:
        """Wait no longer from now on, and have the server give up as well."""
        self._seconds = seconds
        self.autocommit = True  # as the engine wants it anyway; else it would be undone
        self.execute(f'SET statement_timeout = {int(seconds * 1000)}')

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        if not self._seconds:
            return super().wait(gen, *arguments, **named)
        try:
            return super().wait(_until(gen, time.monotonic() + self._seconds), *arguments, **named)
        except TimeoutError:
            self.close()  # an answer may yet come, and must be nobody else's
            raise psycopg.OperationalError('the server did not answer in time') from None


def _until(steps: Any, deadline: float) -> Generator[Any, Any, Any]:
    """The same steps, but none after a deadline: psycopg takes ten a second while it waits."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise TimeoutError
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


def _refuse_dead(connection: Any, _record: Any, _proxy: Any) -> None:
    """Notice that the server hung up while a connection was idle, as ``km.db.engine`` does."""
    idle = select.poll()
    idle.register(getattr(connection, '_sock', connection), select.POLLIN)  # PyMySQL's, or psycopg's
    if idle.poll(0):
        raise DisconnectionError
