# SPDX-License-Identifier: Apache-2.0
"""OCSP answers, read by openssl, pkilint and pyhanko-certvalidator, and what strangers ask."""
import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as wire
from hypothesis import given, settings
from hypothesis import strategies as st
from pkilint import loader, pkix
from pkilint.pkix import extension as pkilint_extension
from pkilint.pkix import name as pkilint_name
from pkilint.pkix import ocsp as pkilint_ocsp
from pkilint.validation import ValidationFindingSeverity
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError

from km.interfaces import REVOCATION_REASONS, Unavailable
from km.plugins.certificate_authority.local_ca import ocsp
from km.plugins.certificate_authority.local_ca.keys import require_signature
from km.plugins.certificate_authority.local_ca.ocsp import Status
from tests.unit.plugins.certificate_authority.local_ca.papers import (
    KEY_TYPES,
    NOW,
    SECOND,
    SHA1,
    SHA256,
    a_leaf,
    an_issuer,
    openssl,
    pem,
)

LIFETIME = timedelta(hours=1)
GOOD, REVOKED, UNHEARD = 2 ** 150 + 1, 2 ** 150 + 2, 2 ** 150 + 3
KNOWN = {GOOD: Status(), REVOKED: Status(datetime(2026, 1, 1), 'keyCompromise')}
HASHES = [SHA1, hashes.SHA224(), SHA256, hashes.SHA384(), hashes.SHA512()]
STATUS, CERT = wire.OCSPResponseStatus, wire.OCSPCertStatus


#: Authorities that issue are seldom roots.
ISSUERS = {'root': an_issuer(), 'under a root': an_issuer(name='Below', number=2, above=an_issuer())}
of_each_kind = pytest.mark.parametrize('issuer', ISSUERS.values(), ids=ISSUERS)


def a_question(serial=GOOD, *, issuer=None, algorithm=SHA1, extensions=()):
    certificate, _ = issuer or an_issuer()
    builder = wire.OCSPRequestBuilder().add_certificate(
        a_leaf(serial, issuer=issuer)[0], certificate, algorithm)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build().public_bytes(Encoding.DER)


def with_nonce(nonce):
    return a_question(extensions=[(x509.OCSPNonce(nonce), False)])


def answered(question, *, issuer=None, delegated=False, now=NOW, status=KNOWN.get):
    certificate, key = issuer or an_issuer()
    responder, key = a_leaf(4242, issuer=issuer, for_ocsp=True) if delegated else (certificate, key)
    return ocsp.answer(question, issuer=certificate, responder=responder, key=key, status=status,
                       now=now, lifetime=LIFETIME)


def said(*given, **more):
    return wire.load_der_ocsp_response(answered(*given, **more).content)


def findings(der):
    """As the command lint_ocsp_response of pkilint has them."""
    linter = pkilint_ocsp.create_pkix_ocsp_response_validator_container(
        [pkilint_ocsp.create_response_decoder(),
         pkix.create_attribute_decoder(pkilint_name.ATTRIBUTE_TYPE_MAPPINGS),
         pkix.create_extension_decoder(pkilint_extension.EXTENSION_MAPPINGS)], [])
    document = loader.RFC6960OCSPResponseDocumentLoader().load_der_document(der, 'answer')
    return [found.finding.code for result in linter.validate(document.root)
            for found in result.finding_descriptions
            if found.finding.severity <= ValidationFindingSeverity.WARNING]


@of_each_kind
@pytest.mark.parametrize('algorithm', HASHES, ids=lambda algorithm: algorithm.name)
def test_a_question_is_answered_under_the_hash_it_was_asked_with(algorithm, issuer):
    question = a_question(algorithm=algorithm, issuer=issuer)
    asked, found = wire.load_der_ocsp_request(question), said(question, issuer=issuer)
    assert found.response_status is STATUS.SUCCESSFUL
    assert found.certificate_status is CERT.GOOD
    assert (found.serial_number, found.hash_algorithm.name) == (GOOD, algorithm.name)
    assert (found.issuer_name_hash, found.issuer_key_hash) == (
        asked.issuer_name_hash, asked.issuer_key_hash)


def test_an_answer_holds_from_now_on_for_its_lifetime():
    found, told = said(a_question()), answered(a_question())
    assert (found.this_update_utc.replace(tzinfo=None), found.next_update_utc.replace(tzinfo=None)) == (
        SECOND, SECOND + LIFETIME)
    assert told.next_update == SECOND + LIFETIME


def test_an_answer_does_not_hold_longer_than_who_gave_it():
    late = datetime(2038, 12, 31, 23, 30)
    found = said(a_question(), delegated=True, now=late)
    assert found.next_update_utc.replace(tzinfo=None) == datetime(2039, 1, 1)


