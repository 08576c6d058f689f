# SPDX-License-Identifier: Apache-2.0
"""Orders that somebody else than who placed them must approve."""
import dataclasses

import pytest

from km.errors import Conflict, Forbidden
from km.lifecycle import certificate_orders, renewals, upkeep
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


def as_user(ctx, user_id, project_id='alpha'):
    return dataclasses.replace(ctx, identity=dataclasses.replace(
        ctx.identity, user_id=user_id, project_id=project_id))


def test_nothing_is_asked_of_the_authority_before_somebody_approves(
        watched, rows, store, authority, clock):
    order_id = placed(watched)
    run(watched)
    for _ in range(3):
        clock.forward(hours=2)
        upkeep.sweep(watched)
    assert (the_order(rows)['status'], the_order(rows)['sub_status']) == (
        'PENDING', 'cert_waiting_for_approval')
    assert authority.memory.requests == []
    certificate_orders.approve(as_user(watched, 'ada'), order_id=order_id)
    run(watched)
    assert_made_once(watched, rows, store, authority)
    assert rows('certificate_orders')[0]['approved_by'] == 'ada'


def test_whoever_placed_an_order_cannot_approve_it(watched, rows, authority):
    order_id = placed(watched)
    for user_id in ('ann', None):
        with pytest.raises(Forbidden, match='Somebody else'):
            certificate_orders.approve(as_user(watched, user_id), order_id=order_id)
    run(watched)
    assert authority.memory.requests == []


def test_what_does_not_wait_for_it_cannot_be_approved(watched, certified, rows):
    order_id = placed(watched)
    certificate_orders.approve(as_user(watched, 'ada'), order_id=order_id)
    with pytest.raises(Conflict):
        certificate_orders.approve(as_user(watched, 'ada'), order_id=order_id)
    run(watched)
    for project_id in ('alpha', 'beta'):
        with pytest.raises(Conflict):
            certificate_orders.approve(as_user(watched, 'ada', project_id), order_id=order_id)


def test_an_order_that_nobody_approves_is_given_up_in_the_end(watched, rows, store, authority, clock):
    placed(watched)
    run(watched)
    clock.forward(days=8)
    upkeep.sweep(watched)
    assert (the_order(rows)['status'], the_order(rows)['sub_status']) == (
        'ERROR', 'cert_not_issued_in_time')
    assert authority.memory.requests == []
    assert_nothing_left(rows, store)


def test_an_order_that_waits_for_approval_can_be_cancelled(watched, rows, store, authority):
    order_id = placed(watched)
    run(watched)
    certificate_orders.cancel(watched, order_id=order_id)
    run(watched)
    assert the_order(rows)['sub_status'] == 'cert_cancelled'
    assert authority.memory.requests == []


def test_renewals_need_no_approval(watched, rows):
    order_id = placed(watched)
    certificate_orders.approve(as_user(watched, 'ada'), order_id=order_id)
    run(watched)
    renewals.renew(watched, certificate_id=rows('certificates')[0]['id'])
    run(watched)
    assert len(rows('certificates')) == 2
