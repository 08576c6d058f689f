# SPDX-License-Identifier: Apache-2.0
"""Orders when everything goes wrong: processes killed at every step, messages lost, doubled and late."""
import dataclasses
import logging

import pytest

from km.db import secrets as secret_rows
from km.db.failures import Undone
from km.errors import NotFound, Rejected, Unavailable
from km.lifecycle import orders, secrets, upkeep
from tests.unit.lifecycle.conftest import Killed, killed_at

META = {'name': 'disk', 'mode': None, 'expiration': None, 'payload_content_type': None}
KEY = {'order_type': 'key', 'meta': {**META, 'algorithm': 'aes', 'bit_length': 256}}
PAIR = {'order_type': 'asymmetric', 'meta': {**META, 'algorithm': 'ec', 'bit_length': 256}}
SLOW = {'order_type': 'asymmetric', 'meta': {**META, 'algorithm': 'rsa', 'bit_length': 3072}}
MADE = {'key': 1, 'asymmetric': 2}


def settled(ctx, clock):
    """Every order's end, after sweeps that come late enough to find what was abandoned."""
    for _ in range(2):
        clock.forward(hours=2)
        upkeep.sweep(ctx)


def the_order(rows):
    row, = rows('orders')
    return row


def assert_made_once(rows, store, kind='key'):
    """The order is active, with exactly what it makes, whole; nothing else is anywhere."""
    order = the_order(rows)
    assert order['status'] == 'ACTIVE'
    kept = rows()
    assert [row['status'] for row in kept] == ['ACTIVE'] * MADE[kind]
    assert {row['id'] for row in kept} == set(store.payloads)
    assert len(rows('containers')) == int(kind == 'asymmetric')
    if kind == 'key':
        assert order['secret_id'] == kept[0]['id']
    else:
        assert order['container_id'] == rows('containers')[0]['id']
        assert {row['secret_id'] for row in rows('container_secrets')} == set(store.payloads)


def test_a_quick_order_is_fulfilled_where_it_was_placed(ctx, rows, store):
    orders.place(ctx, **KEY)
    assert_made_once(rows, store)
    assert ctx.cast == []


def test_a_slow_order_is_cast_after_its_row_is_there_and_fulfilled_elsewhere(ctx, rows, store):
    order_id = orders.place(ctx, **SLOW)
    assert (the_order(rows)['status'], store.payloads) == ('PENDING', {})
    assert ctx.cast == [(orders.process, {'order_id': order_id})]
    orders.process(ctx, order_id=order_id)
    assert_made_once(rows, store, 'asymmetric')


def test_a_message_that_is_lost_is_made_up_for_by_the_sweep(ctx, rows, store, clock):
    orders.place(ctx, **SLOW)
    assert upkeep.sweep(ctx).ordered == 1
    assert_made_once(rows, store, 'asymmetric')


def test_a_message_that_cannot_be_sent_does_not_fail_the_order(ctx, rows, store, caplog):
    def broken(_task, **_arguments):
        raise Unavailable('No broker.')

    orders.place(dataclasses.replace(ctx, cast=broken), **SLOW)
    assert 'waits for the sweep: No broker.' in caplog.text
    upkeep.sweep(ctx)
    assert_made_once(rows, store, 'asymmetric')


@pytest.mark.parametrize('order', [KEY, SLOW], ids=['quick', 'slow'])
def test_a_message_that_comes_twice_or_late_changes_nothing(ctx, rows, store, clock, order):
    order_id = orders.place(ctx, **order)
    for _ in range(3):
        orders.process(ctx, order_id=order_id)
        clock.forward(hours=1)
    assert_made_once(rows, store, order['order_type'])
    orders.delete(ctx, order_id=order_id)
    orders.process(ctx, order_id=order_id)
    assert rows('orders') == []


# Placing opens the database to begin, and to record.
@pytest.mark.parametrize('step', [1, 2])
@pytest.mark.parametrize('order', [KEY, PAIR], ids=['key', 'pair'])
def test_killed_at_any_step_of_a_quick_order_one_effect_remains(ctx, rows, store, clock, order, step):
    with pytest.raises(Killed):
        orders.place(killed_at(ctx, step), **order)
    settled(ctx, clock)
    if step == 1:
        assert (rows('orders'), rows(), store.payloads) == ([], [], {})
    else:
        assert_made_once(rows, store, order['order_type'])


