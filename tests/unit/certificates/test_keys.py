# SPDX-License-Identifier: Apache-2.0
"""Keys that are good enough to be certified, and stored ones in every form that there is."""
import base64
import time

import pytest
from asn1crypto import core, csr, keys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from km.certificates import requests
from km.errors import Invalid
from tests.unit.certificates.papers import built, called, one_line, pem, sentence


@pytest.mark.parametrize(('kind', 'said'), [('rsa-1024', 'RSA of 1024 bits'), ('k256', 'curve'),
                                            ('brainpool', 'curve')])
def test_a_weak_key_is_refused_when_it_is_read_and_when_it_is_made(openssl, kind, said):
    der = openssl.request(kind=kind)
    assert said in sentence(requests.read, one_line(der))
    assert said in sentence(requests.require_sane, der)
    made = openssl.key(kind).read_bytes()
    assert said in sentence(requests.make, made, passphrase=None, subject_dn='cn=a.example', names=[])


def test_a_key_of_dsa_is_refused():
    key = dsa.generate_private_key(2048)
    assert 'kind' in sentence(requests.require_sane, built(key=key, subject=[called('a.example')]))


def with_rsa_key(exponent, modulus):
    """A request with numbers of ours in the place of its own; it does not verify."""
    key = rsa.generate_private_key(65537, 2048)
    der = built(key=key, subject=[called('a.example')])
    request = csr.CertificationRequest.load(der)
    info = request['certification_request_info']
    info['subject_pk_info']['public_key'] = keys.RSAPublicKey(
        {'modulus': modulus, 'public_exponent': exponent})
    return request.dump(force=True)


@pytest.mark.parametrize(('exponent', 'modulus', 'said'), [
    (3, (1 << 2047) | 1, 'exponent'), (65536, (1 << 2047) | 1, 'exponent'),
    ((1 << 300) | 1, (1 << 2047) | 1, 'exponent'), (65537, 1 << 2047, 'factor'),
    (65537, 3 * ((1 << 2047) | 1), 'factor'), (65537, (1 << 16383) | 1, '16384 bits'),
    ((1 << 16380) | 1, (1 << 16383) | 1, '16384 bits')], ids=range(7))
def test_a_key_of_rsa_with_odd_numbers_is_refused_before_it_verifies_anything(exponent, modulus, said):
    der = with_rsa_key(exponent, modulus)
    begin = time.perf_counter()
    told = sentence(requests.read, one_line(der))
    assert time.perf_counter() - begin < 0.2
    # The library itself takes no exponent that is even, or far too large.
    assert said in told or 'of a form that is not taken' in told


@pytest.mark.parametrize('kind', ['rsa', 'p384'])
def test_a_stored_key_is_read_in_every_form_openssl_writes(openssl, kind):
    path = str(openssl.key(kind))
    word = ('-passout', 'pass:word')
    traditional = ('rsa', '-traditional') if kind == 'rsa' else ('ec',)
    forms = {
        'PKCS#8': openssl('pkcs8', '-topk8', '-nocrypt', '-in', path),
        'PKCS#8 DER': openssl('pkcs8', '-topk8', '-nocrypt', '-in', path, '-outform', 'DER'),
        'traditional': openssl(*traditional, '-in', path),
        'traditional DER': openssl(*traditional, '-in', path, '-outform', 'DER')}
    opened = {
        'PKCS#8': openssl('pkcs8', '-topk8', '-in', path, *word, '-v2', 'aes-256-cbc'),
        'PKCS#8 DER': openssl('pkcs8', '-topk8', '-in', path, *word, '-outform', 'DER'),
        'scrypt': openssl('pkcs8', '-topk8', '-in', path, *word, '-scrypt'),
        'traditional': openssl(*traditional, '-in', path, '-aes128', *word)}
    key = load_pem_private_key(openssl.key(kind).read_bytes(), None).public_key()
    for form, passphrase in [(form, None) for form in forms.values()] + [
            (form, b'word') for form in (*opened.values(), forms['PKCS#8'])]:
        made = requests.make(form, passphrase=passphrase, subject_dn='cn=a.example', names=[])
        assert x509.load_der_x509_csr(made).public_key() == key
    for form in opened.values():
        for passphrase in (None, b'', b'wrong'):
            said = sentence(requests.make, form, passphrase=passphrase, subject_dn='cn=a', names=[])
            assert 'cannot be read' in said
            assert 'wrong' not in said


