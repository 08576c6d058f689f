# SPDX-License-Identifier: Apache-2.0
"""Transport keys when everything goes wrong: races, stores that fail, a process killed at every step."""
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from km.conf.load import new
from km.errors import Invalid, NotFound, Unavailable
from km.lifecycle import transport_keys, upkeep
from tests.unit.lifecycle.conftest import Killed, killed_at
from tests.unit.lifecycle.test_secrets import swept

SCHEME = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@pytest.fixture
def conf():
    conf = new()
    conf.set_override('bits', 2048, group='transport_keys')
    return conf


@pytest.fixture
def ctx(ctx, conf):
    return dataclasses.replace(ctx, transport_keys=conf.transport_keys)


@pytest.fixture
def keys(rows):
    """The rows of transport keys by id."""
    return lambda: {row['id']: row for row in rows('transport_keys')}


def wrapped_with(keys, key_id, payload=b'a payload'):
    public = serialization.load_pem_public_key(keys()[key_id]['transport_key'].encode())
    return public.encrypt(payload, SCHEME)


def unwrap(ctx, wrapped, key_id):
    return transport_keys.unwrap(
        ctx, wrapped, transport_key_id=key_id, padding=None, content_type='text/plain')


def assert_one_that_works(ctx, keys, store):
    """There is one key, current and ready, its private half is kept, and nothing else is."""
    key_id = transport_keys.current(ctx)
    row = keys()[key_id]
    assert (row['status'], row['intent'], row['is_current']) == ('ACTIVE', None, 1)
    assert set(keys()) == set(store.payloads) == {key_id}
    assert unwrap(ctx, wrapped_with(keys, key_id), key_id) == b'a payload'


def test_the_first_who_asks_has_a_key_made_and_the_next_get_the_same(ctx, keys, store):
    assert transport_keys.current(ctx) == transport_keys.current(ctx)
    assert_one_that_works(ctx, keys, store)


def test_the_private_half_is_in_the_store_and_not_in_the_row(ctx, keys, store):
    key_id = transport_keys.current(ctx)
    row = keys()[key_id]
    assert 'PRIVATE' not in str(row)
    private = serialization.load_der_private_key(store.payloads[row['id']], None)
    assert private.key_size == 2048
    assert private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo,
    ).decode() == row['transport_key']


def test_of_many_who_ask_first_all_get_the_same_key(ctx, keys, store):
    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(lambda _: transport_keys.current(ctx), range(6)))) == 1
    assert_one_that_works(ctx, keys, store)


def test_of_many_who_rotate_at_once_all_get_the_same_key(ctx, keys, store):
    first = transport_keys.current(ctx)
    with ThreadPoolExecutor(6) as threads:
        found = set(threads.map(lambda _: transport_keys._make(ctx, instead_of=first), range(6)))
    assert len(found) == 1
    assert set(keys()) == set(store.payloads) == {first, *found}


@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_store_that_fails_leaves_nothing(ctx, keys, store, when):
    store.fail = {('store', when): Unavailable('Down.')}
    with pytest.raises(Unavailable):
        transport_keys.current(ctx)
    assert (keys(), store.payloads) == ({}, {})


@pytest.mark.parametrize('step', [1, 2, 3])
def test_killed_while_a_key_is_made_leaves_nothing_after_a_sweep(ctx, keys, store, clock, step):
    with pytest.raises(Killed):
        transport_keys.current(killed_at(ctx, step))
    swept(ctx, clock)
    assert (keys(), store.payloads) == ({}, {})
    assert_one_that_works(ctx, keys, store)


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_store_leaves_nothing_after_a_sweep(ctx, keys, store, clock, when):
    store.fail = {('store', when): Killed()}
    with pytest.raises(Killed):
        transport_keys.current(ctx)
    store.fail = {}
    assert upkeep.sweep(ctx) == upkeep.Swept(), 'a sweep must leave work alone that may yet go on'
    swept(ctx, clock)
    assert (keys(), store.payloads) == ({}, {})


@pytest.mark.parametrize('step', [1, 2, 3])
def test_killed_while_rotating_leaves_the_key_there_was(ctx, keys, store, clock, step):
    transport_keys.current(ctx)
    with pytest.raises(Killed):
        transport_keys.rotate(killed_at(ctx, step))
    swept(ctx, clock)
    assert_one_that_works(ctx, keys, store)


def test_killed_between_the_store_and_the_row_still_deletes(ctx, keys, store, clock):
    key_id = transport_keys.current(ctx)
    with pytest.raises(Killed):
        transport_keys.delete(killed_at(ctx, 2), transport_key_id=key_id)
    assert [row['status'] for row in keys().values()] == ['DELETING']
    swept(ctx, clock)
    assert (keys(), store.payloads) == ({}, {})


