# SPDX-License-Identifier: Apache-2.0
"""Orders of certificates when everything goes wrong: killed at every step, refused, late, cancelled."""
import dataclasses
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from km.errors import Conflict, NotFound, Rejected, Unavailable
from km.lifecycle import certificate_orders, orders, secrets, upkeep
from tests.unit.lifecycle.conftest import Killed, killed_at

NEW_KEY = {'request_type': 'new-key', 'meta': {
    'request_type': 'new-key', 'name': 'web', 'subject_dn': 'cn=www.example.org'}}
#: How often placing and all of the processing open the database, at the most.
MOST_STEPS = 12


def settled(ctx, clock):
    """Every order's end, after sweeps that come late enough to find what was abandoned."""
    for _ in range(3):
        clock.forward(hours=2)
        upkeep.sweep(ctx)


def placed(ctx, **more):
    return certificate_orders.place(ctx, **{**NEW_KEY, **more})


def run(ctx):
    """Handle what was cast, as a worker does."""
    while ctx.cast:
        task, arguments = ctx.cast.pop(0)
        task(ctx, **arguments)


def the_order(rows):
    row, = rows('orders')
    return row


def payloads_of(ctx, rows, container_id):
    """The payloads of a container, by their names in it."""
    held = {row['secret_id']: row['name'] for row in rows('container_secrets')
            if row['container_id'] == container_id}
    return {held[row['id']]: secrets.payload(
        ctx, secret_id=row['id'], project_id=row['project_id'], store=row['store'],
        reference=row['reference']) for row in rows() if row['id'] in held}


def assert_made_once(ctx, rows, store, authority):
    """The order is active, with one certificate, its key and chain; nothing else is anywhere."""
    order = the_order(rows)
    assert order['status'] == 'ACTIVE', dict(order)
    assert list(authority.memory.issued) == [order['id']]
    kept = rows()
    assert [row['status'] for row in kept] == ['ACTIVE'] * 3
    assert {row['id'] for row in kept} == set(store.payloads)
    container, = rows('containers')
    assert order['container_id'] == container['id']
    found = payloads_of(ctx, rows, container['id'])
    assert set(found) == {'certificate', 'private_key', 'intermediates'}
    certificate = x509.load_pem_x509_certificate(found['certificate'])
    key = load_pem_private_key(found['private_key'], None)
    assert certificate.public_key() == key.public_key()
    issuer = x509.load_pem_x509_certificates(found['intermediates'])[0]
    certificate.verify_directly_issued_by(issuer)
    issued, = rows('certificates')
    assert (issued['order_id'], issued['version'], issued['is_current']) == (order['id'], 1, 1)
    assert int(issued['serial'], 16) == certificate.serial_number


def assert_nothing_left(rows, store):
    assert (rows(), rows('containers'), rows('certificates'), store.payloads) == ([], [], [], {})


def test_an_order_makes_a_key_a_certificate_and_a_container(certified, rows, store, authority):
    placed(certified)
    assert the_order(rows)['status'] == 'PENDING'
    run(certified)
    assert_made_once(certified, rows, store, authority)
    assert the_order(rows)['sub_status'] == 'cert_generated'


