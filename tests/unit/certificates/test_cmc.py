# SPDX-License-Identifier: Apache-2.0
"""Full PKI requests of CMC: OpenSSL and asn1crypto's own types build them, km reads them."""
import base64
import contextlib
import hashlib

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from km.certificates import cmc, requests
from km.errors import Invalid

TRANSACTION, NONCE, IDENTIFICATION = (f'1.3.6.1.5.5.7.7.{last}' for last in (5, 6, 2))


def tagged(tag, *parts):
    """An element of DER; its parts are bytes."""
    content = b''.join(parts)
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def control(kind, value=b'\x02\x01\x07', number=1):
    return tagged(0x30, bytes([2, 1, number]), core.ObjectIdentifier(kind).dump(), tagged(0x31, value))


def pki_data(*requests, controls=(), contents=(), messages=(), kind=0xa0):
    """PKIData (RFC 5272, 3.2.1): requests are PKCS#10, DER."""
    return tagged(0x30, tagged(0x30, *controls),
                  tagged(0x30, *(tagged(kind, b'\x02\x01\x02', request) for request in requests)),
                  tagged(0x30, *contents), tagged(0x30, *messages))


@pytest.fixture
def message(openssl):
    """A message that OpenSSL signs."""

    def made(content, *options, kind='p256', by=None, econtent=cmc.PKI_DATA, digest='sha256'):
        key = str(openssl.key(by or kind))
        openssl('req', '-new', '-x509', '-key', key, '-subj', '/CN=ann', '-out', 'signer.pem',
                '-addext', 'subjectKeyIdentifier=hash')
        return openssl('cms', '-sign', '-binary', '-nodetach', '-signer', 'signer.pem', '-inkey', key,
                       '-econtent_type', econtent, '-md', digest, '-outform', 'DER', *options,
                       given=content)

    return made


def encoded(der):
    return base64.b64encode(der).decode()


def refused(der, said='Invalid CMC Data'):
    with pytest.raises(Invalid) as failure:
        cmc.read_full(encoded(der))
    assert said in failure.value.sentence
    return True


@pytest.mark.parametrize(('kind', 'digest'), [('rsa', 'sha256'), ('rsa', 'sha512'), ('p256', 'sha256'),
                                              ('p384', 'sha384'), ('p521', 'sha512')])
@pytest.mark.parametrize('by', ['the requested key', 'a certificate', 'a certificate by its key'])
def test_a_message_that_openssl_signs_has_its_request(openssl, message, kind, digest, by):
    request = openssl.request(kind=kind)
    options = {'the requested key': ('-keyid', '-nocerts'), 'a certificate': (),
               'a certificate by its key': ('-keyid',)}[by]
    der = message(pki_data(request), *options, kind=kind, digest=digest)
    assert cmc.read_full(encoded(der)) == request
    lines = base64.encodebytes(der).decode()
    pem = f'-----BEGIN CMS-----\n{lines}-----END CMS-----\n'
    assert cmc.read_full(pem) == cmc.read_full(encoded(pem.encode())) == request


@pytest.mark.parametrize(('kind', 'algorithm'), [
    (ed25519.Ed25519PrivateKey, 'ed25519'), (mldsa.MLDSA65PrivateKey, '2.16.840.1.101.3.4.3.18')])
def test_a_message_signed_as_openssl_3_0_cannot_is_read(kind, algorithm):
    key, digest = kind.generate(), 'sha512'
    request = requests.make(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
                            passphrase=None, subject_dn='cn=a.example', names=[])
    attributes = cms.CMSAttributes([
        {'type': 'content_type', 'values': [cmc.PKI_DATA]},
        {'type': 'message_digest', 'values': [hashlib.sha512(pki_data(request)).digest()]}])
    signature = key.sign(attributes.dump())
    signed = cms.SignedData({
        'version': 'v3', 'digest_algorithms': [{'algorithm': digest}],
        'encap_content_info': {'content_type': cmc.PKI_DATA, 'content': pki_data(request)},
        'signer_infos': [{
            'version': 'v3', 'sid': cms.SignerIdentifier({'subject_key_identifier': (
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest)}),
            'digest_algorithm': {'algorithm': digest}, 'signed_attrs': attributes,
            'signature_algorithm': {'algorithm': algorithm}, 'signature': signature}]})
    info = cms.ContentInfo({'content_type': 'signed_data', 'content': signed})
    assert cmc.read_full(encoded(info.dump())) == request
    altered = info.dump().replace(signature, key.sign(b'else'))
    assert refused(altered, 'signature')


def test_a_message_that_km_takes_is_one_that_openssl_verifies(openssl, message):
    content = pki_data(openssl.request())
    der = message(content)
    assert openssl('cms', '-verify', '-inform', 'DER', '-CAfile', 'signer.pem', '-purpose', 'any',
                   given=der) == content
    assert cmc.read_full(encoded(der))


def test_a_message_signed_with_pss_or_in_pieces_is_read(openssl, message):
    request = openssl.request(kind='rsa')
    for options in (('-keyopt', 'rsa_padding_mode:pss'), ('-stream',),
                    ('-keyopt', 'rsa_padding_mode:pss', '-keyopt', 'rsa_pss_saltlen:20')):
        assert cmc.read_full(encoded(message(pki_data(request), *options, kind='rsa'))) == request


