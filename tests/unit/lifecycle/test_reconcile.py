# SPDX-License-Identifier: Apache-2.0
"""The metadata and the stores, compared both ways."""
import uuid

import pytest

from km.interfaces import StoredSecret, StoreRequest
from km.lifecycle import secrets
from km.lifecycle.reconcile import reconcile
from tests.unit.lifecycle.conftest import Killed

NEW = {'secret_type': 'opaque', 'name': None, 'algorithm': None, 'mode': None, 'bit_length': None,
       'expiration': None}


def created(ctx):
    return secrets.create(ctx, payload=b'a payload', content_type='text/plain', **NEW)


def kept(store, secret_id):
    reference = store.store(StoreRequest(secret_id=secret_id, project_id='alpha', payload=b'x'))
    return StoredSecret(secret_id=secret_id, project_id='alpha', reference=reference)


def found(ctx, **how):
    return [(difference.secret_id, difference.problem, difference.mended)
            for difference in reconcile(ctx, **how)]


def test_a_km_in_order_has_no_differences(ctx):
    for _ in range(250):  # more than two pages
        created(ctx)
    secrets.create(ctx, **NEW)
    assert found(ctx) == []


def test_what_is_missing_is_told_and_cannot_be_mended(ctx, store):
    lost, _ = created(ctx), created(ctx)
    store.delete(StoredSecret(secret_id=lost, project_id='alpha', reference=store.find(lost)))
    for fix in (False, True):
        assert found(ctx, fix=fix) == [(lost, 'is missing from the store', False)]


def test_what_is_nobodys_is_told_and_destroyed_if_asked(ctx, store):
    whole, orphan = created(ctx), str(uuid.uuid4())
    kept(store, orphan)
    told = 'is in the store and has no row'
    assert found(ctx) == [(orphan, told, False)]
    assert found(ctx, fix=True) == [(orphan, told, True)]
    assert found(ctx) == []
    assert list(store.payloads) == [whole]


def test_an_attempt_that_lost_its_race_is_destroyed_and_the_secret_stays(ctx, store):
    secret_id = created(ctx)
    kept(store, secret_id)
    assert len(found(ctx, fix=True)) == 1
    assert store.payloads == {secret_id: b'a payload'}


@pytest.mark.parametrize('when', ['before', 'after'])
def test_what_is_on_its_way_is_left_alone(ctx, store, when):
    store.fail = {('store', when): Killed()}
    with pytest.raises(Killed):
        created(ctx)
    before = store.payloads
    assert found(ctx, fix=True) == []
    assert store.payloads == before
