# SPDX-License-Identifier: Apache-2.0
"""When certificates are renewed that live for minutes, have ended, or whose authority advises oddly."""
import contextlib
import dataclasses
from datetime import timedelta

import pytest

from km.errors import Rejected
from km.interfaces import RenewalWindow
from km.lifecycle import upkeep
from tests.unit.lifecycle.test_certificate_orders import placed, run
from tests.unit.lifecycle.test_renewals import Advising, current, versions
from tests.unit.lifecycle.test_renewals import adviser as adviser


def swept(ctx, clock, times, **pause):
    """How many renewals so many sweeps begin, with pauses between them."""
    begun = 0
    for _ in range(times):
        clock.forward(**pause)
        begun += upkeep.sweep(ctx).renewed
        run(ctx)
    return begun


def test_the_time_before_a_certificate_was_there_is_no_part_of_its_life(
        certified, rows, authority, clock):
    authority.memory.lifetime = timedelta(minutes=3)  # and it holds since a minute ago
    placed(certified, renews=True, renew_percent=20)
    run(certified)
    assert swept(certified, clock, 5, seconds=1) == 0
    assert swept(certified, clock, 5, seconds=12) == 1


def test_one_of_minutes_is_renewed_in_time_though_its_authority_says_now(
        certified, rows, adviser, clock):
    adviser.memory.lifetime = timedelta(minutes=30)
    adviser.window = RenewalWindow(start=clock() - timedelta(days=2), end=clock() - timedelta(days=1),
                                   ask_after_seconds=60)
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    assert swept(certified, clock, 10, minutes=1) == 0
    assert swept(certified, clock, 10, minutes=1) == 1
    assert current(rows)['version'] == 2


@pytest.mark.parametrize('seconds', [1e300, 10.0 ** 9])
def test_an_authority_that_says_never_is_asked_each_day_and_not_heard_in_the_end(
        certified, rows, adviser, clock, seconds):
    assert isinstance(adviser, Advising)
    adviser.window = RenewalWindow(start=clock() + timedelta(days=5000),
                                   end=clock() + timedelta(days=5001), ask_after_seconds=seconds)
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    upkeep.sweep(certified)
    assert swept(certified, clock, 80, hours=25) == 0
    assert 70 < adviser.memory.calls.count('renewal_window') < 90
    assert swept(certified, clock, 4, hours=25) == 1


def test_what_has_ended_is_not_ordered_each_minute(certified, rows, authority, clock):
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    clock.forward(days=91)
    authority.memory.fail('issue', Rejected('No.'), times=10 ** 6)
    assert swept(certified, clock, 5, seconds=1) == 1
    assert 5 <= swept(certified, clock, 600, minutes=5) <= 8
    authority.memory.failures.clear()
    assert swept(certified, clock, 25, hours=1) == 1
    assert current(rows)['version'] == 2


def test_a_key_that_stayed_goes_with_the_last_version_that_had_it(certified, rows, store, clock):
    placed(certified, renews=True, renew_percent=50, renew_key=False)
    run(certified)
    first = current(rows)
    for _ in range(9):
        if current(rows)['version'] == 3:
            with certified.transaction() as connection:
                connection.exec_driver_sql('UPDATE certificates SET renew_key = 1 WHERE is_current = 1')
        swept(certified, clock, 1, days=46)
    swept(certified, clock, 2, hours=3)
    assert min(row['version'] for row in versions(rows)) > 3
    assert first['private_key_id'] not in {row['id'] for row in rows()}
    assert first['private_key_id'] not in store.payloads


def alone(ctx):
    """A context in which nobody opens a connection while a transaction has one: all could be in use."""
    inside = []

    @contextlib.contextmanager
    def transaction():
        assert not inside
        with ctx.transaction() as connection:
            inside.append(True)
            try:
                yield connection
            finally:
                inside.clear()

    def statement():
        assert not inside
        return ctx.statement()

    return dataclasses.replace(ctx, transaction=transaction, statement=statement)


def test_what_is_issued_is_written_down_on_one_connection(certified, rows, clock):
    placed(alone(certified), renews=True, renew_percent=50)
    run(alone(certified))
    clock.forward(days=46)
    upkeep.sweep(alone(certified))
    run(alone(certified))
    assert current(rows)['version'] == 2
