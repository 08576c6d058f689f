# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates: read as clients send them, refused if they are sly, made by stored keys."""
import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from km.certificates import requests
from km.errors import Invalid
from tests.unit.certificates.papers import KEY, built, called, one_line, pem, sentence

GOOD = ('rsa', 'p256', 'p384', 'p521', 'ed25519', 'ed448')


@pytest.mark.parametrize('kind', GOOD)
def test_what_openssl_requests_is_read_from_base64_of_pem_or_der_and_from_pem(openssl, kind):
    der = openssl.request(kind=kind)
    for encoded in (one_line(pem(der)), one_line(der), pem(der), pem(der, 'NEW CERTIFICATE REQUEST'),
                    one_line(pem(der)) + '\n', pem(der).replace('\n', '\r\n')):
        assert requests.read(encoded) == der
    requests.require_sane(der)


@pytest.mark.parametrize('encoded', ['', ' ', 'no base64!', 'YQ', 'YQ=', 'ünd'])
def test_what_is_no_base64_cannot_be_decoded(encoded):
    assert sentence(requests.read, encoded) == 'Unable to decode request data.'


def test_what_is_no_request_has_a_bad_format(openssl):
    der = openssl.request()
    for encoded in (one_line('hello'), one_line(der[:-1]), one_line(der + b'\x00'),
                    one_line(pem(b'hello')), one_line(pem(der, 'CERTIFICATE')), pem(der)[:-5],
                    one_line(pem(der)[:200]), '-----BEGIN CERTIFICATE REQUEST-----'):
        assert sentence(requests.read, encoded) == 'Invalid PKCS10 Data: Bad format'


def signature(der):
    return x509.load_der_x509_csr(der).signature


def test_a_request_that_another_key_signed_is_refused(openssl):
    one, other = (openssl.request(kind='rsa', names=f'DNS:{name}.example') for name in 'ab')
    forged = one[:-len(signature(one))] + signature(other)
    altered = bytearray(one)
    altered[-1] ^= 1
    renamed = one.replace(b'a.example', b'b.example')
    for der in (forged, bytes(altered), renamed):
        assert sentence(requests.read, one_line(der)) == (
            'Invalid PKCS10 Data: Signing key incorrect')


def test_a_request_without_any_name_is_refused(openssl):
    for subject in ([], [x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'an organisation')]):
        assert 'no name' in sentence(requests.require_sane, built(subject=subject))
    assert 'no name' in sentence(requests.require_sane, openssl.request(subject='/', names=''))


def test_a_subject_out_of_bounds_is_refused():
    long = built(subject=[called('x' * 64)]).replace(b'x' * 64, b'y' * 64)
    requests.require_sane(long)
    for subject, said in (([called('a\x00b')], 'printed'), ([called(' ')], 'blank'),
                          ([called('a'), called('b')], 'more than one CN'), ([called('*.*.x')], r'\*'),
                          ([x509.NameAttribute(NameOID.COMMON_NAME, 'x' * 65, _validate=False)], '65'),
                          ([x509.NameAttribute(NameOID.COUNTRY_NAME, '99', _validate=False)], 'country'),
                          ([called('a')] + [x509.NameAttribute(NameOID.DOMAIN_COMPONENT, str(number))
                                            for number in range(20)], 'more than 20')):
        assert said.replace('\\', '') in sentence(requests.require_sane, built(subject=subject))


def test_a_request_to_be_an_authority_is_refused(openssl):
    for extension in (x509.BasicConstraints(ca=True, path_length=None),
                      x509.KeyUsage(True, False, False, False, False, True, False, False, False)):
        assert 'asks for' in sentence(
            requests.require_sane, built(subject=[called('a.example')], extensions=[extension]))
    assert 'CA:TRUE' in sentence(
        requests.require_sane, openssl.request(extensions='basicConstraints=CA:TRUE'))
    requests.require_sane(openssl.request(
        extensions='basicConstraints=CA:FALSE\nkeyUsage=digitalSignature'))


def test_unknown_attributes_are_tolerated_and_two_of_a_kind_are_not():
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([called('a.example')]))
    odd = builder.add_attribute(x509.ObjectIdentifier('1.2.3.4'), b'odd')
    requests.require_sane(odd.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))
    twice = odd.add_attribute(x509.ObjectIdentifier('1.2.3.5'), b'odd').sign(
        KEY, hashes.SHA256()).public_bytes(Encoding.DER).replace(b'\x2a\x03\x05', b'\x2a\x03\x04')
    assert 'twice' in sentence(requests.require_sane, twice)


