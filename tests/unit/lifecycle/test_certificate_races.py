# SPDX-License-Identifier: Apache-2.0
"""Orders of certificates that somebody approves or cancels while a worker is at them."""
import dataclasses
import itertools

import pytest

from km.errors import Unavailable
from km.lifecycle import certificate_orders, orders, projects, upkeep
from tests.unit.lifecycle.test_approvals import as_user
from tests.unit.lifecycle.test_certificate_orders import (
    assert_made_once,
    assert_nothing_left,
    placed,
    run,
    the_order,
)


@pytest.fixture
def watched(certified):
    """The context, with an authority that wants orders approved."""
    certified.authorities['ca'].needs_approval = True
    return certified


def interrupted(ctx, step, act):
    """A context in which somebody does something just before it opens the database that often."""
    count = itertools.count(1)

    def interrupting(opens):
        def open_after_all():
            if next(count) == step:
                act()
            return opens()
        return open_after_all

    return dataclasses.replace(ctx, statement=interrupting(ctx.statement),
                               transaction=interrupting(ctx.transaction))


@pytest.mark.parametrize('step', range(1, 5))
def test_an_order_that_is_approved_while_it_is_looked_at_does_not_rest(
        watched, rows, store, authority, clock, step):
    order_id = placed(watched)
    watched.cast.clear()

    def approve():
        certificate_orders.approve(as_user(watched, 'ada'), order_id=order_id)

    looking = interrupted(watched, step, approve)
    certificate_orders.process(looking, order_id=order_id)
    if the_order(rows)['status'] == 'PENDING' and rows('certificate_orders')[0]['step'] == 'APPROVE':
        approve()
    run(watched)
    clock.forward(minutes=20)
    upkeep.sweep(watched)
    assert_made_once(watched, rows, store, authority)


@pytest.mark.parametrize('step', range(1, 12))
def test_an_order_that_is_cancelled_while_it_waits_for_its_authority_ends_at_once(
        certified, rows, store, authority, clock, step):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 1000, 80000
    order_id = placed(certified)
    certified.cast.clear()
    cancelled = []

    def cancel():
        cancelled.append(True)
        certificate_orders.cancel(certified, order_id=order_id)

    certificate_orders.process(interrupted(certified, step, cancel), order_id=order_id)
    if not cancelled:
        cancel()
    run(certified)
    for _ in range(2):
        clock.forward(minutes=20)
        upkeep.sweep(certified)
    assert (the_order(rows)['status'], the_order(rows)['sub_status']) == ('ERROR', 'cert_cancelled')
    assert_nothing_left(rows, store)


@pytest.mark.parametrize('step', range(1, 14))
def test_what_was_issued_for_an_order_that_is_deleted_is_nobodys(
        certified, rows, store, authority, clock, step):
    authority.memory.pending_polls = 1
    order_id = placed(certified)
    certified.cast.clear()
    deleted = []

    def delete():
        deleted.append(the_order(rows)['status'] == 'PENDING')
        orders.delete(certified, order_id=order_id)

    certificate_orders.process(interrupted(certified, step, delete), order_id=order_id)
    clock.forward(minutes=5)
    if not deleted:
        delete()
    authority.memory.pending_polls = 0
    authority.memory.waiting.clear()
    for _ in range(3):
        clock.forward(minutes=20)
        upkeep.sweep(certified)
    assert rows('orders') == []
    assert_nothing_left(rows, store)


def test_a_project_that_is_forgotten_gets_nothing_more(certified, rows, store, authority, clock):
    authority.memory.pending_polls = 1
    placed(certified)
    run(certified)
    authority.memory.waiting.clear()  # it is issued by now
    projects.forget(certified, certified.identity.project_id)
    for _ in range(3):
        clock.forward(minutes=20)
        upkeep.sweep(certified)
    assert rows('orders') == []
    assert_nothing_left(rows, store)


def test_who_does_not_know_whether_to_have_an_order_approved_does_not_take_it(certified, rows, store):
    stranger = dataclasses.replace(certified, authorities={})
    with pytest.raises(Unavailable, match='not enabled'):
        placed(stranger, ca_id=rows('authorities')[0]['id'])
    assert rows('orders') == []