@pytest.mark.parametrize('kind', [mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey,
                                  mldsa.MLDSA87PrivateKey])
def test_a_stored_key_of_ml_dsa_signs_too(kind):
    key = kind.generate()
    for encoding, encryption, passphrase in ((Encoding.PEM, NoEncryption(), None),
                                             (Encoding.DER, BestAvailableEncryption(b'word'), b'word')):
        made = requests.make(key.private_bytes(encoding, PrivateFormat.PKCS8, encryption),
                             passphrase=passphrase, subject_dn='cn=a.example', names=[])
        assert x509.load_der_x509_csr(made).is_signature_valid
        assert requests.read(one_line(pem(made))) == made


def test_a_key_that_would_take_days_to_open_is_refused_at_once(openssl):
    path = str(openssl.key())
    for options, place, value in ((('-v2', 'aes-256-cbc'), 1, 2 ** 31 - 1), (('-scrypt',), 1, 2 ** 30),
                                  (('-v1', 'PBE-SHA1-3DES'), 1, 2 ** 31 - 1)):
        stored = keys.EncryptedPrivateKeyInfo.load(openssl(
            'pkcs8', '-topk8', '-in', path, '-passout', 'pass:word', '-outform', 'DER', *options))
        derivation = stored['encryption_algorithm']
        if '-v1' not in options:
            derivation = derivation['parameters']['key_derivation_func']
        parameters = core.SequenceOf.load(derivation['parameters'].dump(), spec=core.Any)
        parameters[place] = core.Any(core.Integer(value))
        derivation['parameters'] = (type(derivation['parameters']).load(parameters.dump(force=True)))
        begin = time.perf_counter()
        assert 'too long to open' in sentence(
            requests.make, stored.dump(force=True), passphrase=b'word', subject_dn='cn=a', names=[])
        assert time.perf_counter() - begin < 0.2


@pytest.mark.parametrize('before', [
    b'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    b'-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n', b'\n \t'])
def test_a_key_that_would_take_days_to_open_is_found_whatever_stands_before_it(openssl, before):
    stored = keys.EncryptedPrivateKeyInfo.load(openssl(
        'pkcs8', '-topk8', '-in', str(openssl.key()), '-passout', 'pass:word', '-outform', 'DER'))
    derivation = stored['encryption_algorithm']['parameters']['key_derivation_func']
    for iterations, said in ((6_000_000, 'too long to open'), (2048, 'cannot be read')):
        derivation['parameters']['iteration_count'] = iterations
        block = before + encrypted_pem(stored.dump(force=True))
        assert said in sentence(requests.make, block, passphrase=b'wrong', subject_dn='cn=a', names=[])


def encrypted_pem(der):
    return (b'-----BEGIN ENCRYPTED PRIVATE KEY-----\n' + base64.encodebytes(der)
            + b'-----END ENCRYPTED PRIVATE KEY-----\n')


def test_a_stored_key_may_have_its_parameters_or_its_certificate_before_it(openssl):
    made = openssl.key('p256').read_bytes()
    for before in (b'-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n',
                   b'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'):
        assert requests.make(before + made, passphrase=None, subject_dn='cn=a.example', names=[])


@pytest.mark.parametrize('part', ['private_exponent', 'prime1', 'prime2', 'exponent1', 'exponent2',
                                  'coefficient', 'modulus'])
def test_a_stored_key_whose_numbers_do_not_belong_together_is_refused(openssl, part):
    altered = keys.RSAPrivateKey.load(openssl(
        'rsa', '-traditional', '-in', str(openssl.key('rsa')), '-outform', 'DER'))
    for value in (altered[part].native + 2, 0, 1, 2):
        altered[part] = value
        assert sentence(requests.make, altered.dump(force=True), passphrase=None,
                        subject_dn='cn=a.example', names=[])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.binary(max_size=5)))
def test_no_stored_bytes_make_it_fail_otherwise(content, passphrase):
    for encoded in (content, b'-----BEGIN PRIVATE KEY-----\n' + content):
        with pytest.raises(Invalid):
            requests.make(encoded, passphrase=passphrase, subject_dn='cn=a', names=[])
