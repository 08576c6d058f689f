# SPDX-License-Identifier: Apache-2.0
"""Notices of certificates that end: each once, and none of what is well."""
import dataclasses
from datetime import timedelta

import pytest

from km.db import certificates
from km.errors import Rejected
from km.lifecycle import containers, renewals, revocations, upkeep
from tests.unit.lifecycle.test_certificate_orders import placed, run
from tests.unit.lifecycle.test_events import hosted
from tests.unit.lifecycle.test_events import listener as listener
from tests.unit.lifecycle.test_renewals import current


@pytest.fixture
def told(certified, listener):
    """The context, with a notifier that hears of everything."""
    return dataclasses.replace(certified, notifiers={'one': hosted(listener)})


def days_left(listener):
    """What the notices said, in their order."""
    return [event.details['days_left'] for event in listener.told
            if event.kind == 'certificate.expiring']


def lived(ctx, clock, days, each_day=4):
    """So many days pass, with so many sweeps."""
    for _ in range(days * each_day):
        clock.forward(days=1 / each_day)
        upkeep.sweep(ctx)
        run(ctx)


def test_of_what_nobody_renews_notice_is_given_once_each_time(told, clock, listener):
    placed(told)
    run(told)
    lived(told, clock, 100)
    assert days_left(listener) == [6, 2, 0]


def test_who_comes_late_is_told_once(told, clock, listener):
    placed(told)
    run(told)
    clock.forward(days=89, hours=12)
    lived(told, clock, 2)
    assert days_left(listener) == [0]


@pytest.mark.parametrize(('days', 'notices'), [(7, [2, 0]), (5, [2, 0]), (2, [0]), (1, [])])
def test_of_what_lives_no_longer_than_a_notice_is_early_there_is_none(
        told, authority, clock, listener, days, notices):
    authority.memory.lifetime = timedelta(days=days)
    placed(told)
    run(told)
    lived(told, clock, days + 2)
    assert days_left(listener) == notices


@pytest.mark.parametrize('days', [1, 5, 30])
def test_what_is_renewed_as_it_shall_be_is_no_alarm(told, rows, authority, clock, listener, days):
    authority.memory.lifetime = timedelta(days=days)
    placed(told, renews=True, renew_percent=95)
    run(told)
    lived(told, clock, 35)
    assert current(rows)['version'] > 1
    assert days_left(listener) == []


def test_a_renewal_may_take_its_time(told, rows, authority, clock, listener):
    authority.memory.lifetime, authority.memory.pending_polls = timedelta(days=4), 2
    placed(told, renews=True)
    run(told)
    lived(told, clock, 4, each_day=72)
    assert current(rows)['version'] == 2
    assert days_left(listener) == []


def test_what_is_not_renewed_as_it_shall_be_is_one(told, authority, clock, listener):
    placed(told, renews=True)
    run(told)
    authority.memory.fail('issue', Rejected('No.'), times=10 ** 6)
    lived(told, clock, 91)
    assert days_left(listener) == [6, 2, 0]


def test_a_renewal_that_hangs_is_one_too(told, authority, clock, listener):
    placed(told, renews=True, renew_percent=95)
    run(told)
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 10 ** 6, 3600
    lived(told, clock, 91)
    assert days_left(listener)[0] in (3, 4)  # when it hung
    assert len(days_left(listener)) == 3


def test_of_what_is_not_in_use_any_more_there_is_no_notice(told, rows, clock, listener):
    for _ in range(3):
        placed(told)
    run(told)
    revoked, gone, renewed = rows('certificates')
    revocations.revoke(told, certificate_id=revoked['id'], reason='superseded')
    containers.delete(told, container_id=gone['container_id'])
    clock.forward(days=60)
    renewals.renew(told, certificate_id=renewed['id'])
    run(told)
    lived(told, clock, 31)
    assert days_left(listener) == []


def test_numbers_are_of_what_is_in_use(told, rows, database):
    for _ in range(2):
        placed(told)
    run(told)
    containers.delete(told, container_id=rows('certificates')[0]['container_id'])
    with database.statement() as connection:
        (_, count, _, _), = certificates.soonest(connection)
    assert count == 1
