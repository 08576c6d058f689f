# SPDX-License-Identifier: Apache-2.0
"""How workers tell which stores they have, each at its start and many at once."""
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from km.errors import Unavailable
from km.lifecycle import secrets, stores
from tests.unit.lifecycle.test_secrets import NEW

TWO = {'memory': 'folder', 'other': 'vault'}


@pytest.fixture
def told(rows):
    """The stores as the table has them, without ids."""
    def read():
        return {row['name']: (row['plugin'], bool(row['global_default']), row['status'])
                for row in rows('secret_stores')}
    return read


def test_a_worker_tells_which_stores_it_has(ctx, told):
    stores.announce(ctx, TWO)
    assert told() == {'memory': ('folder', True, 'ACTIVE'), 'other': ('vault', False, 'ACTIVE')}


def test_a_store_keeps_its_id_whatever_else_changes(ctx, rows, told, clock):
    stores.announce(ctx, TWO)
    ids = {row['name']: row['id'] for row in rows('secret_stores')}
    clock.forward(hours=1)
    stores.announce(dataclasses.replace(ctx, default_store='other'), {**TWO, 'memory': 'newer'})
    assert told() == {'memory': ('newer', False, 'ACTIVE'), 'other': ('vault', True, 'ACTIVE')}
    assert {row['name']: row['id'] for row in rows('secret_stores')} == ids


def test_nothing_is_written_if_nothing_changed(ctx, database, rows):
    stores.announce(ctx, TWO)
    before, said = rows('secret_stores'), []
    event.listen(database.engine, 'before_cursor_execute',
                 lambda _c, _k, statement, *_: said.append(statement))
    stores.announce(ctx, TWO)
    assert [statement.split()[0] for statement in said] == ['SELECT']
    assert rows('secret_stores') == before


def test_a_store_that_is_gone_is_forgotten_unless_something_refers_to_it(ctx, told):
    stores.announce(ctx, TWO)
    stores.announce(ctx, {'memory': 'folder'})
    assert set(told()) == {'memory'}
    secrets.create(ctx, payload=b'x', content_type='text/plain', **NEW)
    stores.announce(dataclasses.replace(ctx, default_store='other'), {'other': 'vault'})
    assert told() == {'memory': ('folder', False, 'DISABLED'), 'other': ('vault', True, 'ACTIVE')}


def test_many_workers_may_start_at_once(ctx, told):
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda _: stores.announce(ctx, TWO), range(12)))
    assert set(told()) == set(TWO)


def test_a_store_that_does_not_delete_is_not_asked_for_ever(store):
    class Stubborn(type(store)):
        def delete(self, stored):
            pass

    secret_id = '5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
    store.store(secrets.StoreRequest(secret_id=secret_id, project_id='alpha', payload=b'x'))
    store.__class__ = Stubborn
    with pytest.raises(Unavailable):
        stores.destroy(store, secret_id, 'alpha')
