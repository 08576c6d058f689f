# SPDX-License-Identifier: Apache-2.0
"""What clients and strangers send to vex a km that orders certificates: it soon says no, and why."""
import base64
import secrets
import time

import pytest
from asn1crypto import csr as asn1_csr
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.functional.assertions import assert_refused
from tests.functional.certificates.certificate_life import NAME, NEW, requested, urls
from tests.functional.certificates.km_with_authorities import (
    SOON,
    V1_4,
    certificate_of,
    contents,
    ended,
    issued,
    ordered,
    path_of,
)


@pytest.fixture(scope='module')
def km(km_in_a_token):
    return km_in_a_token


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


KEYS = {
    'no key': (lambda: secrets.token_bytes(100), 'cannot be read'),
    'one whose passphrase nobody said': (lambda: pkcs8(
        ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b'unmistakable')),
        'cannot be read'),
    'one that does not sign': (lambda: pkcs8(x25519.X25519PrivateKey.generate()), 'signs no requests'),
    'one on a curve that nobody takes': (
        lambda: pkcs8(ec.generate_private_key(ec.SECP256K1())), 'curve'),
    'RSA of 1024 bits': (lambda: pkcs8(rsa.generate_private_key(65537, 1024)), '1024 bits'),
    'RSA with an exponent of 3': (lambda: pkcs8(rsa.generate_private_key(3, 2048)), 'exponent'),
}


def pkcs8(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize('name', KEYS)
def test_a_stored_key_that_is_none_to_certify_ends_an_order_soon(km, name):
    key, said = KEYS[name]
    answer = ordered(km, request_type='stored-key', subject_dn=f'cn={NAME}',
                     container_ref=a_container(km, key()))
    order = ended(km, path_of(km, answer.json()['order_ref']))
    assert (order['status'], order['error_status_code']) == ('ERROR', '400'), order
    assert said in order['error_reason']


def test_the_stored_key_of_another_project_is_refused(km):
    ref = a_container(km, pkcs8(ec.generate_private_key(ec.SECP256R1())))
    assert_refused(ordered(km, who='beta-member', request_type='stored-key', subject_dn=f'cn={NAME}',
                           container_ref=ref), 403)


def a_container(km, key):
    """The reference of a container with a private key."""
    ref = km.url + km.secret(key, secret_type='private')
    return km.post('/v1/containers', {'type': 'generic', 'secret_refs': [
        {'name': 'private_key', 'secret_ref': ref}]}).json()['container_ref']


@pytest.fixture(scope='module')
def certificate(km):
    """How a certificate is shown, and where its CRL and OCSP are."""
    order = issued(km, **NEW)
    crl, _, ocsp = urls(x509.load_pem_x509_certificate(
        contents(km, order['container_ref'])['certificate']))
    return certificate_of(km, order), crl, ocsp


@pytest.mark.parametrize(('body', 'status'), [
    ({'reason': 'boredom'}, 400), ({'reason': 1}, 400), ({'reason': 'removeFromCRL'}, 409),
    ({'invalidity_date': 'yesterday'}, 400), ({'invalidity_date': '9999-12-31T23:59:59-12:00'}, 400),
    ({'serial': '1'}, 400), ([], 400), ('x', 400), ({'reason': 'x' * 10_000}, 400)],
    ids=lambda told: str(told)[:40])
def test_a_revocation_that_makes_no_sense_revokes_nothing(km, certificate, body, status):
    path = path_of(km, certificate[0]['certificate_ref'])
    assert_refused(km.post(f'{path}/revoke', body, **V1_4), status)
    assert km.get(path, **V1_4).json()['status'] == 'ISSUED'


def test_nobody_else_sees_renews_or_revokes_a_certificate(km, certificate):
    path = path_of(km, certificate[0]['certificate_ref'])
    for who in ('beta-member', 'beta-admin'):
        assert_refused(km.get(path, who=who, **V1_4), 404)
        assert_refused(km.post(f'{path}/renew', who=who, **V1_4), 404)
        assert_refused(km.post(f'{path}/revoke', {}, who=who, **V1_4), 404)
    for what in ('renew', 'revoke'):
        assert_refused(km.post(f'{path}/{what}', {}, who='alpha-reader', **V1_4), 403)
        assert km.post(f'{path}/{what}', {}, who=None, **V1_4).status_code == 401
    assert km.get(path, **V1_4).json()['status'] == 'ISSUED'


@pytest.mark.parametrize(('method', 'path', 'status'), [
    ('GET', '', 404), ('GET', '/local', 404), ('GET', '/nobody/x.crl', 404),
    ('GET', '/local/x.crl', 404), ('GET', '/local/%00.crl', 404), ('GET', '/local/%2e%2e/km.conf', 404),
    ('GET', f'/local/{"a" * 400}.crl', 404), ('POST', '/local/x.crl', 405),
    ('GET', '/local/x/ocsp', 405), ('GET', '/local/x/ocsp/!!!', 400),
    ('GET', '/local/x/ocsp/AAAA', 404)], ids=lambda told: str(told)[:40])
def test_strangers_are_told_of_nothing_else(km, method, path, status):
    assert_refused(km.ask(method, f'/pki{path}', who=None), status)


def test_strangers_who_ask_nonsense_are_told_so(km, certificate):
    _, crl, ocsp = certificate

    def ask(body, content_type='application/ocsp-request'):
        return km.ask('POST', ocsp, who=None, body=body, Content_Type=content_type)

    answer = ask(b'nonsense')
    assert (answer.status_code, answer.content) == (200, b'0\x03\n\x01\x01')  # malformedRequest
    assert_refused(ask(b'x' * 20_000), 413)
    assert_refused(ask(b''), 400)
    assert_refused(ask(b'x', 'text/plain'), 415)
    first = km.get(crl, who=None)
    again = km.get(crl, who=None, If_None_Match=first.headers['ETag'])
    assert (again.status_code, again.content) == (304, b'')
