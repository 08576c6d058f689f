# SPDX-License-Identifier: Apache-2.0
"""Who answers OCSP questions: a responder that is made when it is needed, and replaced in time."""
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from km.interfaces import Issued, NotFound, OcspRequest
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES, KEYS, SIGNERS
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    HOUR,
    NOW,
    a_revocation,
    a_subordinate,
    an_order,
    issuer_id,
    killed_at_each_step,
    loaded,
    rows,
)

GOOD, REVOKED, UNKNOWN = (
    ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN)


def asked(ca, issued, *, issuer=None, algorithm=None):
    """The answer about what was issued."""
    certificate, above = (loaded(der) for der in (issued.certificate, issued.chain[0]))
    question = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, above, algorithm or hashes.SHA1()).build().public_bytes(Encoding.DER)
    told = ca.ocsp(OcspRequest(issuer=issuer or issuer_id(ca), content=question))
    return ocsp.load_der_ocsp_response(told.content)


def responders(ca, authority='issuing'):
    return rows(ca, SIGNERS, authority=f'ocsp:{issuer_id(ca, authority)}')


def test_what_was_issued_is_good_until_it_is_revoked(ca, opens):
    order = an_order()
    issued = ca.issue(order)
    assert asked(ca, issued).certificate_status is GOOD
    ca.revoke(a_revocation(order, issued, 'keyCompromise', at=NOW - HOUR))
    told = asked(opens(), issued)
    assert told.certificate_status is REVOKED
    assert told.revocation_reason is x509.ReasonFlags.key_compromise
    assert told.revocation_time_utc.replace(tzinfo=None) == NOW - HOUR


def test_a_responder_is_the_issuers_and_good_for_nothing_else(ca):
    issued = ca.issue(an_order())
    responder, = asked(ca, issued).certificates
    responder.verify_directly_issued_by(loaded(issued.chain[0]))
    usages = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    with pytest.raises(x509.ExtensionNotFound):
        responder.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert responder.not_valid_after_utc.replace(tzinfo=None) == NOW + 14 * DAY


def test_what_another_issuer_issued_is_unknown_or_not_for_this_one_to_say(ca):
    issued = ca.issue(an_order())
    made = ca.make_subordinate(a_subordinate())
    other = ca.issue(an_order('a.alpha.example.org', authority=made.name))
    assert asked(ca, other, issuer=issuer_id(ca, made.name)).certificate_status is GOOD
    assert asked(ca, other).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    question = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        *_hashes(issued), 12345, hashes.SHA1()).build().public_bytes(Encoding.DER)
    told = ca.ocsp(OcspRequest(issuer=issuer_id(ca), content=question))
    assert ocsp.load_der_ocsp_response(told.content).certificate_status is UNKNOWN


def _hashes(issued):
    question = ocsp.OCSPRequestBuilder().add_certificate(
        *(loaded(der) for der in (issued.certificate, issued.chain[0])), hashes.SHA1()).build()
    return question.issuer_name_hash, question.issuer_key_hash


def test_the_root_answers_for_the_issuing_authority(ca):
    told = ca.authorities()[0]
    issued = Issued(certificate=told.certificate, chain=told.chain)
    assert asked(ca, issued, issuer=issuer_id(ca, 'root')).certificate_status is GOOD


def test_those_who_are_asked_first_at_once_make_one_responder(ca, opens):
    issued = ca.issue(an_order())
    several = [ca, opens(), opens()] * 2
    with ThreadPoolExecutor(6) as threads:
        told = list(threads.map(lambda one: asked(one, issued), several))
    assert len({one.certificates[0].serial_number for one in told}) == 1
    assert len(responders(ca)) == 1


def test_who_is_killed_while_making_one_is_followed_by_one_who_answers(ca, opens, life):
    other = opens()

    def prepare():
        other.time = ca.time = ca.time + 20 * DAY
        return other.issue(an_order())

    for issued in killed_at_each_step(life, prepare, lambda issued: asked(ca, issued)):
        assert asked(other, issued).certificate_status is GOOD
    other.time += 20 * DAY
    other.publish()
    assert len(rows(other, KEYS)) == 3


def test_a_responder_is_replaced_when_two_thirds_of_its_time_are_over(ca):
    issued = ca.issue(an_order(not_after=NOW + 40 * DAY))
    first = asked(ca, issued).certificates[0]
    ca.time = NOW + 9 * DAY
    ca.publish()
    assert asked(ca, issued).certificates[0] == first
    ca.time = NOW + 10 * DAY
    ca.publish()
    second = asked(ca, issued).certificates[0]
    assert second != first
    assert len(rows(ca, KEYS)) == 4
    ca.time = NOW + 15 * DAY
    ca.publish()
    assert len(rows(ca, KEYS)) == 3
    assert asked(ca, issued).certificates[0] == second


def test_a_responder_that_ended_unnoticed_is_replaced_by_the_next_question(ca):
    issued = ca.issue(an_order())
    first = asked(ca, issued).certificates[0]
    ca.time = NOW + 30 * DAY
    assert asked(ca, issued).certificates[0] != first


def test_an_issuer_that_nobody_asked_about_has_no_responder(ca):
    ca.publish()
    assert responders(ca) == []


def test_a_responder_is_on_no_crl_and_its_certificate_is_known(ca):
    asked(ca, ca.issue(an_order()))
    row, = rows(ca, CERTIFICATES, order_id=responders(ca)[0].id)
    assert not row.listed


def test_a_responder_is_no_issuer(ca):
    issued = ca.issue(an_order())
    asked(ca, issued)
    with pytest.raises(NotFound):
        asked(ca, issued, issuer=responders(ca)[0].id)


def test_an_issuer_that_signs_no_more_is_not_authorized_to_answer(ca):
    made = ca.make_subordinate(a_subordinate())
    issued = ca.issue(an_order('a.alpha.example.org', authority=made.name))
    issuer = issuer_id(ca, made.name)
    asked(ca, issued, issuer=issuer)
    ca.remove_subordinate(made.name)
    assert asked(ca, issued, issuer=issuer).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