def test_killed_before_deleting_began_changes_nothing(ctx, keys, store, clock):
    key_id = transport_keys.current(ctx)
    with pytest.raises(Killed):
        transport_keys.delete(killed_at(ctx, 1), transport_key_id=key_id)
    swept(ctx, clock)
    assert_one_that_works(ctx, keys, store)


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_stores_delete_still_deletes(ctx, keys, store, clock, when):
    key_id = transport_keys.current(ctx)
    store.fail = {('delete', when): Killed()}
    with pytest.raises(Killed):
        transport_keys.delete(ctx, transport_key_id=key_id)
    store.fail = {}
    swept(ctx, clock)
    assert (keys(), store.payloads) == ({}, {})


def test_a_slow_process_taken_for_dead_cannot_finish_what_was_undone(ctx, keys, store, clock):
    class Slow(type(store)):
        def store(self, request):
            reference = super().store(request)
            swept(ctx, clock)
            return reference

    fast, store.__class__ = store.__class__, Slow
    with pytest.raises(Unavailable):
        transport_keys.current(ctx)
    assert (keys(), store.payloads) == ({}, {})
    store.__class__ = fast
    assert_one_that_works(ctx, keys, store)


def test_a_deleted_key_opens_nothing_any_more_and_another_takes_its_place(ctx, keys, store):
    key_id = transport_keys.current(ctx)
    wrapped = wrapped_with(keys, key_id)
    transport_keys.delete(ctx, transport_key_id=key_id)
    with pytest.raises(Invalid):
        unwrap(ctx, wrapped, key_id)
    with pytest.raises(NotFound):
        transport_keys.delete(ctx, transport_key_id=key_id)
    assert transport_keys.current(ctx) != key_id
    assert_one_that_works(ctx, keys, store)


def test_a_key_of_age_is_rotated_by_the_sweep_and_opens_payloads_until_it_is_retired(
        ctx, keys, store, clock):
    first = transport_keys.current(ctx)
    wrapped = wrapped_with(keys, first)
    clock.forward(days=30, seconds=-1)
    upkeep.sweep(ctx)
    assert transport_keys.current(ctx) == first
    clock.forward(seconds=1)
    upkeep.sweep(ctx)
    second = transport_keys.current(ctx)
    assert second != first
    clock.forward(days=7, seconds=-1)
    upkeep.sweep(ctx)
    assert unwrap(ctx, wrapped, first) == b'a payload'
    clock.forward(seconds=1)
    assert upkeep.sweep(ctx).expired == 1
    with pytest.raises(Invalid, match='unknown or retired'):
        unwrap(ctx, wrapped, first)
    assert set(keys()) == set(store.payloads) == {second}


def test_a_sweep_makes_no_key_that_nobody_asked_for(ctx, keys):
    upkeep.sweep(ctx)
    assert keys() == {}


def test_a_store_that_is_down_does_not_stop_the_sweep(ctx, keys, store, clock):
    first = transport_keys.current(ctx)
    clock.forward(days=31)
    store.fail = {('store', 'before'): Unavailable('Down.')}
    assert upkeep.sweep(ctx).failed == 1
    assert transport_keys.current(ctx) == first
    store.fail = {}
    assert upkeep.sweep(ctx).failed == 0
    assert transport_keys.current(ctx) != first


def test_nothing_is_made_rotated_or_unwrapped_where_transport_keys_are_off(ctx, conf, keys, clock):
    key_id = transport_keys.current(ctx)
    wrapped = wrapped_with(keys, key_id)
    conf.set_override('enabled', False, group='transport_keys')
    with pytest.raises(NotFound):
        transport_keys.current(ctx)
    with pytest.raises(Invalid):
        unwrap(ctx, wrapped, key_id)
    clock.forward(days=31)
    upkeep.sweep(ctx)
    assert set(keys()) == {key_id}


def test_the_older_padding_is_guessed_only_where_the_operator_says_so(ctx, conf, keys):
    key_id = transport_keys.current(ctx)
    public = serialization.load_pem_public_key(keys()[key_id]['transport_key'].encode())
    wrapped = public.encrypt(b'a payload', padding.PKCS1v15())
    with pytest.raises(Invalid, match='does not open'):
        unwrap(ctx, wrapped, key_id)
    conf.set_override('legacy_padding', True, group='transport_keys')
    assert unwrap(ctx, wrapped, key_id) == b'a payload'
    assert unwrap(ctx, wrapped_with(keys, key_id), key_id) == b'a payload'


@pytest.mark.parametrize('payload', [b'', b'\xff\xfe'])
def test_what_could_not_be_read_again_as_text_is_refused(ctx, keys, payload):
    key_id = transport_keys.current(ctx)
    with pytest.raises(Invalid):
        unwrap(ctx, wrapped_with(keys, key_id, payload), key_id)
