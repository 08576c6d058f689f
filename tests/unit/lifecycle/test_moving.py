# SPDX-License-Identifier: Apache-2.0
"""Payloads on their way from store to store: read all the while, killed at each step, deleted."""
import dataclasses

import pytest

from km.db import secrets as secret_rows
from km.errors import CannotOpen, Conflict, Invalid, NotFound, Rejected, Unavailable
from km.hosting.deadlines import Overdue
from km.lifecycle import moving, reconcile, secrets, stores, upkeep
from km.testing import open_plugin
from tests.unit.lifecycle.conftest import FragileStore, Killed, SameThread, killed_at

PAYLOAD = b'on the move'


@pytest.fixture
def target():
    store = open_plugin(FragileStore)
    store.name = 'other'
    return store


@pytest.fixture
def ctx(ctx, target):
    return dataclasses.replace(ctx, stores={**ctx.stores, 'other': SameThread(target)})


@pytest.fixture
def secret_id(ctx):
    return secrets.create(ctx, secret_type='opaque', payload=PAYLOAD, content_type='text/plain')


def move(ctx):
    """Move all that is in the first store to the other one; what became of each."""
    return list(moving.move_all(ctx, source='memory', target='other', project_id=None))


def read(ctx, secret_id, row=None):
    """The payload, as somebody reads it who saw ``row`` before."""
    with ctx.statement() as connection:
        row = row or secret_rows.state(connection, secret_id)
    return secrets.payload(ctx, secret_id=secret_id, project_id=row.project_id, store=row.store,
                           reference=row.reference)


def settled(ctx, clock):
    clock.forward(hours=1)
    assert upkeep.sweep(ctx).failed == 0
    assert list(reconcile.reconcile(ctx)) == []


def assert_whole(ctx, rows, stores, secret_id):
    """The secret is active and in one store alone, and nobody is at it."""
    row, = rows()
    assert (row['status'], row['intent'], row['other_store']) == ('ACTIVE', None, None)
    assert {name: store.payloads for name, store in stores.items()} == {
        name: {secret_id: PAYLOAD} if name == row['store'] else {} for name in stores}
    assert read(ctx, secret_id) == PAYLOAD


def test_payloads_move_and_nothing_stays_behind(ctx, rows, store, target, secret_id):
    assert move(ctx) == [moving.Moved(secret_id)]
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)
    assert rows()[0]['store'] == 'other'
    assert move(ctx) == []


def test_more_than_a_page_moves_each_once(ctx, store, target):
    ids = {secrets.create(ctx, secret_type='opaque', payload=PAYLOAD) for _ in range(120)}
    moved = move(ctx)
    assert len(moved) == 120
    assert {outcome.secret_id for outcome in moved} == ids == set(target.payloads)
    assert store.payloads == {}


def test_the_payloads_of_one_project_move_alone(ctx, store, secret_id):
    assert moving.count(ctx, store='memory', project_id='beta') == 0
    assert list(moving.move_all(ctx, source='memory', target='other', project_id='beta')) == []
    assert moving.count(ctx, store='memory', project_id='alpha') == 1
    assert list(moving.move_all(ctx, source='memory', target='other', project_id='alpha'))


def test_what_expired_or_has_no_payload_stays(ctx, clock, target):
    secrets.create(ctx, secret_type='opaque')
    secrets.create(ctx, secret_type='opaque', payload=PAYLOAD, expiration=clock.now)
    assert move(ctx) == []


# The database is opened for a page, to claim, to switch, before erasing, to let go, for the next pass.
@pytest.mark.parametrize('step', range(1, 8))
def test_killed_between_any_two_steps_it_is_whole_and_moves_the_next_time(
        ctx, rows, store, target, clock, secret_id, step):
    with pytest.raises(Killed):
        move(killed_at(ctx, step))
    assert read(ctx, secret_id) == PAYLOAD
    settled(ctx, clock)
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)
    move(ctx)
    assert rows()[0]['store'] == 'other'


@pytest.mark.parametrize('when', ['before', 'after'])
@pytest.mark.parametrize(('where', 'method'), [('target', 'store'), ('store', 'delete')])
def test_killed_inside_a_store_it_is_whole(
        ctx, rows, store, target, clock, secret_id, where, method, when):
    fragile = {'target': target, 'store': store}[where]
    fragile.fail = {(method, when): Killed()}
    with pytest.raises(Killed):
        move(ctx)
    fragile.fail = {}
    assert read(ctx, secret_id) == PAYLOAD
    settled(ctx, clock)
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)


def test_who_saw_where_it_was_reads_it_where_it_is(ctx, secret_id):
    with ctx.statement() as connection:
        before = secret_rows.state(connection, secret_id)
    move(ctx)
    assert read(ctx, secret_id, before) == PAYLOAD


def test_what_does_not_open_stays_is_told_once_and_the_others_move(ctx, store, target, secret_id):
    lost = secrets.create(ctx, secret_type='opaque', payload=PAYLOAD)
    del store._attempts[next(attempt for attempt in store._attempts if attempt[0] == lost)]
    assert sorted(move(ctx)) == sorted([moving.Moved(secret_id), moving.Moved(
        lost, failure='Nothing is kept under this reference.')])
    assert set(target.payloads) == {secret_id}