@pytest.mark.parametrize('reason', [*REVOCATION_REASONS, None])
def test_a_revoked_certificate_is_said_to_be_with_its_reason(reason):
    found = said(a_question(), status={GOOD: Status(NOW, reason)}.get)
    assert found.certificate_status is CERT.REVOKED
    assert found.revocation_time_utc.replace(tzinfo=None) == SECOND
    told = found.revocation_reason
    assert (told.value if told else None) == (None if reason == 'unspecified' else reason)


def test_a_certificate_that_nobody_issued_is_unknown_and_that_is_not_kept():
    assert said(a_question(UNHEARD)).certificate_status is CERT.UNKNOWN
    assert answered(a_question(UNHEARD)).next_update is None


@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_an_issuer_answers_for_itself_with_a_key_of_any_type(key_type):
    issuer = an_issuer(key_type)
    found = said(a_question(issuer=issuer), issuer=issuer)
    assert found.certificates == []
    assert found.certificate_status is CERT.GOOD
    require_signature(issuer[0].public_key(), found.signature, found.tbs_response_bytes)


def test_a_delegate_brings_its_certificate_along():
    found, (responder, _) = said(a_question(), delegated=True), a_leaf(4242, issuer=None, for_ocsp=True)
    assert found.certificates == [responder]
    assert found.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(
        responder.public_key()).digest


# Nonces.

@pytest.mark.parametrize('size', [1, 16, 32, 128])
def test_a_nonce_comes_back_and_the_answer_is_not_kept(size):
    question = with_nonce(b'n' * size)
    assert said(question).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b'n' * size
    assert answered(question).next_update is None


@pytest.mark.parametrize('size', [0, 129, 4096])
def test_a_nonce_that_is_too_short_or_too_long_is_malformed(size):
    assert said(with_nonce(b'n' * size)).response_status is STATUS.MALFORMED_REQUEST


def test_without_a_nonce_there_is_none():
    assert list(said(a_question()).extensions) == []


# What strangers ask.

@of_each_kind
@pytest.mark.parametrize('other', [
    an_issuer(number=2), an_issuer(number=1), an_issuer(name='Below'), an_issuer(name='Another')],
    ids=['name', 'key', 'key of one below', 'another'])
@pytest.mark.parametrize('algorithm', HASHES, ids=lambda algorithm: algorithm.name)
def test_questions_about_another_issuer_are_not_for_us(other, algorithm, issuer):
    asked = []
    found = said(a_question(issuer=other, algorithm=algorithm), issuer=issuer, status=asked.append)
    assert found.response_status is STATUS.UNAUTHORIZED
    assert asked == []


@pytest.mark.parametrize('garbage', [b'', b'\x30', b'\x30\x00', b'\x30\x80\x00\x00', b'GET / HTTP/1.1',
                                     a_question()[:-1], a_question() + b'\x00'])
def test_garbage_is_malformed(garbage):
    assert said(garbage).response_status is STATUS.MALFORMED_REQUEST
    assert answered(garbage).next_update is None


def test_a_question_that_is_too_long_is_not_read():
    policy = x509.UnrecognizedExtension(x509.ObjectIdentifier('1.3.6.1.4.1.99999.9'), b'\x04' * 9000)
    assert said(a_question(extensions=[(policy, False)])).response_status is STATUS.MALFORMED_REQUEST


def test_what_is_not_understood_matters_only_if_it_is_critical():
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier('1.3.6.1.4.1.99999.9'), b'\x05\x00')
    assert said(a_question(extensions=[(odd, False)])).response_status is STATUS.SUCCESSFUL
    assert said(a_question(extensions=[(odd, True)])).response_status is STATUS.UNAUTHORIZED


def test_a_question_about_several_certificates_is_more_than_we_can_say(tmp_path):
    (certificate, _), path = an_issuer(), tmp_path / 'question.der'
    openssl('ocsp', '-issuer', pem(tmp_path, 'ca.pem', certificate),
            '-cert', pem(tmp_path, 'a.pem', a_leaf(GOOD)[0]),
            '-cert', pem(tmp_path, 'b.pem', a_leaf(REVOKED)[0]), '-reqout', path)
    assert said(path.read_bytes()).response_status is STATUS.UNAUTHORIZED


def test_an_unknown_hash_is_more_than_we_can_say():
    question = a_question()
    sha1, md5 = bytes.fromhex('06052b0e03021a'), bytes.fromhex('06052b0e03021b')
    assert sha1 in question
    assert said(question.replace(sha1, md5)).response_status is STATUS.UNAUTHORIZED


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 130), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_question_with_bytes_changed_has_an_answer_and_nothing_worse(changes):
    changed = bytearray(with_nonce(b'n' * 32))
    for place, byte in changes:
        changed[place % len(changed)] = byte
    assert said(bytes(changed)).response_status in (
        STATUS.SUCCESSFUL, STATUS.MALFORMED_REQUEST, STATUS.UNAUTHORIZED)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(question):
    assert said(question).response_status is STATUS.MALFORMED_REQUEST


