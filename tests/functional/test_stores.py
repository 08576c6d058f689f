# SPDX-License-Identifier: Apache-2.0
"""Secret stores over HTTP, as every process of a km writes them down at its start."""
import pytest
import sqlalchemy as sa

from tests.functional.assertions import assert_refused, with_keystone


@pytest.fixture
def store(km):
    return km.get('/v1/secret-stores/global-default').json()


def test_every_process_has_written_down_the_same_stores(km, store):
    assert km.get('/v1/secret-stores').json() == {'secret_stores': [store]}
    assert (store['name'], store['status']) == ('soft', 'ACTIVE')
    assert store['secret_store_plugin'] == 'simple_crypto'
    assert km.get(store['secret_store_ref']).json() == store
    with km.metadata.connect() as connection:
        assert connection.scalar(sa.text('SELECT count(*) FROM secret_stores')) == 1


@with_keystone
def test_a_member_sees_the_stores_and_chooses_none(km, store):
    assert_refused(km.post(store['secret_store_ref'] + '/preferred'), 403)
    assert_refused(km.get('/v1/secret-stores/preferred'), 404)
    assert_refused(km.get('/v1/secret-stores/preferred/other'), 403)
