# SPDX-License-Identifier: Apache-2.0
"""A connection to a Barbican database that only reads, and rows out of it, a page at a time."""
import itertools
import operator
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from km.barbican.tables import ESSENTIAL
from km.errors import Misconfigured, Unavailable

#: Has a connection refuse to write, whatever it is told.
_READ_ONLY = {
    'sqlite': 'PRAGMA query_only = ON',
    'postgresql': 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'mysql': 'SET SESSION TRANSACTION READ ONLY',
    'mariadb': 'SET SESSION TRANSACTION READ ONLY',
}


class Database:
    """Barbican's database. Every method raises ``Unavailable`` when it does not answer."""

    def __init__(self, url: str):
        """Connect, and see which of the tables and columns are there.

        :raises Misconfigured: ``url`` is no database URL, or what is there is not Barbican's.
        """
        try:
            self._engine = sa.create_engine(url, hide_parameters=True, isolation_level='AUTOCOMMIT')
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise Misconfigured('The URL of the Barbican database is none that this km can use '
                                f'({type(error).__name__}).') from None
        dialect, file = self._engine.dialect.name, self._engine.url.database
        if dialect == 'sqlite' and not Path(file or '').is_file():
            raise Misconfigured('There is no Barbican database: its file does not exist.')
        event.listen(self._engine, 'connect', _read_only(_READ_ONLY.get(dialect)))
        self._there = self._columns()
        for table in ESSENTIAL:
            if table.name not in self._there:
                raise Misconfigured(f"This is no Barbican database: it has no table '{table.name}'.")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def count(self, table: sa.TableClause) -> int:
        """How many rows a table has, without those that are marked as deleted."""
        if table.name not in self._there:
            return 0
        return self._run(sa.select(sa.func.count()).select_from(table).where(
            *self._alive(table)))[0][0]

    def pages(self, table: sa.TableClause, size: int) -> Iterator[Sequence[sa.Row]]:
        """All rows of a table in the order of their ids, ``size`` at a time, the deleted ones too."""
        after = ''
        while page := self._select(table, table.c.id > after, order=table.c.id, limit=size):
            yield page
            after = page[-1].id

    def of(self, table: sa.TableClause, column: str, ids: Collection[str | None]
           ) -> dict[str, list[sa.Row]]:
        """The rows of a table, without the deleted ones, whose ``column`` is one of ``ids``, by it.

        Those of one id are in the order in which they were made.
        """
        wanted = sorted({found for found in ids if found})
        key = table.c[column]
        rows = self._select(table, key.in_(wanted), *self._alive(table),
                            order=(key, table.c.created_at, table.c.id)) if wanted else []
        return {found: list(group)
                for found, group in itertools.groupby(rows, operator.attrgetter(column))}

    def _select(self, table: sa.TableClause, *where: sa.ColumnElement, order: Any,
                limit: int | None = None) -> Sequence[sa.Row]:
        there = self._there.get(table.name)
        if there is None:
            return []
        columns = (column if column.name in there else sa.null().label(column.name)
                   for column in table.c)
        return self._run(sa.select(*columns).select_from(table).where(*where).order_by(
            *(order if isinstance(order, tuple) else (order,))).limit(limit))

    def _alive(self, table: sa.TableClause) -> list[sa.ColumnElement]:
        there = 'deleted' in self._there[table.name] if table.name in self._there else False
        return [sa.not_(table.c.deleted)] if there else []

    def _run(self, statement: sa.Select) -> Sequence[sa.Row]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise _unavailable(error) from None

    def _columns(self) -> dict[str, set[str]]:
        """The names of the columns that are there, by the names of tables."""
        try:
            found = sa.inspect(self._engine)
            return {table: {column['name'] for column in columns}
                    for (_, table), columns in found.get_multi_columns().items()}
        except SQLAlchemyError as error:
            raise _unavailable(error) from None


def _read_only(statement: str | None) -> Any:
    def tell(connection, _record) -> None:
        if statement:
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.close()
    return tell


def _unavailable(error: SQLAlchemyError) -> Unavailable:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return Unavailable(f"Barbican's database does not answer ({type(cause).__name__}).")