def test_the_requested_key_may_be_named_as_it_asks_to_be(openssl, message):
    request = openssl.request(extensions='subjectKeyIdentifier=01020304')
    der = message(pki_data(request), '-keyid', '-nocerts')
    assert cmc.read_full(encoded(der)) == request
    info = cms.ContentInfo.load(der)
    info['content']['signer_infos'][0]['sid'] = cms.SignerIdentifier(
        {'subject_key_identifier': b'\x01\x02\x03\x04'})
    assert cmc.read_full(encoded(info.dump(force=True))) == request


def test_another_key_signs_with_its_certificate_only(openssl, message):
    request = openssl.request(kind='p256')
    assert cmc.read_full(encoded(message(pki_data(request), by='rsa'))) == request
    for options in (('-keyid', '-nocerts'), ('-nocerts',)):
        assert refused(message(pki_data(request), *options, by='rsa'), 'its signer is neither')


def test_controls_that_name_a_conversation_are_harmless_and_others_are_not(openssl, message):
    request = openssl.request()
    harmless = [control(TRANSACTION), control(NONCE, b'\x04\x02ab', 2),
                control(IDENTIFICATION, b'\x0c\x01a', 3)]
    assert cmc.read_full(encoded(message(pki_data(request, controls=harmless)))) == request
    for last in (1, 3, 8, 9, 11, 15, 17, 18, 21, 23):
        odd = control(f'1.3.6.1.5.5.7.7.{last}')
        assert refused(message(pki_data(request, controls=[*harmless, odd])), 'not supported')


def test_there_is_exactly_one_request_and_it_is_a_pkcs10(openssl, message):
    request = openssl.request()
    assert refused(message(pki_data()), 'exactly one')
    assert refused(message(pki_data(request, request)), 'exactly one')
    for kind in (0xa1, 0xa2):
        assert refused(message(pki_data(request, kind=kind)), 'exactly one')
    assert refused(message(pki_data(request, kind=0xa3)), 'Bad format')
    assert refused(message(pki_data(request, contents=[control('1.2.3')])), 'other messages')
    assert refused(message(pki_data(request, messages=[control('1.2.3')])), 'other messages')


def test_the_requested_key_has_signed_its_request(openssl, message):
    request = openssl.request()
    renamed = request.replace(b'a.example', b'b.example')
    assert refused(message(pki_data(renamed)), 'Signing key incorrect')
    assert refused(message(pki_data(openssl.request(kind='rsa-1024'))), '1024')
    assert refused(message(pki_data(request), by='rsa-1024'), '1024')


def test_what_was_signed_is_not_altered(openssl, message):
    request, other = openssl.request(), openssl.request(names='DNS:c.example')
    der = message(pki_data(request))
    signed = message(pki_data(other))
    assert refused(der.replace(request, other) if len(other) == len(request) else
                   der.replace(b'a.example', b'b.example'))
    info, more = cms.ContentInfo.load(der), cms.ContentInfo.load(signed)
    info['content']['encap_content_info'] = more['content']['encap_content_info']
    assert refused(info.dump(force=True), 'not the one that was signed')
    info = cms.ContentInfo.load(der)
    info['content']['signer_infos'][0]['signature'] = (
        more['content']['signer_infos'][0]['signature'].native)
    assert refused(info.dump(force=True), 'signature')


def test_what_a_message_may_not_be(openssl, message):
    content = pki_data(openssl.request())
    assert refused(message(content, econtent='1.2.840.113549.1.7.1'), 'no PKIData')
    assert refused(message(content, digest='sha1'), 'digest')
    assert refused(message(content, '-noattr'))
    assert refused(message(b'hello'))
    assert refused(message(content + b'\x00'))
    assert refused(message(content) + b'\x00')
    two = cms.ContentInfo.load(message(content))
    two['content']['signer_infos'].append(two['content']['signer_infos'][0].copy())
    assert refused(two.dump(force=True), 'one signer')
    none = cms.ContentInfo.load(message(content))
    none['content']['signer_infos'] = []
    assert refused(none.dump(force=True), 'one signer')
    detached = cms.ContentInfo.load(message(content))
    detached['content']['encap_content_info'] = {'content_type': cmc.PKI_DATA}
    assert refused(detached.dump(force=True), 'no PKIData')
    assert refused(openssl('cms', '-data_create', '-outform', 'DER', given=content), 'no SignedData')


def test_what_is_no_base64_or_no_message_at_all_is_refused(openssl):
    for text, said in (('no base64!', 'Unable to decode'), ('', 'Unable to decode'),
                       (encoded(openssl.request()), 'Bad format'), ('A' * 300_000, 'longer')):
        with pytest.raises(Invalid, match=said):
            cmc.read_full(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
       st.integers(0, 10_000))
def test_no_bytes_make_it_fail_otherwise(sample, changes, cut):
    altered = bytearray(sample)
    for place, byte in changes:
        altered[place % len(sample)] = byte
    for der in (bytes(altered), bytes(altered[:cut])):
        with contextlib.suppress(Invalid):
            cmc.read_full(encoded(der))


@pytest.fixture(scope='module')
def sample(openssl):
    openssl('req', '-new', '-x509', '-key', str(openssl.key()), '-subj', '/CN=ann', '-out', 'one.pem')
    return openssl('cms', '-sign', '-binary', '-nodetach', '-signer', 'one.pem', '-inkey',
                   str(openssl.key()), '-econtent_type', cmc.PKI_DATA, '-outform', 'DER',
                   given=pki_data(openssl.request()))


def test_elements_in_elements_without_end_do_not_exhaust_the_stack():
    for nested in (b'\x30\x80' * 20_000, b'\x24\x80' * 20_000, b'\xa0\x80' * 20_000):
        assert refused(nested, 'Bad format')