def test_what_the_other_store_gives_back_altered_stays(ctx, rows, store, target, secret_id):
    target.retrieve = lambda stored: b'altered'
    outcome, = move(ctx)
    assert 'does not give back what it was given' in outcome.failure
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)


def test_a_store_that_does_not_answer_ends_it_and_what_has_moved_has(ctx, rows, store, target, clock):
    for _ in range(3):
        secrets.create(ctx, secret_type='opaque', payload=PAYLOAD)
    keep, kept = target.store, []

    def down_after_one(request):
        if kept:
            raise Unavailable('No.')
        kept.append(request.secret_id)
        return keep(request)

    target.store = down_after_one
    with pytest.raises(Unavailable):
        move(ctx)
    assert [row['intent'] for row in rows()] == [None] * 3
    assert {row['id'] for row in rows() if row['store'] == 'other'} == set(kept) == set(target.payloads)
    assert set(store.payloads) == {row['id'] for row in rows() if row['store'] == 'memory'}
    target.store = keep
    assert len(move(ctx)) == 2


def test_what_may_arrive_late_is_left_to_the_sweep(ctx, rows, store, target, clock, secret_id):
    keep = target.store

    def late(request):
        keep(request)
        raise Overdue('It took too long.')

    target.store = late
    with pytest.raises(Unavailable):
        move(ctx)
    assert rows()[0]['other_store'] == 'other'
    settled(ctx, clock)
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)


def test_deleted_on_the_way_it_is_gone_from_both_stores(ctx, rows, store, target, secret_id):
    keep = target.store

    def meanwhile(request):
        secrets.delete(ctx, secret_id=secret_id)
        return keep(request)

    target.store = meanwhile
    assert move(ctx) == [moving.Moved(secret_id, gone=True)]
    assert (rows(), store.payloads, target.payloads) == ([], {}, {})


def test_deleted_while_its_mover_is_dead_it_is_gone_after_the_sweep(
        ctx, rows, store, target, clock, secret_id):
    target.fail = {('store', 'after'): Killed()}
    with pytest.raises(Killed):
        move(ctx)
    target.fail = {}
    secrets.delete(ctx, secret_id=secret_id)
    settled(ctx, clock)
    assert (rows(), store.payloads, target.payloads) == ([], {}, {})


def test_a_mover_that_was_taken_for_dead_leaves_nothing(ctx, rows, store, target, clock, secret_id):
    keep = target.store

    def slow(request):
        target.store = keep
        clock.forward(hours=1)
        upkeep.sweep(ctx)
        return keep(request)

    target.store = slow
    assert move(ctx)[0].gone
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)


def test_a_mover_that_was_taken_for_dead_does_not_erase_what_was_moved_back_meanwhile(
        ctx, rows, store, target, clock, secret_id):
    find = store.find

    def slow(found):
        store.find = find
        clock.forward(hours=1)
        upkeep.sweep(ctx)
        assert len(list(moving.move_all(ctx, source='other', target='memory', project_id=None))) == 1
        return find(found)

    store.find = slow  # the payload has arrived; what is left in the first store is erased
    move(ctx)
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)


def test_a_mover_whose_copy_failed_does_not_erase_what_another_has_moved_meanwhile(
        ctx, rows, store, target, clock, secret_id):
    find = target.find

    def slow(found):
        target.find, target.fail = find, {}
        clock.forward(hours=1)
        upkeep.sweep(ctx)
        assert move(ctx) == [moving.Moved(secret_id)]
        return find(found)

    target.find, target.fail = slow, {('store', 'before'): Rejected('No.')}
    assert move(ctx)[0].failure == 'No.'
    assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)


@pytest.fixture
def store_id(ctx):
    """The id of the other store."""
    stores.announce(ctx, {'memory': 'memory', 'other': 'memory'})
    with ctx.statement() as connection:
        return connection.exec_driver_sql(
            "SELECT id FROM secret_stores WHERE name = 'other'").scalar_one()


def test_one_secret_moves_and_moving_it_there_again_changes_nothing(
        ctx, rows, store, target, secret_id, store_id):
    for _ in range(2):
        moving.move(ctx, secret_id=secret_id, store_id=store_id)
        assert_whole(ctx, rows, {'memory': store, 'other': target}, secret_id)
        assert rows()[0]['store'] == 'other'


def test_a_secret_that_cannot_be_moved_says_why(ctx, target, secret_id, store_id):
    def refused(error, moved=secret_id, where=store_id):
        with pytest.raises(error):
            moving.move(ctx, secret_id=moved, store_id=where)

    refused(NotFound, where='nowhere')
    refused(NotFound, moved='nobody')
    refused(Invalid, moved=secrets.create(ctx, secret_type='opaque'))
    for error in (Rejected, Unavailable, CannotOpen):
        target.fail = {('store', 'before'): error('No.')}
        refused(error)
    target.fail = {('store', 'after'): Killed()}
    with pytest.raises(Killed):
        moving.move(ctx, secret_id=secret_id, store_id=store_id)
    refused(Conflict)
    secrets.delete(ctx, secret_id=secret_id)
    refused(NotFound)
