# SPDX-License-Identifier: Apache-2.0
"""Renewal behind the same container: in time, by whoever comes first, killed anywhere; notice."""
import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from km.errors import Conflict, Rejected, Unavailable
from km.interfaces import RenewalAdviser, RenewalWindow
from km.lifecycle import certificate_orders, containers, renewals, revocations, upkeep
from km.testing import MemoryAuthority, open_authority
from tests.unit.lifecycle.conftest import Killed, SameThreadAuthority, killed_at
from tests.unit.lifecycle.test_certificate_orders import payloads_of, placed, run

LIFETIME = timedelta(days=90)
MOST_STEPS = 14


@pytest.fixture
def renewing(certified):
    """The context, with a certificate that is to be renewed at half its lifetime."""
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    return certified


def versions(rows):
    return sorted(rows('certificates'), key=lambda row: row['version'])


def current(rows):
    row, = (row for row in rows('certificates') if row['is_current'])
    return row


def assert_pair(ctx, rows):
    """The container has one certificate, its own key and its chain; which certificate that is."""
    container, = rows('containers')
    found = payloads_of(ctx, rows, container['id'])
    assert set(found) == {'certificate', 'private_key', 'intermediates'}
    certificate = x509.load_pem_x509_certificate(found['certificate'])
    assert certificate.public_key() == load_pem_private_key(found['private_key'], None).public_key()
    assert current(rows)['serial'] == f'{certificate.serial_number:x}'
    return certificate


def test_a_certificate_is_renewed_when_the_order_says_behind_the_same_container(
        renewing, rows, clock):
    first = assert_pair(renewing, rows)
    clock.forward(days=44)
    assert upkeep.sweep(renewing).renewed == 0
    clock.forward(days=2)
    assert upkeep.sweep(renewing).renewed == 1
    run(renewing)
    second = assert_pair(renewing, rows)
    assert (second.serial_number, second.public_key()) != (first.serial_number, first.public_key())
    assert [row['version'] for row in versions(rows)] == [1, 2]
    assert [row['status'] for row in rows()] == ['ACTIVE'] * 6  # the former stay


def test_a_renewal_asks_for_the_same_names_and_says_what_it_replaces(
        renewing, rows, clock, authority):
    first = assert_pair(renewing, rows)
    clock.forward(days=46)
    upkeep.sweep(renewing)
    run(renewing)
    request = authority.memory.requests[-1]
    assert x509.load_der_x509_certificate(request.replaces) == first
    assert versions(rows)[0]['names'] == versions(rows)[1]['names']
    assert versions(rows)[0]['subject'] == versions(rows)[1]['subject']


def test_a_certificate_is_renewed_again_and_again(renewing, rows, clock):
    for _ in range(3):
        clock.forward(days=46)
        upkeep.sweep(renewing)
        run(renewing)
        assert_pair(renewing, rows)
    assert current(rows)['version'] == 4


def test_a_key_that_shall_stay_stays(certified, rows, clock):
    placed(certified, renews=True, renew_percent=50, renew_key=False)
    run(certified)
    first = assert_pair(certified, rows)
    clock.forward(days=46)
    upkeep.sweep(certified)
    run(certified)
    assert assert_pair(certified, rows).public_key() == first.public_key()
    assert len(rows()) == 5


def test_without_a_policy_nothing_is_renewed(certified, rows, clock):
    placed(certified)
    run(certified)
    clock.forward(days=89)
    assert upkeep.sweep(certified).renewed == 0


def test_one_can_be_renewed_at_once_and_whoever_asks_again_gets_the_same_order(
        certified, rows, authority):
    placed(certified)
    run(certified)
    order_id = renewals.renew(certified, certificate_id=current(rows)['id'])
    assert renewals.renew(certified, certificate_id=current(rows)['id']) == order_id
    run(certified)
    assert current(rows)['order_id'] == order_id
    assert_pair(certified, rows)