def test_what_asks_for_extensions_is_not_there_in_two_forms():
    asked = built(names=[x509.DNSName('a.example')])
    microsoft = x509.ObjectIdentifier('1.3.6.1.4.1.311.2.1.14')
    both = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName('a.example')]), critical=False).add_attribute(
        microsoft, b'').sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)
    requests.require_sane(asked)
    assert sentence(requests.require_sane, both)


def test_a_request_that_is_too_long_is_refused():
    names = [x509.UniformResourceIdentifier(f'https://a.example/{number}/' + 'x' * 2000)
             for number in range(9)]
    der = built(names=names)
    assert 'longer than' in sentence(requests.require_sane, der)
    assert 'longer than' in sentence(requests.read, one_line(der))
    assert 'longer than' in sentence(requests.read, 'A' * 100_000)


SAMPLE = built(subject=[called('a.example')],
               names=[x509.DNSName('a.example'), x509.RFC822Name('a@b.example')],
               extensions=[x509.BasicConstraints(ca=False, path_length=None)])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=6),
       st.integers(0, len(SAMPLE)))
def test_no_bytes_make_it_fail_otherwise(changes, cut):
    altered = bytearray(SAMPLE)
    for place, byte in changes:
        altered[place] = byte
    for der in (bytes(altered), bytes(altered[:cut])):
        for function in (requests.require_sane, requests.names_of, requests.subject_of,
                         requests.public_key_of, requests.require_possession):
            with contextlib.suppress(Invalid):
                function(der)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_text_makes_reading_fail_otherwise(content):
    for encoded in (content.decode('latin-1'), one_line(content),
                    '-----BEGIN CERTIFICATE REQUEST-----' + content.decode('latin-1')):
        with pytest.raises(Invalid):
            requests.read(encoded)


def test_names_subject_and_key_are_told(openssl):
    der = openssl.request(subject='/O=An Example/CN=Ann',
                          names='DNS:a.example,IP:10.0.0.1,IP:::1,email:a@b.example,URI:urn:x:y')
    assert requests.names_of(der) == ('DNS:a.example', 'IP:10.0.0.1', 'IP:::1', 'email:a@b.example',
                                      'URI:urn:x:y', 'CN:Ann')
    assert requests.subject_of(der) == 'CN=Ann,O=An Example'
    assert requests.public_key_of(der) == openssl(
        'pkey', '-in', 'p256.pem', '-pubout', '-outform', 'DER')
    assert requests.names_of(openssl.request()) == ('DNS:a.example',)


def shown_by(openssl, der):
    return openssl('req', '-inform', 'DER', '-noout', '-text', '-verify', '-nameopt', 'RFC2253',
                   given=der).decode()


@pytest.mark.parametrize('kind', GOOD)
def test_openssl_verifies_what_a_stored_key_requests(openssl, kind):
    made = requests.make(openssl.key(kind).read_bytes(), passphrase=None,
                         subject_dn='cn=server.example.com,o=example',
                         names=['a.example', '10.0.0.1', 'dns:*.b.example', 'a@b.example',
                                'URI:urn:x:y', 'https://a.example/x', 'IP:::1'])
    shown = shown_by(openssl, made)
    assert 'Subject: CN=server.example.com,O=example' in shown
    assert ('DNS:a.example, IP Address:10.0.0.1, DNS:*.b.example, email:a@b.example, URI:urn:x:y, '
            'URI:https://a.example/x, IP Address:0:0:0:0:0:0:0:1' in shown)


def test_a_host_as_common_name_becomes_the_alternative_name_if_there_is_no_other():
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def names(dn, *given):
        return requests.names_of(requests.make(key, passphrase=None, subject_dn=dn, names=given))

    assert names('cn=a.example') == ('DNS:a.example',)
    assert names('cn=10.0.0.1') == ('IP:10.0.0.1',)
    assert names('CN=Ann Example') == ('CN:Ann Example',)
    assert names('cn=a.example', 'b.example') == ('DNS:b.example', 'CN:a.example')
    assert names('', 'b.example') == ('DNS:b.example',)
