# SPDX-License-Identifier: Apache-2.0
"""One certificate for an order, whatever happens."""
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from km.interfaces import Rejected, StoredSecret, Unavailable
from km.plugins.certificate_authority.local_ca import drafts
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    a_request,
    a_revocation,
    an_order,
    killed_at_each_step,
    loaded,
    rows,
)


def test_an_order_has_one_certificate_however_often_it_is_asked_for(ca, opens):
    order = an_order()
    issued = ca.issue(order)
    assert ca.issue(order) == opens().issue(order) == issued
    assert len(rows(ca, CERTIFICATES, order_id=order.order_id)) == 1


def test_two_orders_have_two_serial_numbers_of_many_bits(ca):
    serials = {loaded(ca.issue(an_order()).certificate).serial_number for _ in range(20)}
    assert len(serials) == 20
    assert all(64 < serial.bit_length() <= 159 for serial in serials)
    # Were they counted, they would have their upper halves in common.
    assert len({serial >> 80 for serial in serials}) == 20


def test_who_is_killed_while_issuing_is_followed_by_one_who_finishes_it(ca, opens, life):
    other, told = opens(), itertools.count()
    for order in killed_at_each_step(life, an_order, ca.issue):
        begun = rows(ca, CERTIFICATES, order_id=order.order_id)
        issued = other.issue(order)
        loaded(issued.certificate).verify_directly_issued_by(loaded(issued.chain[0]))
        row, = rows(ca, CERTIFICATES, order_id=order.order_id)
        assert row.certificate == issued.certificate
        assert row.draft is None
        if begun:  # it says what it was going to say
            next(told)
            assert begun[0].serial == row.serial
            if begun[0].draft:
                assert drafts.to_be_signed(begun[0].draft) == loaded(
                    issued.certificate).tbs_certificate_bytes
        assert ca.issue(order) == issued
    assert next(told) > 3


def test_a_row_is_finished_as_it_was_begun_though_the_options_are_others_by_now(ca, opens, life):
    other = opens(publication_url='http://elsewhere.test/pki', issuing_years=1)
    for order in killed_at_each_step(life, an_order, ca.issue):
        begun = bool(rows(ca, CERTIFICATES, order_id=order.order_id))
        points = loaded(other.issue(order).certificate).extensions.get_extension_for_class(
            x509.CRLDistributionPoints).value
        assert ('km.test' if begun else 'elsewhere.test') in points[0].full_name[0].value


def test_of_those_who_issue_for_one_order_at_once_all_give_the_same(ca, opens):
    several = [ca, opens(), opens()]
    for _ in range(5):
        order = an_order()
        with ThreadPoolExecutor(6) as threads:
            issued = list(threads.map(lambda one: one.issue(order), several * 2))  # noqa: B023
        assert len({one.certificate for one in issued}) == 1
        assert len(rows(ca, CERTIFICATES, order_id=order.order_id)) == 1


def test_a_signature_that_is_wrong_is_never_kept(folder, ca, store, opens):
    class Wrong:
        def sign(self, request):
            signature = bytearray(store.sign(request))
            signature[-1] ^= 1
            return bytes(signature)

    order = an_order()
    with pytest.raises(Unavailable, match='signs wrongly'):
        opens(store=Wrong()).issue(order)
    assert rows(ca, CERTIFICATES, order_id=order.order_id)[0].certificate is None
    assert ca.issue(order).certificate


def test_a_lost_key_is_a_failure_that_may_pass_and_the_store_is_told_of_in_the_log(ca, store, caplog):
    signer = ca._signers.current('issuing')
    while found := store.find(signer.key_id):
        store.delete(StoredSecret(secret_id=signer.key_id, project_id='', reference=found))
    with pytest.raises(Unavailable, match='not in its store'):
        ca.issue(an_order())
    assert signer.key_id in caplog.text


def test_a_key_that_was_compromised_has_no_certificate_any_more(ca):
    order = an_order()
    ca.revoke(a_revocation(order, ca.issue(order), 'keyCompromise'))
    with pytest.raises(Rejected, match='compromised'):
        ca.issue(an_order('other.example.org'))
    ca.issue(an_order(csr=a_request('other.example.org', key=ec.generate_private_key(ec.SECP256R1()))))
