# SPDX-License-Identifier: Apache-2.0
"""Revocation: once accepted it happens, whoever is down or killed; and is told of."""
import contextlib

import pytest

from km.errors import Conflict, NotFound, NotSupported, Rejected, Unavailable
from km.lifecycle import renewals, revocations, secrets, upkeep
from tests.unit.lifecycle.conftest import Killed, killed_at
from tests.unit.lifecycle.test_certificate_orders import placed, run


@pytest.fixture
def issued(certified, rows):
    """The id of a certificate."""
    placed(certified)
    run(certified)
    return rows('certificates')[0]['id']


def the_certificate(rows):
    row, = rows('certificates')
    return row


def revoke(ctx, certificate_id, reason='keyCompromise'):
    return revocations.revoke(ctx, certificate_id=certificate_id, reason=reason)


def test_a_certificate_is_revoked_at_its_authority(certified, issued, rows, authority, clock):
    assert revoke(certified, issued) is True
    request, = authority.memory.revoked.values()
    assert (request.reason, request.order_id) == ('keyCompromise', the_certificate(rows)['order_id'])
    assert the_certificate(rows)['revoked'] == clock().isoformat(' ', timespec='microseconds')


def test_what_an_order_made_is_revoked_by_the_id_of_the_order(certified, issued, rows, authority):
    order_id = the_certificate(rows)['order_id']
    assert revocations.revoke_of_order(certified, order_id=order_id, reason='superseded')
    assert len(authority.memory.revoked) == 1
    with pytest.raises(NotFound):
        revocations.revoke_of_order(certified, order_id=issued, reason='superseded')


def test_what_is_revoked_cannot_be_revoked_again(certified, issued):
    revoke(certified, issued)
    with pytest.raises(Conflict, match='already'):
        revoke(certified, issued, 'superseded')


def test_what_is_on_hold_can_be_taken_back_or_revoked_for_good(certified, issued, rows, authority):
    with pytest.raises(Conflict, match='not on hold'):
        revoke(certified, issued, 'removeFromCRL')
    revoke(certified, issued, 'certificateHold')
    revoke(certified, issued, 'removeFromCRL')
    assert the_certificate(rows)['revocation_reason'] is None
    revoke(certified, issued, 'certificateHold')
    revoke(certified, issued, 'keyCompromise')
    assert the_certificate(rows)['revocation_reason'] == 'keyCompromise'


def test_an_authority_that_is_down_is_asked_again_until_it_has_done_it(
        certified, issued, rows, authority, clock):
    authority.memory.fail('revoke', Unavailable('Down.'), times=3)
    assert revoke(certified, issued) is False
    assert the_certificate(rows)['revoked'] is None
    for _ in range(3):
        clock.forward(minutes=6)
        upkeep.sweep(certified)
    assert the_certificate(rows)['revoked']
    assert len(authority.memory.revoked) == 1
    assert the_certificate(rows)['revoke_at'] is None


def test_when_an_authority_says_when_to_ask_again_that_holds(certified, issued, rows, authority, clock):
    authority.memory.fail('revoke', Unavailable('Wait for approval.', retry_after_seconds=7200))
    revoke(certified, issued)
    clock.forward(hours=1)
    assert upkeep.sweep(certified).revoked == 0
    clock.forward(hours=2)
    assert upkeep.sweep(certified).revoked == 1


@pytest.mark.parametrize('error', [Rejected('Not for that reason.'), NotSupported('It does not.')])
def test_what_an_authority_refuses_to_revoke_is_not_revoked(
        certified, issued, rows, authority, error):
    authority.memory.fail('revoke', error)
    with pytest.raises(type(error)):
        revoke(certified, issued)
    row = the_certificate(rows)
    assert (row['revocation_asked'], row['revoke_at'], row['revocation_reason']) == (None, None, None)


@pytest.mark.parametrize('step', range(1, 7))
def test_killed_at_any_step_a_revocation_that_was_written_down_happens_once(
        certified, issued, rows, authority, clock, step):
    with contextlib.suppress(Killed):
        revoke(killed_at(certified, step), issued)
    asked = the_certificate(rows)['revocation_asked'] is not None
    clock.forward(hours=1)
    upkeep.sweep(certified)
    assert bool(the_certificate(rows)['revoked']) == bool(authority.memory.revoked) == asked


