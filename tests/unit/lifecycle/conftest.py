# SPDX-License-Identifier: Apache-2.0
"""Lifecycle without HTTP: a metadata database in a file, stores in memory that fail on demand."""
from datetime import timedelta

import pytest

from km.db.engine import Database
from km.identity import Identity
from km.lifecycle.context import Context
from km.testing import MemoryStore, open_plugin

UNLIMITED = dict.fromkeys(('secrets', 'orders', 'containers', 'consumers', 'cas'), -1)


class Killed(BaseException):
    """The process ended here: nothing after this line ran, no handler either."""


class FragileStore(MemoryStore):
    """A store that fails before or after its work, as ``fail`` says.

    ``fail`` maps (method, 'before' or 'after') to an exception.
    """

    def open(self):
        super().open()
        self.fail = {}

    def store(self, request):
        self._perhaps('store', 'before')
        reference = super().store(request)
        self._perhaps('store', 'after')
        return reference

    def delete(self, stored):
        self._perhaps('delete', 'before')
        super().delete(stored)
        self._perhaps('delete', 'after')

    def find(self, secret_id):
        self._perhaps('find', 'before')
        return super().find(secret_id)

    def _perhaps(self, *step):
        if step in self.fail:
            raise self.fail[step]


@pytest.fixture
def store():
    store = open_plugin(FragileStore)
    store.name = 'memory'
    return store


@pytest.fixture
def database(folder):
    database = Database(f'sqlite:///{folder}/km.sqlite')
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def ctx(database, store, clock):
    return Context(
        identity=Identity(user_id='ann', project_id='alpha'), stores={'memory': store},
        default_store='memory', statement=database.statement, transaction=database.transaction,
        intent_timeout=timedelta(minutes=10), lease=timedelta(minutes=2), quotas=UNLIMITED,
        cast=lambda task, **arguments: task(None, **arguments), clock=clock)


@pytest.fixture
def rows(database):
    """The rows of secrets, as they are now."""
    def read():
        with database.statement() as connection:
            return connection.exec_driver_sql('SELECT * FROM secrets').mappings().all()
    return read
