# SPDX-License-Identifier: Apache-2.0
"""New keys for a project: every payload is sealed anew, and read at every moment."""
import dataclasses

import pytest

from km.db import secrets as secret_rows
from km.errors import CannotOpen, Conflict, Invalid
from km.lifecycle import projects, rekeying, secrets, transport_keys, upkeep
from km.testing import MemoryKeyStore
from tests.unit.lifecycle.conftest import Killed, SameThread, killed_at


@pytest.fixture
def keys():
    """A store with keys of projects."""
    store = MemoryKeyStore('memory', None)
    store.open()
    return store


@pytest.fixture
def ctx(ctx, keys, store):
    """A worker whose default store has keys of projects, and another one has none."""
    return dataclasses.replace(ctx, stores={'memory': SameThread(keys), 'plain': SameThread(store)})


def create(ctx, payload=b'x', **more):
    return secrets.create(ctx, secret_type='opaque', payload=payload, **more)


def read(ctx, secret_id):
    with ctx.statement() as connection:
        row = secret_rows.state(connection, secret_id)
    return secrets.payload(ctx, secret_id=secret_id, project_id=row.project_id, store=row.store,
                           reference=row.reference)


def test_all_payloads_of_a_project_are_sealed_anew_and_none_of_another(ctx):
    ids = {create(ctx) for _ in range(120)}
    other = create(dataclasses.replace(
        ctx, identity=dataclasses.replace(ctx.identity, project_id='beta')))
    assert rekeying.count(ctx, 'alpha') == 120
    assert set(rekeying.rekey(ctx, 'alpha')) == ids
    assert rekeying.destroy_old_keys(ctx, 'alpha') == 1
    assert {read(ctx, secret_id) for secret_id in (*ids, other)} == {b'x'}


def test_cut_off_anywhere_it_is_done_the_next_time(ctx):
    ids = [create(ctx) for _ in range(3)]
    for step in (1, 2):
        with pytest.raises(Killed):
            list(rekeying.rekey(killed_at(ctx, step), 'alpha'))
        assert {read(ctx, secret_id) for secret_id in ids} == {b'x'}
    assert set(rekeying.rekey(ctx, 'alpha')) == set(ids)
    rekeying.destroy_old_keys(ctx, 'alpha')
    assert {read(ctx, secret_id) for secret_id in ids} == {b'x'}


def test_old_keys_stay_while_something_may_be_sealed_under_them(ctx, clock, keys, monkeypatch):
    expired = create(ctx, expiration=clock.now)
    with pytest.raises(Conflict, match='1 secrets of the project are on their way'):
        rekeying.destroy_old_keys(ctx, 'alpha')
    secrets.delete(ctx, secret_id=expired)

    def killed(request):
        MemoryKeyStore.store(keys, request)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(keys, 'store', killed)
        with pytest.raises(Killed):
            create(ctx)
    with pytest.raises(Conflict):
        rekeying.destroy_old_keys(ctx, 'alpha')
    clock.forward(hours=1)
    upkeep.sweep(ctx)
    assert rekeying.destroy_old_keys(ctx, 'alpha') == 0


def test_what_was_on_its_way_while_its_store_was_rekeyed_is_not_lost_with_the_old_keys(
        ctx, keys, monkeypatch):
    create(ctx)

    def slow(request):
        reference = MemoryKeyStore.store(keys, request)
        assert list(rekeying.rekey(ctx, 'alpha'))
        return reference

    with monkeypatch.context() as patched:
        patched.setattr(keys, 'store', slow)
        arrived = create(ctx, b'late')
    assert rekeying.destroy_old_keys(ctx, 'alpha') == 1
    assert read(ctx, arrived) == b'late'


def test_a_project_that_is_forgotten_has_no_key_any_more(ctx, keys):
    secret_id = create(ctx)
    (attempt, payload), = keys._attempts.items()
    sealed_by = keys._sealed_by[attempt]
    assert projects.forget(ctx, 'alpha') == 1
    keys._attempts[attempt], keys._sealed_by[attempt] = payload, sealed_by  # of a backup
    with pytest.raises(CannotOpen):
        keys.retrieve(secrets.StoredSecret(
            secret_id=secret_id, project_id='alpha', reference={'attempt': attempt[1]}))


def test_without_an_id_of_a_project_the_transport_keys_keep_their_key(ctx, keys):
    transport_keys.current(ctx)
    for lost in (projects.forget, lambda *named: list(rekeying.rekey(*named))):
        with pytest.raises(Invalid, match='is empty'):
            lost(ctx, '')
    assert keys._newest('') == min(number for owner, number in keys._project_keys if owner == '')


def test_a_project_of_which_something_is_left_keeps_its_key(ctx, keys, monkeypatch):
    secret_id = create(ctx)
    with monkeypatch.context() as patched:
        patched.setattr(keys, 'delete', lambda stored: 1 / 0)
        projects.forget(ctx, 'alpha')
    assert keys._newest('alpha')
    with ctx.statement() as connection:
        assert secret_rows.state(connection, secret_id).status == 'DELETING'
