# SPDX-License-Identifier: Apache-2.0
"""Which CRLs there are, with what on them, and until when."""
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

from km.interfaces import CrlRequest, NotFound, Unavailable
from km.plugins.certificate_authority.local_ca.tables import CRLS
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    a_revocation,
    an_order,
    issuer_id,
    killed_at_each_step,
    loaded,
    rows,
)


def crl(ca, *, delta=False, issuer=None):
    made = ca.crl(CrlRequest(issuer=issuer or issuer_id(ca), delta=delta))
    read = x509.load_der_x509_crl(made.content)
    assert read.last_update_utc.replace(tzinfo=None) == made.this_update
    assert read.next_update_utc.replace(tzinfo=None) == made.next_update
    assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == made.number
    return made, read


def listed(ca, **more):
    """The reasons on a CRL, by serial number."""
    return {entry.serial_number: entry.extensions.get_extension_for_class(
        x509.CRLReason).value.reason.value for entry in crl(ca, **more)[1]}


def revoked(ca, reason='superseded', **fields):
    order = an_order(**fields)
    issued = ca.issue(order)
    ca.revoke(a_revocation(order, issued, reason, at=ca.time))
    return order, issued, loaded(issued.certificate).serial_number


def test_the_first_crl_is_empty_and_holds_for_longer_than_until_the_next(ca):
    made, read = crl(ca)
    assert (made.number, list(read)) == (1, [])
    assert (made.this_update, made.next_update) == (NOW, NOW + 36 * HOUR)
    loaded(ca.authorities()[0].certificate).public_key().verify(
        read.signature, read.tbs_certlist_bytes, _ecdsa(read))


def _ecdsa(read):
    return read.signature_algorithm_parameters


def test_a_crl_is_the_same_until_something_is_revoked_or_it_is_old(ca, opens):
    first = crl(ca)[0]
    ca.time = NOW + 23 * HOUR
    assert crl(ca)[0] == crl(opens(time=ca.time))[0] == first
    serial = revoked(ca)[2]
    assert listed(ca) == {serial: 'superseded'}
    second = crl(ca)[0]
    assert second.number == 2
    ca.time += DAY
    assert crl(ca)[0].number == 3
    assert listed(ca) == {serial: 'superseded'}


def test_what_is_revoked_by_one_process_is_on_the_crl_of_another(ca, opens):
    other = opens()
    crl(other)
    serial = revoked(ca)[2]
    assert serial in listed(other)


def test_a_hold_that_is_taken_back_is_on_no_crl(ca):
    order, issued, serial = revoked(ca, 'certificateHold')
    assert listed(ca) == {serial: 'certificateHold'}
    ca.revoke(a_revocation(order, issued, 'removeFromCRL'))
    assert listed(ca) == {}


def test_what_has_ended_is_on_one_more_crl(ca):
    serial = revoked(ca, not_after=NOW + HOUR)[2]
    assert serial in listed(ca)
    ca.time = NOW + DAY
    assert serial in listed(ca)
    ca.time = NOW + 2 * DAY
    assert serial not in listed(ca)


def test_what_is_revoked_after_its_end_is_on_one_crl(opens):
    ca = opens(revoke_expired=True)
    order = an_order(not_after=NOW + HOUR)
    issued = ca.issue(order)
    crl(ca)
    ca.time = NOW + 2 * DAY
    crl(ca)
    ca.revoke(a_revocation(order, issued, at=ca.time))
    serial = loaded(issued.certificate).serial_number
    assert serial in listed(ca)
    ca.time = NOW + 3 * DAY
    assert serial not in listed(ca)


def test_a_delta_has_what_changed_since_the_complete_one_in_one_line_of_numbers(opens):
    ca = opens(delta_crl_minutes=10)
    held = revoked(ca, 'certificateHold')
    complete, read = crl(ca)
    freshest = read.extensions.get_extension_for_class(x509.FreshestCRL).value
    assert freshest[0].full_name[0].value == (
        f'http://km.test:9311/pki/plugin/{issuer_id(ca)}-delta.crl')
    made, delta = crl(ca, delta=True)
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    assert indicator.value.crl_number == complete.number == 1
    assert (made.number, list(delta)) == (2, [])
    assert made.next_update == NOW + 15 * MINUTE
    serial = revoked(ca)[2]
    assert listed(ca, delta=True) == {serial: 'superseded'}
    ca.revoke(a_revocation(*held[:2], 'removeFromCRL'))
    assert listed(ca, delta=True) == {serial: 'superseded', held[2]: 'removeFromCRL'}
    assert crl(ca)[0] == complete
    assert crl(ca, delta=True)[0].number == 4
    ca.time = NOW + DAY
    assert listed(ca) == {serial: 'superseded'}
    assert crl(ca)[0].number == 5
    assert listed(ca, delta=True) == {}