def test_what_is_not_in_use_any_more_is_not_renewed(renewing, rows, clock):
    first = current(rows)
    renewals.renew(renewing, certificate_id=first['id'])
    run(renewing)
    with pytest.raises(Conflict):
        renewals.renew(renewing, certificate_id=first['id'])
    revocations.revoke(renewing, certificate_id=current(rows)['id'], reason='superseded')
    with pytest.raises(Conflict):
        renewals.renew(renewing, certificate_id=current(rows)['id'])
    clock.forward(days=46)
    assert upkeep.sweep(renewing).renewed == 0


def test_a_certificate_whose_container_was_deleted_is_not_renewed(renewing, rows, clock):
    containers.delete(renewing, container_id=rows('containers')[0]['id'])
    clock.forward(days=46)
    assert upkeep.sweep(renewing).renewed == 0
    assert current(rows)['renew_at'] is None


def test_a_container_that_is_deleted_while_its_certificate_is_renewed_fails_the_order(
        renewing, rows, clock, store):
    renewals.renew(renewing, certificate_id=current(rows)['id'])
    containers.delete(renewing, container_id=rows('containers')[0]['id'])
    run(renewing)
    assert 'was deleted' in rows('orders')[-1]['error_reason']
    for _ in range(2):
        clock.forward(hours=2)
        upkeep.sweep(renewing)
    assert len(store.payloads) == len(rows()) == 3


@pytest.mark.parametrize('step', range(1, MOST_STEPS))
def test_killed_at_any_step_of_a_renewal_the_pair_is_whole_and_there_is_one_new_certificate(
        renewing, rows, clock, authority, store, step):
    clock.forward(days=46)
    dying = killed_at(renewing, step)
    try:
        renewals.renew_due(dying)
        run(dying)
    except Killed:
        renewing.cast.clear()
    assert_pair(renewing, rows)
    for _ in range(3):
        clock.forward(hours=2)
        upkeep.sweep(renewing)
        run(renewing)
    assert_pair(renewing, rows)
    assert current(rows)['version'] == 2
    assert len(authority.memory.issued) == 2
    assert len(store.payloads) == len(rows()) == 6


def test_a_renewal_that_fails_is_told_of_and_tried_again_sooner_towards_the_end(
        renewing, rows, clock, authority):
    authority.memory.fail('issue', Rejected('No.'), times=1000)
    clock.forward(days=46)
    upkeep.sweep(renewing)
    run(renewing)
    assert current(rows)['renewal_failures'] == 1
    tried = 0
    for _ in range(44 * 24 - 1):
        clock.forward(hours=1)
        tried += upkeep.sweep(renewing).renewed
        run(renewing)
    assert tried >= 44 - 5  # about once a day at the latest
    assert current(rows)['renewal'] is None
    authority.memory.failures.clear()
    for _ in range(2):
        clock.forward(minutes=10)
        upkeep.sweep(renewing)
        run(renewing)
    assert_pair(renewing, rows)
    assert current(rows)['version'] == 2


def test_two_who_look_at_once_place_one_order(renewing, rows, clock):
    clock.forward(days=46)
    with renewing.statement() as connection:
        row, = (row for row in connection.exec_driver_sql('SELECT * FROM certificates'))
    assert renewals._place(renewing, row.id) == renewals._place(renewing, row.id)
    assert len(rows('orders')) == 2


class Advising(MemoryAuthority, RenewalAdviser):
    """An authority with an opinion."""

    window = None

    def renewal_window(self, certificate):
        self.memory.calls.append('renewal_window')
        if isinstance(self.window, Exception):
            raise self.window
        return self.window


@pytest.fixture
def adviser(certified, clock):
    adviser = open_authority(Advising)
    adviser.memory.clock, adviser.name = clock, 'ca'
    certified.authorities['ca'] = SameThreadAuthority(adviser)
    upkeep.sweep(certified)
    return adviser


