# SPDX-License-Identifier: Apache-2.0
"""Many who change certificate authorities at once, on the databases where work really is at once."""
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from km.db import certificate_orders
from km.db.engine import Database
from km.db.failures import retried
from km.db.models import AUTHORITIES, CERTIFICATE_ORDERS, ORDERS, PROJECT_AUTHORITIES
from km.errors import Conflict, Invalid, KmError, NotFound, QuotaExceeded
from km.identity import Identity
from km.lifecycle import authorities, subordinates
from km.testing import MemoryAuthority
from tests.authority_in_full import hosted
from tests.unit.lifecycle import conftest
from tests.unit.lifecycle.conftest import UNLIMITED

CROWD = 16
SUBJECT = b'0\x0f1\r0\x0b\x06\x03U\x04\x03\x0c\x04ours'
#: Fixtures: a worker that has a store.
worker, store = conftest.ctx, conftest.store


@pytest.fixture(scope='module', params=['postgresql', 'mariadb'])
def database(request):
    database = Database(request.getfixturevalue(request.param).create_database('authorities'),
                        max_connections=CROWD)
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def plugin():
    return hosted('first')


@pytest.fixture
def ctx(worker, plugin, database):
    """A worker with two plugins, for a project that nobody has used before."""
    yield replace(
        worker, identity=Identity(user_id='ann', project_id=uuid.uuid4().hex),
        authorities={'first': plugin, 'second': hosted('second', plugin=MemoryAuthority)})
    with database.transaction() as connection:
        for table in (CERTIFICATE_ORDERS, ORDERS, PROJECT_AUTHORITIES, AUTHORITIES):
            connection.execute(table.delete())


@pytest.fixture
def root(ctx, rows):
    authorities.announce(ctx)
    return next(row.id for row in rows(AUTHORITIES) if row.plugin_name == 'first')


@pytest.fixture
def rows(database):
    def read(table):
        with database.statement() as connection:
            return connection.execute(sa.select(table)).all()
    return read


def at_once(*works):
    """What became of each, done all at once: its answer, or km's error."""
    def one(work):
        try:
            return work()
        except KmError as error:
            return error

    with ThreadPoolExecutor(CROWD) as threads:
        return list(threads.map(one, works))


def make(ctx, parent):
    return subordinates.create(ctx, name='ours', description='', subject=SUBJECT, parent_id=parent)


def test_many_workers_that_start_at_once_tell_of_each_once(ctx, rows):
    assert at_once(*[lambda: authorities.announce(ctx)] * CROWD) == [None] * CROWD
    assert sorted((row.plugin_name, row.plugin_ca_id, row.status) for row in rows(AUTHORITIES)) == [
        ('first', 'memory', 'ACTIVE'), ('second', 'memory', 'ACTIVE')]


def test_a_quota_of_three_lets_three_pass(ctx, root, rows, plugin):
    few = replace(ctx, quotas={**UNLIMITED, 'cas': 3})
    made = at_once(*[lambda: make(few, root)] * CROWD)
    assert len([one for one in made if isinstance(one, str)]) == 3
    assert len([one for one in made if isinstance(one, QuotaExceeded)]) == CROWD - 3
    assert set(plugin.guest.memory.issuers) == {'memory', *(
        row.id for row in rows(AUTHORITIES) if row.project_id)}


def test_many_who_choose_leave_one_preferred_of_each_kind(ctx, root, rows):
    ids = [row.id for row in rows(AUTHORITIES)]
    for choice in (authorities.add, authorities.prefer, authorities.prefer_globally):
        done = at_once(*[lambda ca_id=ca_id, choice=choice: choice(ctx, ca_id=ca_id)
                         for ca_id in ids * (CROWD // 2)])
        assert done == [None] * CROWD
    chosen = rows(PROJECT_AUTHORITIES)
    assert (len(chosen), len([row for row in chosen if row.is_preferred])) == (2, 1)
    assert len([row for row in rows(AUTHORITIES) if row.is_global_preferred]) == 1


def test_of_many_who_delete_one_a_single_one_does(ctx, root, plugin):
    ca_id = make(ctx, root)
    done = at_once(*[lambda: subordinates.delete(ctx, ca_id=ca_id)] * CROWD)
    assert done.count(None) == 1
    assert all(isinstance(one, NotFound) for one in done if one is not None)
    assert set(plugin.guest.memory.issuers) == {'memory'}


def test_none_is_made_under_one_that_is_deleted(ctx, root, plugin):
    for _ in range(10):
        upper = make(ctx, root)
        made, gone = at_once(partial(make, ctx, upper), partial(subordinates.delete, ctx, ca_id=upper))
        if gone is None:
            assert isinstance(made, Invalid), made
        else:
            assert isinstance(gone, Conflict), gone
            subordinates.delete(ctx, ca_id=made)
            subordinates.delete(ctx, ca_id=upper)
        assert set(plugin.guest.memory.issuers) == {'memory'}


def test_nothing_is_ordered_of_one_that_is_deleted(ctx, root, rows):
    @retried
    def order(ca_id):
        with ctx.transaction() as connection:
            authorities.choose(ctx, connection, ctx.identity.project_id, ca_id)
            write_an_order(connection, ctx, ca_id)

    for _ in range(10):
        upper = make(ctx, root)
        ordered, gone = at_once(partial(order, upper), partial(subordinates.delete, ctx, ca_id=upper))
        if gone is None:
            assert isinstance(ordered, Invalid), ordered
            assert upper not in {row.authority_id for row in rows(CERTIFICATE_ORDERS)}
        else:
            assert isinstance(gone, Conflict), gone
            assert ordered is None


def write_an_order(connection, ctx, ca_id):
    order_id, now = str(uuid.uuid4()), ctx.clock()
    connection.execute(ORDERS.insert(), {
        'id': order_id, 'project_id': ctx.identity.project_id, 'status': 'PENDING',
        'type': 'certificate', 'meta': '{}', 'created': now, 'updated': now, 'fence': 0,
        'attempts': 0, 'repeatable': True, 'lease_until': now})
    certificate_orders.insert(
        connection, order_id=order_id, authority_id=ca_id, request_type='custom', step='issue',
        give_up_at=now, renew_key=False)


def test_a_project_that_is_forgotten_while_it_has_some_made_has_none_in_the_end(ctx, root, rows, plugin):
    at_once(*[lambda: make(ctx, root)] * 6,
            *[lambda: subordinates.forget(ctx, ctx.identity.project_id)] * 2)
    subordinates.forget(ctx, ctx.identity.project_id)
    assert not any(row.project_id for row in rows(AUTHORITIES))
    assert set(plugin.guest.memory.issuers) == {'memory'}
