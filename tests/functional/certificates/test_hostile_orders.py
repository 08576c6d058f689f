# SPDX-License-Identifier: Apache-2.0
"""What clients and strangers send to vex a km that orders certificates: it soon says no, and why."""
import base64
import secrets
import time

import pytest
from asn1crypto import csr as asn1_csr
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.functional.assertions import assert_refused
from tests.functional.certificates.certificate_life import NAME
from tests.functional.certificates.km_with_authorities import SOON, ended, ordered, path_of


@pytest.fixture(scope='module')
def km(km_in_a_token):
    return km_in_a_token


def requested(*names, key=None, subject=NAME, extensions=()):
    """A request, PKCS#10, DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        Encoding.DER)


def with_rsa(modulus=None, exponent=None):
    """A request of an RSA key of these numbers, which nobody can have signed."""
    key = rsa.generate_private_key(65537, 2048)
    request = asn1_csr.CertificationRequest.load(requested(NAME, key=key))
    numbers = key.public_key().public_numbers()
    request['certification_request_info']['subject_pk_info'] = asn1_keys.PublicKeyInfo.wrap(
        asn1_keys.RSAPublicKey({'modulus': modulus or numbers.n,
                                'public_exponent': exponent or numbers.e}), 'rsa')
    return request.dump(force=True)


def of_bits(bits):
    """An odd number of so many bits without small factors, as far as anybody looks."""
    while True:
        number = secrets.randbits(bits) | 1 << bits - 1 | 1
        if all(number % small for small in range(3, 1000, 2)):
            return number


HOSTILE = {
    'an authority': (lambda: requested(
        NAME, extensions=[x509.BasicConstraints(ca=True, path_length=None)]), 'CA:TRUE'),
    'two stars': (lambda: requested('*.*.example.org'), '*'),
    'a star in the middle': (lambda: requested('www.*.example.org'), '*'),
    'a NUL in a name': (lambda: requested('www.example.org\0.evil.test'), ''),
    'a NUL in the subject': (lambda: requested(subject='www.example.org\0.evil.test'), ''),
    'a line break in the subject': (lambda: requested(subject='www.example.org\nx'), ''),
    'the same name twice': (lambda: requested(NAME, NAME.upper()), ''),
    'ten thousand names': (lambda: requested(*(f'n{n}.example.org' for n in range(10_000))), ''),
    'a thousand short names': (lambda: requested(*(f'{n}.test' for n in range(1000))), ''),
    'RSA of 16384 bits': (lambda: with_rsa(of_bits(16384)), '16384 bits'),
    'RSA of 1024 bits': (lambda: with_rsa(of_bits(1024)), '1024 bits'),
    'an exponent of 1': (lambda: with_rsa(exponent=1), 'not taken'),
    'an exponent of 3': (lambda: with_rsa(exponent=3), 'exponent'),
    'an even exponent': (lambda: with_rsa(exponent=65538), 'not taken'),
    'an exponent as long as the modulus': (lambda: with_rsa(exponent=of_bits(2040)), 'exponent'),
    'an even modulus': (lambda: with_rsa(of_bits(2048) - 1), ''),
    "a signature that is another key's": (lambda: with_rsa(of_bits(2048)), 'Signing key incorrect'),
    'a curve that nobody takes': (lambda: requested(
        NAME, key=ec.generate_private_key(ec.SECP256K1())), 'curve'),
    'half of one': (lambda: requested(NAME)[:100], 'Bad format'),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_a_hostile_request_is_refused_soon(km, name):
    request, said = HOSTILE[name]
    answer = ordered(km, request_type='simple-cmc', request_data=base64.b64encode(request()).decode())
    assert_refused(answer, 400, 413)
    assert said in answer.json()['description']


@pytest.mark.parametrize('names', [
    ['*.*.example.org'], ['www.example.org\0.evil.test'], ['-www.example.org'],
    [NAME, NAME.upper()], ['IP:999.1.1.1'], ['email:nobody'], ['URI:javascript:alert(1)'],
    [f'{n}.example.org' for n in range(99)] + ['x' * 64 + '.example.org']],
    ids=lambda names: repr(names[-1]))
def test_hostile_names_end_an_order_soon(km, names):
    began = time.monotonic()
    answer = ordered(km, request_type='new-key', subject_dn=f'cn={NAME}', subject_alt_names=names)
    if answer.status_code != 202:
        return assert_refused(answer, 400)
    order = ended(km, path_of(km, answer.json()['order_ref']))
    assert time.monotonic() - began < SOON
    assert (order['status'], order['error_status_code']) == ('ERROR', '400'), order
    assert order['error_reason'].startswith('Problem with data in certificate request - Reason: ')
    return None
