# SPDX-License-Identifier: Apache-2.0
"""Which certificates are revoked, since when and why."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import REVOCATION_REASONS, Issued, Rejected
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    HOUR,
    NOW,
    a_revocation,
    an_order,
    issuer_id,
    killed_at_each_step,
    loaded,
    rows,
)


@pytest.fixture
def order(ca):
    return an_order()


@pytest.fixture
def issued(ca, order):
    return ca.issue(order)


def status(ca, order):
    row, = rows(ca, CERTIFICATES, order_id=order.order_id)
    return row.reason, row.revoked_at, row.invalidity_date


@pytest.mark.parametrize('reason', [
    reason for reason in REVOCATION_REASONS if reason != 'removeFromCRL'])
def test_a_certificate_is_revoked_for_each_reason(ca, order, issued, reason):
    ca.revoke(a_revocation(order, issued, reason, at=NOW - HOUR, invalidity_date=NOW - DAY))
    assert status(ca, order) == (reason, NOW - HOUR, NOW - DAY)


def test_revoking_again_changes_nothing(ca, opens, order, issued):
    ca.revoke(a_revocation(order, issued, 'superseded', at=NOW - HOUR))
    before = rows(ca, CERTIFICATES, order_id=order.order_id)
    for reason in ('superseded', 'cessationOfOperation', 'certificateHold', 'unspecified'):
        opens().revoke(a_revocation(order, issued, reason))
    assert rows(ca, CERTIFICATES, order_id=order.order_id) == before


def test_a_compromise_is_told_even_of_what_was_revoked_before(ca, order, issued):
    ca.revoke(a_revocation(order, issued, 'superseded', at=NOW - HOUR))
    ca.revoke(a_revocation(order, issued, 'keyCompromise', invalidity_date=NOW - DAY))
    assert status(ca, order) == ('keyCompromise', NOW - HOUR, NOW - DAY)


def test_a_hold_is_taken_back_or_made_good(ca, order, issued):
    ca.revoke(a_revocation(order, issued, 'certificateHold', at=NOW - HOUR))
    assert status(ca, order)[0] == 'certificateHold'
    for _ in range(2):
        ca.revoke(a_revocation(order, issued, 'removeFromCRL'))
        assert status(ca, order) == (None, None, None)
    ca.revoke(a_revocation(order, issued, 'certificateHold', at=NOW - HOUR))
    ca.revoke(a_revocation(order, issued, 'superseded'))
    assert status(ca, order)[:2] == ('superseded', NOW - HOUR)
    with pytest.raises(Rejected, match='revoked for good'):
        ca.revoke(a_revocation(order, issued, 'removeFromCRL'))


def test_what_is_in_the_future_is_revoked_now(ca, order, issued):
    ca.revoke(a_revocation(order, issued, at=NOW + DAY))
    assert status(ca, order)[1] == NOW


def test_what_was_not_issued_for_the_order_is_not_revoked(ca, order, issued):
    for certificate in (ca.issue(an_order()).certificate, issued.chain[0], b''):
        with pytest.raises(Rejected, match='no such certificate'):
            ca.revoke(a_revocation(order, Issued(certificate=certificate)))
    with pytest.raises(Rejected, match='no such certificate'):
        ca.revoke(a_revocation(an_order(), issued))
    assert status(ca, order) == (None, None, None)


def test_what_has_ended_is_revoked_if_the_operator_says_so(ca, opens, order, issued):
    later = loaded(issued.certificate).not_valid_after_utc.replace(tzinfo=None) + HOUR
    ca.time = later
    with pytest.raises(Rejected, match='has ended'):
        ca.revoke(a_revocation(order, issued, at=later))
    opens(time=later, revoke_expired=True).revoke(a_revocation(order, issued, at=later))
    assert status(ca, order)[:2] == ('superseded', later)
    ca.revoke(a_revocation(order, issued, at=later))


def test_who_is_killed_while_revoking_is_followed_by_one_who_revokes(ca, opens, life):
    other = opens()

    def prepare():
        order = an_order()
        return a_revocation(order, other.issue(order))

    for request in killed_at_each_step(life, prepare, ca.revoke):
        other.revoke(request)
        row, = rows(other, CERTIFICATES, order_id=request.order_id)
        assert row.reason == 'superseded'
        assert row.changed == other._signers.current('issuing').version


def test_each_change_has_a_version_of_its_own(ca, opens):
    orders = [an_order() for _ in range(8)]
    requests = [a_revocation(order, ca.issue(order)) for order in orders]
    several = [ca, opens()] * 4
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one, request: one.revoke(request), several, requests))
    versions = {row.changed for row in rows(ca, CERTIFICATES, issuer_id=issuer_id(ca))}
    assert versions == set(range(1, 9))
