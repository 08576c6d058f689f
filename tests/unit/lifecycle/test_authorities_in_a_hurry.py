# SPDX-License-Identifier: Apache-2.0
"""Authorities that say they want to be asked again at once, or never, or at no time at all."""
import math
from datetime import timedelta

import pytest

from km.errors import Unavailable
from km.lifecycle import revocations, upkeep
from tests.unit.lifecycle.test_certificate_orders import placed, run, the_order

ODD = [0, 0.0, -5, 1e-9, math.inf, math.nan, 'soon', 1e300, True]


def asked(authority, call):
    return authority.memory.calls.count(call)


@pytest.mark.parametrize('seconds', ODD)
def test_an_authority_that_is_down_is_not_asked_without_pause(
        certified, rows, authority, clock, seconds):
    authority.memory.fail('issue', Unavailable('Down.', retry_after_seconds=seconds), times=50)
    placed(certified)
    run(certified)
    upkeep.sweep(certified)
    assert asked(authority, 'issue') == 1
    assert the_order(rows)['sub_status'] == 'cert_ca_unavail_for_issue'
    clock.forward(days=1, hours=1)
    upkeep.sweep(certified)
    assert asked(authority, 'issue') == 2


@pytest.mark.parametrize('seconds', [1e-9, 1e300])
def test_an_order_that_waits_is_not_polled_without_pause_nor_never(
        certified, rows, authority, clock, seconds):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 50, seconds
    placed(certified)
    run(certified)
    upkeep.sweep(certified)
    assert (asked(authority, 'issue'), asked(authority, 'poll')) == (1, 0)
    assert the_order(rows)['status'] == 'PENDING'
    clock.forward(days=8)
    upkeep.sweep(certified)
    assert the_order(rows)['sub_status'] == 'cert_not_issued_in_time'


@pytest.mark.parametrize('seconds', ODD)
def test_an_authority_that_does_not_revoke_now_is_not_asked_without_pause(
        certified, rows, authority, clock, seconds):
    placed(certified)
    run(certified)
    authority.memory.fail('revoke', Unavailable('Down.', retry_after_seconds=seconds), times=50)
    found, = rows('certificates')
    assert not revocations.revoke(certified, certificate_id=found['id'], reason='superseded')
    upkeep.sweep(certified)
    assert asked(authority, 'revoke') == 1
    clock.now += timedelta(days=1, hours=1)
    upkeep.sweep(certified)
    assert asked(authority, 'revoke') == 2
