# SPDX-License-Identifier: Apache-2.0
"""The authority in memory waits, fails and remembers as a test tells it."""
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from km.interfaces import Issued, Pending, PendingOrder, Rejected, Unavailable
from km.testing import MemoryAuthority, open_authority
from km.testing.certificate_orders import new_order, revoke_request

NAMES = ['a.example']


@pytest.fixture
def authority():
    return open_authority(MemoryAuthority)


def polled(authority, order, answer):
    return authority.poll(PendingOrder(order=order, reference=answer.reference))


def test_an_order_is_pending_for_as_many_polls_as_was_said(authority):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 2, 30.0
    order = new_order(authority, NAMES)
    answer = authority.issue(order)
    assert isinstance(answer, Pending)
    assert answer.poll_after_seconds == 30.0
    assert authority.issue(order) == answer
    assert polled(authority, order, answer) == answer
    issued = polled(authority, order, answer)
    assert issued == polled(authority, order, answer) == authority.memory.issued[order.order_id]


def test_a_call_fails_as_often_as_was_said_and_before_its_effect(authority):
    authority.memory.fail('issue', Unavailable('Not now.', 7), times=2)
    order = new_order(authority, NAMES)
    for _ in range(2):
        with pytest.raises(Unavailable) as failure:
            authority.issue(order)
        assert failure.value.retry_after_seconds == 7
        assert not authority.memory.issued
    assert isinstance(authority.issue(order), Issued)


def test_a_call_fails_after_its_effect_if_that_was_said(authority):
    authority.memory.fail('issue', Unavailable('The answer was lost.'), afterwards=True)
    order = new_order(authority, NAMES)
    with pytest.raises(Unavailable):
        authority.issue(order)
    assert authority.issue(order) is authority.memory.issued[order.order_id]
    assert authority.memory.requests == [order, order]


def test_what_was_cancelled_is_not_polled_any_more(authority):
    authority.memory.pending_polls = 1
    order = new_order(authority, NAMES)
    answer = authority.issue(order)
    authority.cancel(PendingOrder(order=order, reference=answer.reference))
    assert authority.memory.cancelled == {order.order_id}
    with pytest.raises(Rejected):
        polled(authority, order, answer)


def test_instances_with_one_word_share_a_memory_and_others_do_not(authority):
    one, other = (open_authority(MemoryAuthority, memory='shared') for _ in range(2))
    assert one.memory is other.memory is MemoryAuthority.remembered('shared')
    assert one.authorities() == other.authorities()
    assert authority.memory is not one.memory


def test_certificates_are_as_long_as_was_said_by_the_clock_that_was_given(authority):
    now = datetime(2031, 1, 1)
    authority.memory.clock, authority.memory.lifetime = lambda: now, timedelta(days=3)
    certificate = x509.load_der_x509_certificate(
        authority.issue(new_order(authority, NAMES)).certificate)
    assert certificate.not_valid_after_utc == datetime(2031, 1, 4, tzinfo=UTC)


def test_a_name_that_it_does_not_issue_for_is_rejected(authority):
    with pytest.raises(Rejected):
        authority.issue(new_order(authority, ['a.example', 'refused.example']))


def test_there_may_be_several_authorities(authority):
    authority.memory.add('blue')
    assert [told.name for told in authority.authorities()] == ['memory', 'blue']
    assert len({told.certificate for told in authority.authorities()}) == 2


def test_what_is_revoked_is_remembered_with_its_request(authority):
    order = new_order(authority, NAMES)
    issued = authority.issue(order)
    asked = revoke_request(order, issued, reason='keyCompromise')
    authority.revoke(asked)
    authority.revoke(revoke_request(order, issued))
    assert authority.memory.revoked == {issued.certificate: asked}
    with pytest.raises(Rejected):
        authority.revoke(revoke_request(order, issued, reason='removeFromCRL'))