def test_a_delta_is_made_anew_before_it_ends(opens):
    ca = opens(delta_crl_minutes=10)
    first = crl(ca, delta=True)[0]
    ca.time = NOW + 9 * MINUTE
    assert crl(ca, delta=True)[0] == first
    ca.time = NOW + 10 * MINUTE
    assert crl(ca, delta=True)[0].number == first.number + 1


def test_who_makes_no_deltas_has_none(ca):
    with pytest.raises(NotFound):
        crl(ca, delta=True)


@pytest.mark.parametrize('name', ['', 'nobody', '\0', '../x', str(uuid.uuid4()), 'é' * 400])
def test_strangers_who_ask_for_nobody_are_told_so(ca, name):
    for ask in (lambda: ca.crl(CrlRequest(issuer=name)), lambda: ca.issuer_certificate(name)):
        with pytest.raises(NotFound):
            ask()


def test_certificates_say_where_all_this_is(ca):
    issued = loaded(ca.issue(an_order()).certificate)
    base = f'http://km.test:9311/pki/plugin/{issuer_id(ca)}'
    points = issued.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == f'{base}.crl'
    access = issued.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [one.access_location.value for one in access] == [f'{base}/ocsp', f'{base}.crt']
    issuing = ca.authorities()[0]
    assert ca.issuer_certificate(issuer_id(ca)) == issuing.certificate
    assert ca.issuer_certificate(issuer_id(ca, 'root')) == issuing.chain[0]
    points = loaded(issuing.certificate).extensions.get_extension_for_class(
        x509.CRLDistributionPoints).value
    assert issuer_id(ca, 'root') in points[0].full_name[0].value


def test_without_a_url_certificates_say_nothing_of_it(opens):
    ca = opens(publication_url=None)
    issued = loaded(ca.issue(an_order()).certificate)
    for certificate in (issued, loaded(ca.authorities()[0].certificate)):
        for kind in (x509.CRLDistributionPoints, x509.AuthorityInformationAccess):
            with pytest.raises(x509.ExtensionNotFound):
                certificate.extensions.get_extension_for_class(kind)


def test_those_who_publish_at_once_have_the_same_and_no_number_twice(ca, opens):
    several = [ca, opens(), opens()]
    for _ in range(5):
        serial = revoked(ca)[2]
        with ThreadPoolExecutor(6) as threads:
            made = list(threads.map(lambda one: crl(one)[1], several * 2))
        assert all(read.get_revoked_certificate_by_serial_number(serial) for read in made)
    numbers = [row.number for row in rows(ca, CRLS, issuer_id=issuer_id(ca))]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_higher_number_never_knows_less(ca, opens):
    others = [opens() for _ in range(3)]

    def publish(one):
        for _ in range(10):
            crl(one)

    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(publish, one) for one in others]
        for _ in range(10):
            revoked(ca)
        [one.result() for one in done]
    crl(ca)
    known = set()
    for row in sorted(rows(ca, CRLS, issuer_id=issuer_id(ca)), key=lambda row: row.number):
        on_it = {entry.serial_number for entry in x509.load_der_x509_crl(row.content)}
        assert on_it >= known
        known = on_it
    assert len(known) == 10


def test_who_is_killed_while_publishing_is_followed_by_one_who_publishes(opens, life):
    ca, other = opens(delta_crl_minutes=10), opens(delta_crl_minutes=10)

    def prepare():
        ca.time = other.time = ca.time + DAY
        return revoked(other)[2]

    for serial in killed_at_each_step(life, prepare, lambda _: ca.publish()):
        published = other.publish()[issuer_id(other)]
        assert serial in {entry.serial_number for entry in x509.load_der_x509_crl(published.content)}
        crl(other, delta=True)


def test_a_crl_that_holds_is_given_while_the_key_cannot_be_used(ca, opens):
    made = crl(ca)[0]
    ca.time = NOW + 30 * HOUR
    ca.key_stores['soft'].sign = _broken
    assert crl(ca)[0] == made
    ca.time = NOW + 36 * HOUR
    with pytest.raises(Unavailable):
        crl(ca)


def _broken(_request):
    raise Unavailable('The store does not answer.')


def test_of_crls_that_have_not_ended_few_are_kept(opens):
    for deltas in (0, 10):
        ca = opens(delta_crl_minutes=deltas)
        order = an_order()
        issued = ca.issue(order)
        for number in range(60):
            ca.revoke(a_revocation(order, issued, 'removeFromCRL' if number % 2 else 'certificateHold'))
            ca.crl(CrlRequest(issuer=issuer_id(ca), delta=deltas > 0))
        kept = rows(ca, CRLS, issuer_id=issuer_id(ca))
        assert len(kept) <= (102 if deltas else 51)  # the complete ones of before among them
        newest = max(row.number for row in kept)
        assert crl(ca)[0].number == max(row.number for row in kept if row.base_number is None)
        assert newest == 60 * (1 + (deltas > 0))


def test_crls_that_ended_are_forgotten(ca):
    for _ in range(20):
        crl(ca)
        ca.time += DAY
    assert len(rows(ca, CRLS, issuer_id=issuer_id(ca))) <= 3
