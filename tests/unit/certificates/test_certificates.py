# SPDX-License-Identifier: Apache-2.0
"""Certificates: told as they are, held against what was ordered, and put in order."""
import contextlib
import dataclasses
import hashlib
import itertools
import random
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from km.certificates import certificates, requests
from km.errors import Invalid, Rejected

NOW = datetime(2030, 1, 1)
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]


def name(*texts):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts if text])


def alternatives(names):
    return x509.SubjectAlternativeName(
        [text if isinstance(text, x509.GeneralName) else x509.DNSName(text) for text in names])


def issued(subject='a.example', *, by='the root', key=KEYS[0], signed=KEYS[1], names=('a.example',),
           ca=None, since=-1, days=10, identified=True):
    called = (subject,) if isinstance(subject, str) else subject
    builder = x509.CertificateBuilder().subject_name(name(*called)).issuer_name(name(by)).public_key(
        key.public_key()).serial_number(0xabc).not_valid_before(
        NOW + timedelta(days=since)).not_valid_after(NOW + timedelta(days=days))
    if names:
        builder = builder.add_extension(alternatives(names), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if identified:
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed.public_key()), False)
    return builder.sign(signed, hashes.SHA256()).public_bytes(Encoding.DER)


def an_authority(subject, *, by, key, signed, **more):
    return issued(subject, by=by, key=key, signed=signed, names=(), ca=True, **more)


def csr(*names, key=KEYS[0], subject='a.example'):
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(subject))
    if names:
        builder = builder.add_extension(alternatives(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


ROOT = an_authority('the root', by='the root', key=KEYS[1], signed=KEYS[1])
MIDDLE = an_authority('the middle', by='the root', key=KEYS[2], signed=KEYS[1])
LOW = an_authority('the low', by='the middle', key=KEYS[3], signed=KEYS[2])
LEAF = issued(by='the low', signed=KEYS[3])


def test_a_certificate_is_described_as_openssl_tells_it(openssl):
    told = certificates.describe(LEAF)
    shown = openssl('x509', '-inform', 'DER', '-noout', '-serial', '-subject', '-issuer', '-sha256',
                    '-fingerprint', '-nameopt', 'RFC2253', given=LEAF).decode()
    fingerprint = ':'.join(told.fingerprint.upper()[place:place + 2] for place in range(0, 64, 2))
    assert shown.splitlines() == [
        f'serial=0{told.serial.upper()}', f'subject={told.subject}', f'issuer={told.issuer}',
        f'sha256 Fingerprint={fingerprint}']
    assert told.fingerprint == hashlib.sha256(LEAF).hexdigest()
    assert (told.names, told.not_before, told.not_after) == (
        ('DNS:a.example',), NOW - timedelta(days=1), NOW + timedelta(days=10))
    assert told.public_key == requests.public_key_of(csr())
    with pytest.raises(dataclasses.FrozenInstanceError):
        told.serial = '1'


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(LEAF) - 1), st.integers(0, 255)), max_size=4),
       st.integers(0, len(LEAF)))
def test_no_bytes_make_it_fail_otherwise(changes, cut):
    altered = bytearray(LEAF)
    for place, byte in changes:
        altered[place] = byte
    request = csr('a.example')
    for der in (bytes(altered), bytes(altered[:cut])):
        for function in (certificates.describe, certificates.pem,
                         lambda der: certificates.ordered(LEAF, [der]),
                         lambda der: certificates.ordered(der, [LOW]),
                         lambda der: certificates.require_answers(request, der, [LOW], now=NOW),
                         lambda der: certificates.require_answers(request, LEAF, [der], now=NOW)):
            with contextlib.suppress(Rejected):
                function(der)


@pytest.mark.parametrize(('asked', 'given'), [
    ((('a.example',), 'a.example'), (('a.example',), 'a.example')),
    ((('a.example',), 'a.example'), (('a.example',), '')),
    (((), 'a.example'), (('a.example',), 'a.example')),
    ((('a.example', 'b.example'), ''), (('b.example', 'A.EXAMPLE'), 'b.example')),
    (((), 'Ann'), ((), 'Ann'))])
def test_a_certificate_of_what_was_asked_for_answers(asked, given):
    certificate = issued(given[1], names=given[0])
    certificates.require_answers(csr(*asked[0], subject=asked[1]), certificate, [ROOT], now=NOW)
    certificates.require_answers(csr(*asked[0], subject=asked[1]), certificate, (), now=NOW)


