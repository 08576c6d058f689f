# SPDX-License-Identifier: Apache-2.0
"""Secret stores over HTTP, as every process of a km writes them down at its start."""
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from oslo_utils import timeutils

from km.conf.load import new
from km.db.engine import Database
from km.hosting.store import HostedStore
from km.lifecycle import stores, transport_keys
from km.lifecycle.context import Context
from km.testing import MemoryStore
from tests.functional.assertions import assert_refused, with_keystone

AT_ONCE = 12


@pytest.fixture
def store(km):
    return km.get('/v1/secret-stores/global-default').json()


def test_every_process_has_written_down_the_same_stores(km, store):
    assert km.get('/v1/secret-stores').json() == {'secret_stores': [store]}
    assert (store['name'], store['status']) == ('soft', 'ACTIVE')
    assert store['secret_store_plugin'] == km.option('secret_store:soft', 'plugin')
    assert km.get(store['secret_store_ref']).json() == store
    with km.metadata.connect() as connection:
        assert connection.scalar(sa.text('SELECT count(*) FROM secret_stores')) == 1


@with_keystone
def test_a_member_sees_the_stores_and_chooses_none(km, store):
    assert_refused(km.post(store['secret_store_ref'] + '/preferred'), 403)
    assert_refused(km.get('/v1/secret-stores/preferred'), 404)
    assert_refused(km.get('/v1/secret-stores/preferred/other'), 403)


@pytest.fixture(params=['postgresql', 'mariadb'])
def ctx(request):
    """What a worker works with, on a real database and a store in memory."""
    server, conf = request.getfixturevalue(request.param), new()
    conf.set_override('bits', 2048, group='transport_keys')
    database = Database(server.create_database(f'km_{uuid.uuid4().hex}'))
    database.upgrade()
    store = HostedStore(MemoryStore('plugin', None))
    store.open()
    yield Context(
        stores={'plugin': store}, default_store='plugin',
        statement=database.statement, transaction=database.transaction,
        intent_timeout=timedelta(minutes=10), quotas={}, orders=conf.orders,
        certificates=conf.certificates, events=conf.events,
        transport_keys=conf.transport_keys, cast=None, clock=timeutils.utcnow)
    database.close()


def at_once(work):
    """What each of many threads got that did the same."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda _: work(), range(AT_ONCE)))


def test_workers_that_start_at_once_agree_on_the_stores(ctx):
    at_once(lambda: stores.announce(ctx, {'plugin': 'memory', 'other': 'memory'}))
    at_once(lambda: stores.announce(ctx, {'plugin': 'another'}))
    with ctx.statement() as connection:
        row, = connection.execute(sa.text('SELECT name, plugin, status FROM secret_stores'))
    assert row == ('plugin', 'another', 'ACTIVE')


def test_of_transport_keys_made_at_once_one_is_left(ctx):
    first, = set(at_once(lambda: transport_keys.current(ctx)))
    second, = set(at_once(lambda: transport_keys._make(ctx, instead_of=first)))
    with ctx.statement() as connection:
        rows = connection.execute(sa.text('SELECT id, is_current FROM transport_keys'))
        assert {id_: bool(current) for id_, current in rows} == {first: False, second: True}
    assert set(ctx.stores['plugin'].guest.payloads) == {first, second}