# Processing opens the database to claim, to begin, and to record.
@pytest.mark.parametrize('step', [1, 2, 3])
@pytest.mark.parametrize('again', [1, 2, 3])
def test_killed_twice_at_any_step_of_a_slow_order_one_effect_remains(
        ctx, rows, store, clock, step, again):
    order_id = orders.place(ctx, **SLOW)
    with pytest.raises(Killed):
        orders.process(killed_at(ctx, step), order_id=order_id)
    clock.forward(hours=2)
    with pytest.raises(Killed):
        orders.process(killed_at(ctx, again), order_id=order_id)
    settled(ctx, clock)
    assert_made_once(rows, store, 'asymmetric')


@pytest.mark.parametrize('when', ['before', 'after'])
@pytest.mark.parametrize('order', [KEY, PAIR], ids=['key', 'pair'])
def test_killed_inside_the_store_one_effect_remains(ctx, rows, store, clock, order, when):
    store.fail = {('store', when): Killed()}
    with pytest.raises(Killed):
        orders.place(ctx, **order)
    store.fail = {}
    settled(ctx, clock)
    assert_made_once(rows, store, order['order_type'])


def slow_store(store, meanwhile):
    """A store whose next ``store`` takes so long that ``meanwhile`` happens before it returns."""
    keep = store.store

    def slow(request):
        store.store = keep
        reference = keep(request)
        meanwhile()
        return reference

    store.store = slow


@pytest.mark.parametrize('order', [KEY, PAIR], ids=['key', 'pair'])
def test_a_worker_that_was_taken_for_dead_undoes_what_it_made(ctx, rows, store, clock, caplog, order):
    def overtaken():
        clock.forward(minutes=5)
        assert upkeep.sweep(ctx).ordered == 1

    slow_store(store, overtaken)
    orders.place(ctx, **order)
    assert 'taken over from claim 1' in caplog.text
    settled(ctx, clock)
    assert_made_once(rows, store, order['order_type'])


def test_an_order_that_is_deleted_while_it_is_made_leaves_nothing(ctx, rows, store, clock):
    slow_store(store, lambda: orders.delete(ctx, order_id=the_order(rows)['id']))
    orders.place(ctx, **PAIR)
    settled(ctx, clock)
    assert (rows('orders'), rows(), rows('containers'), store.payloads) == ([], [], [], {})


def test_a_secret_whose_sweep_came_first_does_not_become_real(ctx, rows, store, clock):
    def swept_away():
        clock.forward(minutes=11)
        upkeep._end_abandoned(ctx, upkeep.Swept(), secret_rows, upkeep._end_secret)

    slow_store(store, swept_away)
    orders.place(ctx, **KEY)
    assert (rows(), store.payloads, the_order(rows)['status']) == ([], {}, 'PENDING')
    settled(ctx, clock)
    assert_made_once(rows, store)


def test_an_order_whose_store_is_down_is_tried_again_with_longer_and_longer_pauses(
        ctx, rows, store, clock):
    store.fail = {('store', 'before'): Unavailable('The store is down.')}
    orders.place(ctx, **KEY)
    assert (the_order(rows)['status'], rows()) == ('PENDING', [])
    for pause in (10, 20, 40):
        clock.forward(seconds=pause - 1)
        assert upkeep.sweep(ctx).ordered == 0
        clock.forward(seconds=1)
        assert upkeep.sweep(ctx).ordered == 1
    store.fail = {}
    settled(ctx, clock)
    assert_made_once(rows, store)


def test_an_order_is_given_up_when_it_was_tried_enough(ctx, rows, store, clock):
    store.fail = {('store', 'before'): Unavailable('The store is down.')}
    orders.place(ctx, **KEY)
    for _ in range(30):
        clock.forward(hours=2)
        upkeep.sweep(ctx)
    order = the_order(rows)
    assert (order['status'], order['error_status_code'], order['error_reason']) == (
        'ERROR', '503', 'The store is down.')
    assert order['attempts'] == ctx.orders.most_attempts


@pytest.mark.parametrize(('error', 'code', 'reason'), [
    (Rejected('Too strong.'), '400', 'Too strong.'),
    (ValueError('unmistakable'), '500', 'The order failed - please contact site administrator.')])
