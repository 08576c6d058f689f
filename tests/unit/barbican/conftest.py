# SPDX-License-Identifier: Apache-2.0
"""A database laid out as Barbican's, to put rows into."""
import uuid
from datetime import datetime

import pytest
import sqlalchemy as sa

from km.barbican import tables
from km.barbican.database import Database

THEN = datetime(2020, 2, 2, 2, 2, 2)


class OldDatabase:
    """Tables of Barbican in a file, which ``add`` puts rows into."""

    def __init__(self, path):
        self.url = f'sqlite:///{path}'
        self._engine = sa.create_engine(self.url)
        self._tables = sa.MetaData()
        for table in vars(tables).values():
            if isinstance(table, sa.TableClause):
                sa.Table(table.name, self._tables,
                         *(sa.Column(column.name, column.type) for column in table.c))
        self._tables.create_all(self._engine)

    def add(self, table, **values):
        """Add a row; give its id."""
        row = {'id': str(uuid.uuid4()), 'created_at': THEN, 'updated_at': THEN, 'deleted': False,
               **values}
        with self._engine.begin() as connection:
            connection.execute(self._tables.tables[table.name].insert(), row)
        return row['id']

    def run(self, statement):
        """Run SQL."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(statement)


@pytest.fixture
def old(folder):
    return OldDatabase(folder / 'barbican.sqlite')


@pytest.fixture
def database(old):
    """The same, as km reads it."""
    database = Database(old.url)
    yield database
    database.close()


@pytest.fixture
def project(old):
    """Barbican's id of the project alpha."""
    return old.add(tables.PROJECTS, external_id='alpha')