def test_killed_inside_the_authority_it_is_revoked_in_the_end(
        certified, issued, rows, authority, clock):
    authority.memory.fail('revoke', Killed(), afterwards=True)
    with pytest.raises(Killed):
        revoke(certified, issued)
    clock.forward(hours=1)
    upkeep.sweep(certified)
    assert the_certificate(rows)['revoked']
    assert len(authority.memory.revoked) == 1


def test_a_certificate_whose_secret_was_deleted_cannot_be_revoked_and_says_so(certified, issued, rows):
    secrets.delete(certified, secret_id=the_certificate(rows)['certificate_id'])
    with pytest.raises(NotFound, match='secret with the certificate'):
        revoke(certified, issued)
    assert the_certificate(rows)['revocation_asked'] is None


def renewed_after(ctx, clock, days):
    clock.forward(days=days)
    return upkeep.sweep(ctx).renewed


@pytest.mark.parametrize('reasons', [['keyCompromise'], ['certificateHold', 'removeFromCRL']])
def test_what_is_not_revoked_in_the_end_is_renewed_as_before(certified, rows, authority, clock, reasons):
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    if len(reasons) == 1:
        authority.memory.fail('revoke', NotSupported('It does not.'))
    for reason in reasons:
        with contextlib.suppress(NotSupported):
            revoke(certified, the_certificate(rows)['id'], reason)
    upkeep.sweep(certified)
    assert renewed_after(certified, clock, 44) == 0
    assert renewed_after(certified, clock, 2) == 1


@pytest.mark.parametrize('reason', ['removeFromCRL', 'keyCompromise'])
def test_what_is_on_hold_stays_so_if_the_authority_refuses_more(
        certified, issued, rows, authority, reason):
    revoke(certified, issued, 'certificateHold')
    held = dict(the_certificate(rows))
    authority.memory.fail('revoke', Rejected('No.'))
    with pytest.raises(Rejected):
        revoke(certified, issued, reason)
    assert dict(the_certificate(rows)) == held
    revoke(certified, issued, reason)


@pytest.mark.parametrize('reason', ['removeFromCRL', 'keyCompromise'])
def test_what_is_on_hold_stays_so_if_the_authority_refuses_more_when_it_is_back(
        certified, issued, rows, authority, clock, reason):
    revoke(certified, issued, 'certificateHold')
    authority.memory.fail('revoke', Unavailable('Down.'))
    assert revoke(certified, issued, reason) is False
    authority.memory.fail('revoke', Rejected('No.'))
    clock.forward(hours=1)
    upkeep.sweep(certified)
    row = the_certificate(rows)
    assert (row['revocation_reason'], bool(row['revoked'])) == ('certificateHold', True)


def test_what_is_refused_after_it_was_accepted_is_an_error_in_the_log(
        certified, issued, authority, clock, caplog):
    authority.memory.fail('revoke', Unavailable('Down.'))
    revoke(certified, issued)
    authority.memory.fail('revoke', Rejected('Never.'))
    clock.forward(hours=1)
    assert upkeep.sweep(certified).revoked == 0
    record, = (record for record in caplog.records if record.levelname == 'ERROR')
    assert record.message == f'Certificate {issued} is not revoked, as was asked for: Never.'
    assert 'revoked later: Never.' not in caplog.text


@pytest.mark.parametrize(('renew_key', 'ends'), [(False, True), (True, False)])
def test_a_renewal_that_would_certify_a_compromised_key_again_is_given_up(
        certified, rows, authority, renew_key, ends):
    placed(certified, renews=True, renew_key=renew_key)
    run(certified)
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 5, 60
    first = rows('certificates')[0]['id']
    renewal = renewals.renew(certified, certificate_id=first)
    run(certified)
    revoke(certified, first)
    run(certified)
    status = {row['id']: row['status'] for row in rows('orders')}[renewal]
    assert status == ('ERROR' if ends else 'PENDING')