@pytest.mark.parametrize('serial', [0, 2 ** 159, 2 ** 2000])
def test_a_serial_number_may_be_of_any_size(serial):
    asked = wire.load_der_ocsp_request(a_question())
    question = wire.OCSPRequestBuilder().add_certificate_by_hash(
        asked.issuer_name_hash, asked.issuer_key_hash, serial, SHA1).build()
    found = said(question.public_bytes(Encoding.DER))
    assert (found.certificate_status, found.serial_number) == (CERT.UNKNOWN, serial)


def test_a_serial_number_below_zero_is_malformed():
    question, serial = a_question(), GOOD.to_bytes(19, 'big')
    assert serial in question
    found = said(question.replace(serial, b'\xc0' + serial[1:]))
    assert found.response_status is STATUS.MALFORMED_REQUEST


def test_a_database_that_is_down_is_for_the_caller_to_know():
    def down(_serial):
        raise Unavailable('The database is down.')
    with pytest.raises(Unavailable):
        answered(a_question(), status=down)


# What others make of it.

@pytest.mark.parametrize('der', [
    answered(a_question()).content, answered(a_question(REVOKED), delegated=True).content,
    answered(a_question(UNHEARD, algorithm=SHA256)).content, answered(with_nonce(b'n' * 32)).content,
    answered(b'').content], ids=['good', 'revoked', 'unknown', 'nonce', 'error'])
def test_pkilint_finds_nothing(der):
    assert findings(der) == []


def seen_by_openssl(folder, serial, *, issuer=None, delegated=False, options=()):
    """What openssl says of the answer to its own question, which has a nonce."""
    (root, _), (certificate, _) = an_issuer(), issuer or an_issuer()
    ca = pem(folder, 'ca.pem', certificate)
    leaf = pem(folder, 'leaf.pem', a_leaf(serial, issuer=issuer)[0])
    trusted = folder / 'trusted.pem'
    trusted.write_bytes(pem(folder, 'root.pem', root).read_bytes() + ca.read_bytes())
    question, answer = folder / 'question.der', folder / 'answer.der'
    openssl('ocsp', '-issuer', ca, *options, '-cert', leaf, '-reqout', question)
    answer.write_bytes(answered(question.read_bytes(), issuer=issuer, delegated=delegated,
                                now=datetime.now(UTC).replace(tzinfo=None)).content)
    return openssl('ocsp', '-respin', answer, '-issuer', ca, '-CAfile', trusted, '-no_nonce', *options,
                   '-cert', leaf)


@of_each_kind
@pytest.mark.parametrize('options', [(), ('-sha256',)], ids=['sha1', 'sha256'])
@pytest.mark.parametrize('delegated', [False, True], ids=['issuer', 'delegate'])
@pytest.mark.parametrize(
    ('serial', 'status'), [(GOOD, 'good'), (REVOKED, 'revoked'), (UNHEARD, 'unknown')])
def test_openssl_verifies_and_understands(tmp_path, serial, status, delegated, options, issuer):
    seen = seen_by_openssl(tmp_path, serial, issuer=issuer, delegated=delegated, options=options)
    assert 'Response verify OK' in seen
    assert f'leaf.pem: {status}' in seen
    assert ('Reason: keyCompromise' in seen) is (serial == REVOKED)


def test_openssl_does_not_believe_another(tmp_path):
    other, _ = an_issuer(number=1)
    seen_by_openssl(tmp_path, GOOD)
    wrong = pem(tmp_path, 'wrong.pem', other)
    assert 'Response verify OK' not in openssl(
        'ocsp', '-respin', tmp_path / 'answer.der', '-issuer', wrong, '-CAfile', wrong, '-no_nonce',
        '-cert', tmp_path / 'leaf.pem')


def checked_by_pyhanko(serial, der):
    """pyhanko's opinion of a leaf; it does not go on without an answer."""
    (certificate, _), (leaf, _) = an_issuer(), a_leaf(serial)
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))],
        ocsps=[asn1_ocsp.OCSPResponse.load(der)], revocation_mode='require',
        moment=datetime.now(UTC) + timedelta(minutes=5))
    validator = CertificateValidator(
        asn1_x509.Certificate.load(leaf.public_bytes(Encoding.DER)), validation_context=context)
    return asyncio.run(validator.async_validate_usage(set(), set(), extended_optional=True))


@pytest.mark.parametrize('delegated', [False, True], ids=['issuer', 'delegate'])
def test_pyhanko_agrees(delegated):
    now = datetime.now(UTC).replace(tzinfo=None)
    assert checked_by_pyhanko(GOOD, answered(a_question(), delegated=delegated, now=now).content)
    revoked = answered(a_question(REVOKED), delegated=delegated, now=now).content
    with pytest.raises(RevokedError):
        checked_by_pyhanko(REVOKED, revoked)
