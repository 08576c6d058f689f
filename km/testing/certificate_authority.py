# SPDX-License-Identifier: Apache-2.0
"""What km asks of every certificate authority, as tests.

Subclass it in a test module of yours, and give it an authority and names that it issues for::

    class TestOurs(CertificateAuthorityContract):
        @pytest.fixture
        def authority(self):
            return open_authority(Ours, url='https://127.0.0.1:8443')

        @pytest.fixture
        def names(self):
            return ['a.ours.example', 'b.ours.example']
"""
import base64
import json
import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import (
    CertificateAuthority,
    Issued,
    IssueRequest,
    KmError,
    NotSupported,
    Pending,
    PendingOrder,
    Rejected,
    Unavailable,
)
from km.testing.certificate_orders import (
    OrderFixtures,
    loaded,
    new_csr,
    new_order,
    obtained,
    obtained_once,
    require_chain,
    revoke_request,
    spki,
)

_MAX_REFERENCE_BYTES = 4096
_MAX_NAME = 255
_MAX_SERIAL_BITS = 160
_REFUSALS = (Rejected, NotSupported)


class CertificateAuthorityContract(OrderFixtures):
    """Subclasses give a fixture ``authority``: an open one, whose authorities can issue. They may give
    others in the place of those of ``OrderFixtures``."""

    @pytest.fixture
    def authority(self) -> Iterator[CertificateAuthority]:
        raise NotImplementedError('give your contract suite a fixture named authority')

    def test_those_it_issues_as_have_names_and_certificates_in_order(self, authority):
        several = authority.authorities()
        names = [told.name for told in several]
        assert names and len(names) == len(set(names))
        assert all(0 < len(name) <= _MAX_NAME for name in names)
        for told in several:
            if told.certificate is not None:
                require_chain(Issued(certificate=told.certificate, chain=told.chain))

    def test_a_certificate_is_for_the_key_and_the_names_that_were_asked_for(
            self, authority, names, settle):
        order = new_order(authority, names)
        certificate, _ = loaded(obtained(authority, order, settle))
        assert spki(certificate.public_key()) == spki(x509.load_der_x509_csr(order.csr).public_key())
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {name.lower() for name in told.get_values_for_type(x509.DNSName)} == set(names)
        assert len(list(told)) == len(names)

    def test_a_certificate_holds_now_and_is_none_of_an_authority(self, authority, names, settle):
        certificate, _ = loaded(obtained(authority, new_order(authority, names), settle))
        now = datetime.now(UTC)
        assert certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
        assert certificate.version == x509.Version.v3
        assert 0 < certificate.serial_number < 1 << _MAX_SERIAL_BITS
        for extension in certificate.extensions:
            if isinstance(extension.value, x509.BasicConstraints):
                assert not extension.value.ca

    def test_the_chain_begins_with_the_issuer_and_each_signed_the_one_before(
            self, authority, names, settle):
        issued = obtained(authority, new_order(authority, names), settle)
        assert issued.chain
        require_chain(issued)
        usual = authority.authorities()[0]
        assert usual.certificate in (None, issued.chain[0])

    def test_an_order_that_is_asked_for_again_has_the_same_one_certificate(
            self, authority, names, settle, another):
        first, ask_again = obtained_once(authority, new_order(authority, names), settle)
        for asked in (authority, another(), authority):
            again = ask_again(asked)
            assert again.certificate == first.certificate
            assert again.chain == first.chain

    def test_an_order_that_was_cut_off_and_begun_again_has_one_certificate(
            self, authority, names, settle, another):
        order = new_order(authority, names)
        answer = authority.issue(order)
        first, ask_again = obtained_once(another(), replace(order, attempt=2), settle)
        assert ask_again(authority).certificate == first.certificate
        assert isinstance(answer, Pending) or answer.certificate == first.certificate

    def test_two_orders_have_two_certificates(self, authority, names, settle):
        one = new_order(authority, names)
        other = replace(one, order_id=str(uuid.uuid4()), csr=new_csr(names))
        serials = {loaded(obtained(authority, order, settle))[0].serial_number for order in (one, other)}
        assert len(serials) == 2

    def test_what_is_left_pending_goes_on_from_its_reference_alone(
            self, authority, names, settle, another):
        order = new_order(authority, names)
        answer = authority.issue(order)
        if isinstance(answer, Pending):
            reference = json.loads(json.dumps(dict(answer.reference)))
            assert reference == answer.reference
            assert all(isinstance(value, str | int) for value in reference.values())
            assert len(json.dumps(reference)) <= _MAX_REFERENCE_BYTES
            assert answer.poll_after_seconds >= 0
            assert '\n' not in answer.sentence
            answer = settle(another(), PendingOrder(order=order, reference=reference))
        assert spki(loaded(answer)[0].public_key()) == spki(
            x509.load_der_x509_csr(order.csr).public_key())

    def test_giving_up_twice_is_no_error(self, authority, names):
        order = new_order(authority, names)
        answer = authority.issue(order)
        reference = answer.reference if isinstance(answer, Pending) else {}
        for _ in range(2):
            authority.cancel(PendingOrder(order=order, reference=reference))

    def test_a_renewal_that_replaces_a_certificate_is_another_one(self, authority, names, settle):
        first = obtained(authority, new_order(authority, names), settle)
        second = obtained(authority, new_order(authority, names, replaces=first.certificate), settle)
        assert second.certificate != first.certificate
        assert spki(loaded(second)[0].public_key()) != spki(loaded(first)[0].public_key())

    def test_revoking_twice_is_no_error(self, authority, names, settle, another):
        order = new_order(authority, names)
        issued = obtained(authority, order, settle)
        try:
            authority.revoke(revoke_request(order, issued))
        except NotSupported:
            return
        authority.revoke(revoke_request(order, issued))
        another().revoke(revoke_request(order, issued))

    def test_a_certificate_of_another_authority_is_not_revoked(self, authority, names):
        order = new_order(authority, names)
        with pytest.raises(_REFUSALS) as failure:
            authority.revoke(revoke_request(order, Issued(certificate=_of_a_stranger(names[0]))))
        _require_a_sentence(failure.value)

    def test_a_profile_that_is_not_there_is_refused(self, authority, names):
        with pytest.raises(_REFUSALS) as failure:
            authority.issue(new_order(authority, names, profile='no such profile'))
        _require_a_sentence(failure.value)

    def test_details_that_mean_nothing_to_it_are_refused_and_not_passed_over(self, authority, names):
        with pytest.raises(_REFUSALS) as failure:
            authority.issue(new_order(authority, names, details={'no_such_detail': 'unmistakable'}))
        _require_a_sentence(failure.value)
        assert 'unmistakable' not in failure.value.sentence

    def test_of_several_authorities_one_that_is_not_there_is_refused(self, authority, names):
        if len(authority.authorities()) == 1:
            return  # km asks it as that, whatever it is called
        with pytest.raises(_REFUSALS) as failure:
            authority.issue(replace(new_order(authority, names), authority='no such authority'))
        _require_a_sentence(failure.value)

    @pytest.mark.parametrize('cut', [0, 1, 20, -1])
    def test_what_is_no_request_is_rejected(self, authority, names, cut):
        whole = new_csr(names)
        for csr in (whole[:cut], whole[:cut][::-1], b'unmistakable'):
            with pytest.raises(Rejected) as failure:
                authority.issue(new_order(authority, names, csr=csr))
            _require_a_sentence(failure.value)
            assert 'unmistakable' not in failure.value.sentence

    @pytest.mark.parametrize('days', [5, -5])
    def test_an_end_that_was_asked_for_is_heeded_or_refused(self, authority, names, settle, days):
        wanted = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=days)
        order = new_order(authority, names, not_after=wanted)
        try:
            issued = obtained(authority, order, settle)
        except _REFUSALS as error:
            _require_a_sentence(error)
            return
        assert loaded(issued)[0].not_valid_after_utc <= wanted.replace(tzinfo=UTC)

    def test_neither_its_log_nor_its_answers_have_a_whole_request(
            self, authority, names, settle, caplog):
        caplog.set_level(logging.DEBUG)
        order = new_order(authority, names)
        answer: Any = authority.issue(order)
        told = [caplog.text]
        if isinstance(answer, Pending):
            told += [json.dumps(dict(answer.reference)), answer.sentence]
            settle(authority, PendingOrder(order=order, reference=answer.reference))
        signature = x509.load_der_x509_csr(order.csr).signature
        for text in (*told, caplog.text):
            assert signature.hex() not in text.lower()
            assert base64.b64encode(order.csr).decode()[:-8] not in text

    def test_threads_do_not_get_into_each_other(self, authority, names, settle):
        orders = [new_order(authority, names) for _ in range(4)]

        def asked(order: IssueRequest) -> Issued:
            issued, ask_again = obtained_once(authority, order, settle)
            assert ask_again(authority) == issued
            return issued

        with ThreadPoolExecutor(4) as threads:
            first = list(threads.map(asked, orders))
        assert len({one.certificate for one in first}) == len(orders)
        for order, issued in zip(orders, first, strict=True):
            assert spki(loaded(issued)[0].public_key()) == spki(
                x509.load_der_x509_csr(order.csr).public_key())

    def test_check_says_in_one_line_how_it_is(self, authority):
        said = authority.check()
        assert said and '\n' not in said


def _require_a_sentence(error: KmError) -> None:
    assert not isinstance(error, Unavailable)
    assert error.sentence
    assert error.sentence.isprintable()


def _of_a_stranger(name: str) -> bytes:
    """A certificate that nobody but its own key signed."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.load_der_x509_csr(new_csr([name])).subject
    return x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(
        key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
        now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1)).sign(
        key, hashes.SHA256()).public_bytes(Encoding.DER)
