# SPDX-License-Identifier: Apache-2.0
"""Renewals that come to nothing are told of early and again, and keep no other from being renewed."""
import dataclasses

import pytest

from km.errors import Rejected, Unavailable
from km.lifecycle import upkeep
from tests.unit.lifecycle.test_certificate_orders import placed, run
from tests.unit.lifecycle.test_events import hosted
from tests.unit.lifecycle.test_events import listener as listener
from tests.unit.lifecycle.test_renewals import current

FAILING = 'certificate.renewal_failing'


@pytest.fixture
def told(certified, listener):
    """The context, with a notifier that hears of everything."""
    return dataclasses.replace(certified, notifiers={'one': hosted(listener)})


def renewing(ctx):
    placed(ctx, renews=True, renew_percent=50)
    run(ctx)


def swept(ctx, clock, times, **pause):
    for _ in range(times):
        clock.forward(**pause)
        upkeep.sweep(ctx)
        run(ctx)


def test_a_renewal_that_cannot_even_be_ordered_is_told_of(told, rows, clock, listener):
    renewing(told)
    with told.transaction() as connection:
        connection.exec_driver_sql("UPDATE certificates SET authority_id = 'gone'")
    clock.forward(days=46)
    swept(told, clock, 10, hours=1)
    assert 3 <= listener.kinds.count(FAILING) <= 5
    event = next(event for event in listener.told if event.kind == FAILING)
    assert event.details['reason'] == 'The authority of the order is not there any more.'
    assert current(rows)['renewal_failures'] == listener.kinds.count(FAILING)


def test_one_at_which_km_fails_keeps_no_other_from_being_renewed(told, rows, clock, listener):
    renewing(told)
    renewing(told)
    broken, whole = rows('certificates')
    with told.transaction() as connection:
        connection.exec_driver_sql('UPDATE certificates SET renew_percent = 1000000000, renew_at = '
                                   f"'2030-01-02 00:00:00.000000' WHERE id = '{broken['id']}'")
    clock.forward(days=46)
    swept(told, clock, 3, hours=1)
    assert [row['version'] for row in rows('certificates')
            if row['container_id'] == whole['container_id']] == [1, 2]


def test_a_renewal_whose_authority_is_down_is_told_of_before_it_is_given_up(
        told, rows, authority, clock, listener):
    renewing(told)
    authority.memory.fail('issue', Unavailable('Down.'), times=10 ** 6)
    clock.forward(days=46)
    swept(told, clock, 5, minutes=5)
    assert listener.kinds.count(FAILING) == 1
    swept(told, clock, 24, hours=1)
    assert listener.kinds.count(FAILING) == 3
    assert current(rows)['renewal']
    event = listener.told[-1]
    assert (event.details['reason'], event.resource_id) == ('Down.', current(rows)['id'])
    assert event.details['order_id'] == current(rows)['renewal']


def test_a_renewal_that_is_down_for_a_moment_is_not_told_of(told, rows, authority, clock, listener):
    renewing(told)
    authority.memory.fail('issue', Unavailable('Down.'), times=3)
    clock.forward(days=46)
    swept(told, clock, 8, minutes=5)
    assert current(rows)['version'] == 2
    assert FAILING not in listener.kinds


def test_a_sweep_does_the_rest_when_an_order_cannot_be_looked_at(told, rows, authority, clock):
    renewing(told)
    clock.forward(days=46)

    odd = dataclasses.replace(told, orders=None)  # no order can be claimed
    placed(told)
    assert upkeep.sweep(odd).renewed == 1


def test_a_refusal_is_told_of_each_time(told, rows, authority, clock, listener):
    renewing(told)
    authority.memory.fail('issue', Rejected('No.'), times=3)
    clock.forward(days=46)
    swept(told, clock, 12, hours=1)
    assert listener.kinds.count(FAILING) == 3
    assert current(rows)['version'] == 2