def advised_in(clock, *, days, ask_after_hours):
    return RenewalWindow(start=clock() + timedelta(days=days), end=clock() + timedelta(days=days + 1),
                         ask_after_seconds=ask_after_hours * 3600)


def test_a_certificate_is_renewed_when_its_authority_advises(certified, adviser, rows, clock):
    adviser.window = advised_in(clock, days=5, ask_after_hours=6)
    placed(certified, renews=True)
    run(certified)
    for _ in range(5 * 4):
        assert upkeep.sweep(certified).renewed == 0
        clock.forward(hours=6)
    for _ in range(4):
        clock.forward(hours=6)
        if upkeep.sweep(certified).renewed:
            break
    run(certified)
    assert current(rows)['version'] == 2


def test_an_authority_that_always_says_now_is_not_asked_without_end(certified, adviser, rows, clock):
    adviser.window = advised_in(clock, days=-2, ask_after_hours=6)
    placed(certified, renews=True)
    run(certified)
    for _ in range(4 * 6):
        clock.forward(minutes=10)
        upkeep.sweep(certified)
        run(certified)
    assert current(rows)['version'] <= 5


def test_an_authority_that_changes_its_mind_is_heard(certified, adviser, rows, clock):
    adviser.window = advised_in(clock, days=60, ask_after_hours=6)
    placed(certified, renews=True)
    run(certified)
    upkeep.sweep(certified)
    adviser.window = advised_in(clock, days=-2, ask_after_hours=6)  # all are to be replaced at once
    clock.forward(hours=7)
    assert upkeep.sweep(certified).renewed == 1


def test_an_authority_is_asked_no_sooner_than_it_said(certified, adviser, clock):
    adviser.window = advised_in(clock, days=60, ask_after_hours=6)
    placed(certified, renews=True)
    run(certified)
    upkeep.sweep(certified)
    asked = adviser.memory.calls.count('renewal_window')
    clock.forward(hours=5)
    upkeep.sweep(certified)
    assert adviser.memory.calls.count('renewal_window') == asked == 1


@pytest.mark.parametrize('answer', [None, Unavailable('Down.')])
def test_without_advice_the_usual_time_holds(certified, adviser, rows, clock, answer):
    adviser.window = answer
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    for _ in range(44 * 4):
        assert upkeep.sweep(certified).renewed == 0
        clock.forward(hours=6)
    clock.forward(days=2)
    assert upkeep.sweep(certified).renewed == 1


def test_a_request_that_the_client_made_is_sent_again(certified, rows, clock, authority):
    placed(certified)
    run(certified)
    csr = authority.memory.requests[0].csr
    certificate_orders.place(
        certified, request_type='simple-cmc', meta={'request_type': 'simple-cmc'}, csr=csr,
        renews=True, renew_percent=50)
    run(certified)
    clock.forward(days=46)
    upkeep.sweep(certified)
    run(certified)
    assert authority.memory.requests[-1].csr == csr
    assert [json.loads(row['meta'])['request_type'] for row in rows('orders')] == [
        'new-key', 'simple-cmc', 'renewal']


def test_former_versions_that_have_ended_go_but_for_the_last_three(renewing, rows, clock, store):
    for _ in range(9):
        clock.forward(days=46)
        upkeep.sweep(renewing)
        run(renewing)
    for _ in range(2):
        clock.forward(hours=2)
        upkeep.sweep(renewing)
    assert [row['version'] for row in versions(rows)] == [7, 8, 9, 10]
    assert len(store.payloads) == len(rows()) == 12


def test_what_a_custom_order_says_of_its_own_is_said_again(certified, rows, authority, clock):
    placed(certified, renews=True, renew_percent=50, request_type='custom', meta={
        'request_type': 'custom', 'subject_dn': 'cn=www.example.org', 'details': {'note': 'urgent'}})
    run(certified)
    for version in (2, 3):
        clock.forward(days=46)
        upkeep.sweep(certified)
        run(certified)
        assert current(rows)['version'] == version
        assert authority.memory.requests[-1].details == {'note': 'urgent'}