@pytest.mark.parametrize(('certificate', 'chain', 'said'), [
    (issued(key=KEYS[2]), [ROOT], 'another key'),
    (issued(names=['a.example', 'b.example']), [ROOT], 'b.example'),
    (issued(names=['*.a.example']), [ROOT], '*.a.example'),
    (issued(names=[x509.RFC822Name('a.example@a.example')]), [ROOT], 'not asked for'),
    (issued(names=[x509.OtherName(x509.ObjectIdentifier('1.2.3'), b'\x05\x00')]), [ROOT], 'othername'),
    (issued(names=()), [ROOT], "without a name that was asked for: 'dns:a.example'"),
    (issued('b.example'), [ROOT], 'CN'),
    (issued(['a.example', 'b.example']), [ROOT], "CN that was not asked for: 'b.example'"),
    (issued(days=-0.5), [ROOT], 'ended'),
    (issued(ca=True), [ROOT], 'of an authority'),
    (issued(), [MIDDLE], 'did not sign'), (issued(signed=KEYS[2]), [ROOT], 'did not sign'),
    (LEAF, [MIDDLE, LOW], 'did not sign'), (LEAF, [LOW, ROOT], 'did not sign'),
    (b'', [], 'not X.509'), (LEAF, [b'hello'], 'not X.509'), (LEAF + b'\x00', [], 'not X.509'),
    (certificates.pem(LEAF), [], 'not X.509'), (b'\x30' * 100_000, [], 'not X.509'),
    (ROOT, [ROOT] * 11, 'more than 10')])
def test_a_certificate_that_does_not_answer_is_refused(certificate, chain, said):
    with pytest.raises(Rejected) as refused:
        certificates.require_answers(csr('a.example'), certificate, chain, now=NOW)
    assert said in refused.value.sentence


def test_without_a_time_it_is_held_against_the_clock():
    begun = (datetime.now() - NOW) / timedelta(days=1)
    certificates.require_answers(csr('a.example'), issued(since=begun - 9, days=begun + 2), ())
    with pytest.raises(Rejected, match='ended'):
        certificates.require_answers(csr('a.example'), issued(since=begun - 9, days=begun - 2), ())


def test_a_chain_is_built_from_any_order_of_anything():
    other = an_authority('the middle', by='the middle', key=KEYS[0], signed=KEYS[0])
    for seed in range(10):
        pool = [ROOT, MIDDLE, LOW, LEAF, other, LOW]
        random.Random(seed).shuffle(pool)
        assert certificates.ordered(LEAF, pool) == (LOW, MIDDLE, ROOT)
    assert certificates.ordered(LEAF, [ROOT, LOW]) == (LOW,)
    assert certificates.ordered(LEAF, []) == ()
    assert certificates.ordered(ROOT, [MIDDLE]) == ()


def test_a_chain_is_built_without_key_identifiers_too():
    bare = {'identified': False}
    middle = an_authority('the middle', by='the root', key=KEYS[2], signed=KEYS[1], **bare)
    leaf = issued(by='the middle', signed=KEYS[2], **bare)
    assert certificates.ordered(leaf, [ROOT, LOW, middle]) == (middle, ROOT)


def test_of_two_certificates_of_one_issuer_the_one_that_ends_last_is_taken_and_a_ring_ends():
    longer = an_authority('the low', by='the root', key=KEYS[3], signed=KEYS[1], days=20)
    for pool in itertools.permutations([LOW, MIDDLE, ROOT, longer]):
        assert certificates.ordered(LEAF, pool) == (longer, ROOT)
    ring = [an_authority('one', by='two', key=KEYS[1], signed=KEYS[2]),
            an_authority('two', by='one', key=KEYS[2], signed=KEYS[1])]
    assert len(certificates.ordered(issued(by='one'), ring)) == 2


def test_openssl_reads_what_is_written_and_the_other_way_round(openssl):
    written = certificates.pem(LEAF, LOW, MIDDLE)
    assert certificates.from_pem(written) == (LEAF, LOW, MIDDLE)
    assert certificates.from_pem(b'a comment\n' + written) == (LEAF, LOW, MIDDLE)
    message = certificates.certs_only([LOW, MIDDLE, ROOT])
    shown = openssl('pkcs7', '-print_certs', given=message)
    assert set(certificates.from_pem(shown)) == {LOW, MIDDLE, ROOT}
    assert certificates.ordered(LEAF, certificates.from_pem(shown)) == (LOW, MIDDLE, ROOT)


def test_what_is_no_certificate_is_neither_read_nor_written():
    for content in (b'', b'hello', certificates.pem(LEAF)[:-30], b'-----BEGIN CERTIFICATE-----'):
        with pytest.raises(Invalid):
            certificates.from_pem(content)
    for function in (certificates.pem, lambda der: certificates.certs_only([der])):
        with pytest.raises(Rejected):
            function(b'hello')
    with pytest.raises(Rejected):
        certificates.certs_only([])
