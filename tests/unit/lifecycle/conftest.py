# SPDX-License-Identifier: Apache-2.0
"""Lifecycle without HTTP: a metadata database in a file, stores in memory that fail on demand."""
import dataclasses
import itertools
from datetime import timedelta

import pytest

from km.conf.load import new
from km.db.engine import Database
from km.hosting.authority import HostedAuthority
from km.hosting.store import HostedStore
from km.identity import Identity
from km.lifecycle import authorities
from km.lifecycle.context import Context
from km.testing import MemoryAuthority, MemoryStore, open_authority, open_plugin

UNLIMITED = dict.fromkeys(('secrets', 'orders', 'containers', 'consumers', 'cas'), -1)


class Mailbox(list):
    """Where casts go: (task, arguments), to be lost, delayed or doubled as a test likes."""

    def __call__(self, task, **arguments):
        self.append((task, arguments))


class Killed(BaseException):
    """The process ended here: nothing after this line ran, no handler either."""


def killed_at(ctx, step, death=Killed):
    """A context whose process dies when it opens the database for the ``step``-th time.

    :param death: or what happens to it then instead.
    """
    count = itertools.count(1)

    def dying(opens):
        def open_or_die():
            if next(count) == step:
                raise death
            return opens()
        return open_or_die

    return dataclasses.replace(ctx, statement=dying(ctx.statement),
                               transaction=dying(ctx.transaction))


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


class SameThread(HostedStore):
    """A store that is called right here, so that a process can end inside it."""

    def _call(self, method, *arguments, **named):
        return getattr(self.guest, method)(*arguments, **named)


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
        identity=Identity(user_id='ann', project_id='alpha'), stores={'memory': SameThread(store)},
        default_store='memory', statement=database.statement, transaction=database.transaction,
        intent_timeout=timedelta(minutes=10), quotas=UNLIMITED, orders=new().orders,
        certificates=new().certificates, events=new().events, transport_keys=new().transport_keys,
        cast=Mailbox(), clock=clock)


class SameThreadAuthority(HostedAuthority):
    """An authority that is called right here, so that a process can end inside it."""

    def _call(self, method, *arguments, **named):
        return getattr(self.guest, method)(*arguments, **named)


@pytest.fixture
def authority(clock):
    """An authority that does as a test tells its ``memory``."""
    authority = open_authority(MemoryAuthority)
    authority.memory.clock = clock
    authority.name = 'ca'
    return authority


@pytest.fixture
def certified(ctx, authority):
    """The context, with an authority in it that everybody may use."""
    certified = dataclasses.replace(ctx, authorities={'ca': SameThreadAuthority(authority)},
                                    may=lambda *_: True)
    authorities.announce(certified)
    return certified


@pytest.fixture
def rows(database):
    """The rows of a table, as they are now."""
    def read(table='secrets'):
        with database.statement() as connection:
            return connection.exec_driver_sql(f'SELECT * FROM {table}').mappings().all()
    return read