def test_an_order_that_the_authority_lets_wait_is_asked_for_again_and_no_sooner(
        certified, rows, store, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 2, 60
    placed(certified)
    run(certified)
    assert the_order(rows)['sub_status'] == 'cert_request_pending'
    for polls in (0, 1):
        clock.forward(seconds=59)
        upkeep.sweep(certified)
        assert authority.memory.calls.count('poll') == polls
        clock.forward(seconds=1)
        upkeep.sweep(certified)
    clock.forward(seconds=60)
    upkeep.sweep(certified)
    assert_made_once(certified, rows, store, authority)


def test_an_order_that_need_not_wait_is_taken_all_the_way_at_once(
        certified, rows, store, authority):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 5, 0
    placed(certified)
    run(certified)
    assert_made_once(certified, rows, store, authority)


def test_the_one_who_has_to_poll_is_reminded_of_it(certified, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 1, 7
    times = []
    ctx = dataclasses.replace(certified, remind=times.append)
    placed(ctx)
    run(ctx)
    assert (times[-1] - clock()).total_seconds() == 7


@pytest.mark.parametrize('polls', [0, 2])
@pytest.mark.parametrize('step', range(1, MOST_STEPS))
def test_killed_at_any_step_there_is_one_certificate_in_the_end(
        certified, rows, store, authority, clock, step, polls):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = polls, 0
    dying = killed_at(certified, step)
    try:
        placed(dying)
        run(dying)
    except Killed:
        certified.cast.clear()
    settled(certified, clock)
    if not rows('orders'):
        assert_nothing_left(rows, store)
        assert authority.memory.issued == {}
    else:
        assert_made_once(certified, rows, store, authority)


@pytest.mark.parametrize('call', ['issue', 'poll'])
@pytest.mark.parametrize('afterwards', [False, True])
def test_killed_inside_the_authority_there_is_one_certificate_in_the_end(
        certified, rows, store, authority, clock, call, afterwards):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = int(call == 'poll'), 0
    authority.memory.fail(call, Killed(), afterwards=afterwards)
    placed(certified)
    with pytest.raises(Killed):
        run(certified)
    settled(certified, clock)
    assert_made_once(certified, rows, store, authority)


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_store_there_is_one_certificate_in_the_end(
        certified, rows, store, authority, clock, when):
    placed(certified)
    store.fail = {('store', when): Killed()}
    with pytest.raises(Killed):
        run(certified)
    store.fail = {}
    settled(certified, clock)
    assert_made_once(certified, rows, store, authority)


def test_an_attempt_after_one_that_was_cut_off_says_so(certified, authority, clock):
    authority.memory.fail('issue', Killed(), afterwards=True)
    placed(certified)
    with pytest.raises(Killed):
        run(certified)
    settled(certified, clock)
    assert [request.attempt for request in authority.memory.requests] == [1, 2]


def test_what_the_authority_refuses_fails_the_order_with_its_reason(
        certified, rows, store, authority, clock):
    authority.memory.fail('issue', Rejected('Too short.'))
    placed(certified)
    run(certified)
    order = the_order(rows)
    assert (order['status'], order['error_status_code'], order['sub_status']) == (
        'ERROR', '400', 'cert_data_invalid')
    assert order['error_reason'] == 'Problem with data in certificate request - Reason: Too short.'
    settled(certified, clock)
    assert_nothing_left(rows, store)


def test_a_bug_of_a_plugin_fails_the_order_and_tells_nothing_of_it(
        certified, rows, store, authority, clock):
    authority.memory.fail('issue', ValueError('unmistakable'))
    placed(certified)
    run(certified)
    assert (the_order(rows)['error_status_code'], the_order(rows)['sub_status']) == (
        '500', 'cert_internal_error')
    assert 'unmistakable' not in repr(rows('orders'))
    settled(certified, clock)
    assert_nothing_left(rows, store)


def test_an_authority_that_is_down_is_asked_again_with_longer_and_longer_pauses(
        certified, rows, store, authority, clock):
    authority.memory.fail('issue', Unavailable('Down.'), times=4)
    placed(certified)
    run(certified)
    assert the_order(rows)['sub_status'] == 'cert_ca_unavail_for_issue'
    for pause in (30, 60, 120, 240):
        clock.forward(seconds=pause * 0.75)
        assert upkeep.sweep(certified).ordered == 0
        clock.forward(seconds=pause * 0.5)
        assert upkeep.sweep(certified).ordered == 1
    assert_made_once(certified, rows, store, authority)


def test_when_an_authority_says_when_to_ask_again_that_holds(
        certified, rows, store, authority, clock):
    authority.memory.fail('issue', Unavailable('Busy.', retry_after_seconds=3600))
    placed(certified)
    run(certified)
    clock.forward(seconds=3599)
    assert upkeep.sweep(certified).ordered == 0
    clock.forward(seconds=1)
    upkeep.sweep(certified)
    assert_made_once(certified, rows, store, authority)


def test_an_order_that_waits_for_ever_is_given_up_and_cancelled_at_the_authority(
        certified, rows, store, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 10000, 3600
    order_id = placed(certified)
    run(certified)
    for _ in range(90):
        clock.forward(hours=2)
        upkeep.sweep(certified)
    order = the_order(rows)
    assert (order['status'], order['error_status_code']) == ('ERROR', '503')
    assert order['error_reason'] == 'The authority has not issued the certificate in time.'
    assert authority.memory.cancelled == {order_id}
    assert_nothing_left(rows, store)


def test_an_authority_that_is_down_for_ever_fails_the_order(certified, rows, store, authority, clock):
    authority.memory.fail('issue', Unavailable('Down.'), times=1000)
    placed(certified)
    run(certified)
    for _ in range(90):
        clock.forward(hours=2)
        upkeep.sweep(certified)
    assert (the_order(rows)['status'], the_order(rows)['error_reason']) == ('ERROR', 'Down.')
    assert_nothing_left(rows, store)


def test_an_order_can_be_cancelled_while_it_waits(certified, rows, store, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 10, 60
    order_id = placed(certified)
    run(certified)
    certificate_orders.cancel(certified, order_id=order_id)
    run(certified)
    assert (the_order(rows)['status'], the_order(rows)['sub_status']) == ('ERROR', 'cert_cancelled')
    assert authority.memory.cancelled == {order_id}
    settled(certified, clock)
    assert_nothing_left(rows, store)
    with pytest.raises(Conflict, match='pending'):
        certificate_orders.cancel(certified, order_id=order_id)


def test_an_order_that_was_issued_by_the_time_it_is_cancelled_is_kept(
        certified, rows, store, authority):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 1, 60
    order_id = placed(certified)
    run(certified)
    certificate_orders.cancel(certified, order_id=order_id)
    run(certified)
    assert_made_once(certified, rows, store, authority)


def test_an_order_that_nobody_was_asked_about_is_cancelled_without_asking(
        certified, rows, store, authority, clock):
    order_id = placed(certified)
    certificate_orders.cancel(certified, order_id=order_id)
    run(certified)
    assert the_order(rows)['status'] == 'ERROR'
    assert authority.memory.calls.count('issue') == 0
    settled(certified, clock)
    assert_nothing_left(rows, store)


def test_an_order_that_is_deleted_while_it_waits_is_cancelled_and_goes(
        certified, rows, store, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 10, 60
    order_id = placed(certified)
    run(certified)
    orders.delete(certified, order_id=order_id)
    with pytest.raises(NotFound):
        orders.delete(certified, order_id=order_id)
    run(certified)
    assert rows('orders') == rows('certificate_orders') == []
    assert authority.memory.cancelled == {order_id}
    settled(certified, clock)
    assert_nothing_left(rows, store)


def test_an_order_that_was_fulfilled_goes_and_what_it_made_stays(certified, rows, store):
    order_id = placed(certified)
    run(certified)
    orders.delete(certified, order_id=order_id)
    assert rows('orders') == rows('certificate_orders') == []
    assert len(rows('containers')) == len(rows('certificates')) == 1
    assert len(store.payloads) == 3


def test_a_key_that_was_made_for_an_order_is_nobodys_until_there_is_a_certificate(
        certified, rows, authority):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 1, 60
    placed(certified)
    run(certified)
    key, = rows()
    assert (key['status'], key['secret_type']) == ('HELD', 'private')


def test_a_worker_that_was_taken_for_dead_undoes_what_it_made(
        certified, rows, store, authority, clock, caplog):
    issue = authority.issue

    def overtaken(request):
        authority.issue = issue
        issued = issue(request)
        clock.forward(minutes=5)
        assert upkeep.sweep(certified).ordered == 1
        return issued

    authority.issue = overtaken
    placed(certified)
    run(certified)
    assert 'taken over from claim 1' in caplog.text
    settled(certified, clock)
    assert_made_once(certified, rows, store, authority)


def test_a_certificate_for_another_key_is_not_kept(certified, rows, store, authority, clock):
    other = certificate_orders.place(certified, **NEW_KEY)
    run(certified)
    authority.issue = lambda _request: authority.memory.issued[other]
    placed(certified)
    run(certified)
    failed = next(row for row in rows('orders') if row['id'] != other)
    assert (failed['status'], failed['sub_status']) == ('ERROR', 'cert_data_invalid')
    settled(certified, clock)
    assert len(store.payloads) == 3


def test_what_a_custom_order_says_of_its_own_reaches_the_authority(certified, authority):
    placed(certified, request_type='custom', profile='client', meta={
        **NEW_KEY['meta'], 'details': {'note': 'urgent'}})
    run(certified)
    request, = authority.memory.requests
    assert (dict(request.details), request.profile) == ({'note': 'urgent'}, 'client')


def test_names_without_a_subject_are_enough(certified, rows, authority):
    placed(certified, meta={'request_type': 'new-key', 'name': 'web', 'subject_dn': None,
                            'subject_alt_names': ['www.example.org', 'IP:192.0.2.1']})
    run(certified)
    certificate, = rows('certificates')
    assert set(json.loads(certificate['names'])) == {'DNS:www.example.org', 'IP:192.0.2.1'}