def test_what_a_store_refuses_or_breaks_at_fails_the_order(ctx, rows, store, error, code, reason):
    store.fail = {('store', 'before'): error}
    orders.place(ctx, **PAIR)
    order = the_order(rows)
    assert (order['status'], order['error_status_code'], order['error_reason']) == (
        'ERROR', code, reason)
    assert (rows(), store.payloads) == ([], {})


@pytest.mark.parametrize('error', [Killed(), Unavailable('Down.')])
def test_an_order_with_a_passphrase_is_made_at_once_or_not_at_all(ctx, rows, store, clock, error):
    store.fail = {('store', 'before'): error}
    try:
        orders.place(ctx, **PAIR, passphrase='unmistakable')
    except Killed:
        store.fail = {}
        settled(ctx, clock)
    assert the_order(rows)['status'] == 'ERROR'
    assert 'unmistakable' not in repr(rows('orders'))
    settled(ctx, clock)
    assert (rows(), store.payloads) == ([], {})


@pytest.mark.parametrize('step', [1, 2])
@pytest.mark.parametrize('order', [KEY, PAIR], ids=['key', 'pair'])
def test_what_the_database_undid_of_a_quick_order_is_done_anew(ctx, rows, store, order, step):
    orders.place(killed_at(ctx, step, Undone('A deadlock.')), **order)
    assert_made_once(rows, store, order['order_type'])


@pytest.mark.parametrize('step', [1, 2, 3])
def test_what_the_database_undid_of_a_slow_order_is_done_anew(ctx, rows, store, step):
    order_id = orders.place(ctx, **SLOW)
    orders.process(killed_at(ctx, step, Undone('A deadlock.')), order_id=order_id)
    assert_made_once(rows, store, 'asymmetric')


def with_room_for(ctx, secrets):
    return dataclasses.replace(ctx, quotas={**ctx.quotas, 'secrets': secrets})


def test_a_slow_order_whose_room_was_taken_meanwhile_fails(ctx, rows, store):
    ctx = with_room_for(ctx, 2)
    order_id = orders.place(ctx, **SLOW)
    secrets.create(ctx, payload=b'first', name=None, secret_type='opaque')
    orders.process(ctx, order_id=order_id)
    order = the_order(rows)
    assert (order['status'], order['error_status_code']) == ('ERROR', '403')
    assert 'quota' in order['error_reason']
    assert [row['id'] for row in rows()] == list(store.payloads)


@pytest.mark.parametrize('order', [KEY, PAIR, SLOW], ids=['key', 'pair', 'slow'])
def test_an_attempt_that_was_cut_off_does_not_take_the_room_of_the_next_one(
        ctx, rows, store, clock, order):
    ctx = with_room_for(ctx, MADE[order['order_type']])
    order_id = orders.place(ctx, **order) if order is SLOW else None
    store.fail = {('store', 'after'): Killed()}
    with pytest.raises(Killed):
        orders.process(ctx, order_id=order_id) if order_id else orders.place(ctx, **order)
    store.fail = {}
    clock.forward(minutes=3)
    orders.process(ctx, order_id=the_order(rows)['id'])
    assert the_order(rows)['status'] == 'PENDING'
    settled(ctx, clock)
    assert_made_once(rows, store, order['order_type'])


def test_a_passphrase_is_in_no_log_and_no_repr(ctx, rows, store, caplog):
    caplog.set_level(logging.DEBUG)
    store.fail = {('store', 'before'): ValueError('bug')}
    orders.place(ctx, **PAIR, passphrase='unmistakable')
    assert 'unmistakable' not in caplog.text


def test_an_order_of_another_project_cannot_be_deleted(ctx, rows):
    order_id = orders.place(ctx, **KEY)
    other = dataclasses.replace(ctx, identity=dataclasses.replace(ctx.identity, project_id='beta'))
    with pytest.raises(NotFound):
        orders.delete(other, order_id=order_id)
    assert the_order(rows)['id'] == order_id


def test_the_order_that_has_been_due_longest_comes_first(ctx, rows, clock):
    first = orders.place(ctx, **SLOW)
    clock.forward(seconds=1)
    orders.place(ctx, **SLOW)
    clock.forward(seconds=1)
    assert orders.process_next(ctx)
    assert {row['id']: row['status'] for row in rows('orders')}[first] == 'ACTIVE'
    assert orders.process_next(ctx)
    assert not orders.process_next(ctx)
