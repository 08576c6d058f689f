# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates: read as clients send them, refused if they are sly, made by stored keys."""
import base64
import contextlib
import time

import pytest
from asn1crypto import core, csr, keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from km.certificates import names as rules
from km.certificates import requests
from km.errors import Invalid

GOOD = ('rsa', 'p256', 'p384', 'p521', 'ed25519', 'ed448')
HOSTS = ('a.example', 'localhost', 'A.Example', '*.a.example', 'xn--bcher-kva.example',
         'r3---sn.example', '0.example', 'a' * 63 + '.example', '.'.join(['a' * 49] * 5)[:253])
NO_HOSTS = ('', '.', '*', 'a.example.', '.a.example', 'a..example', '*.*.example', 'a*.example',
            'a.*.example', '*a.example', '-a.example', 'a-.example', 'a_b.example', 'a b.example',
            'a\x00.example', 'a.example\n', 'xn--.example', 'xn--abc-.example', 'xn--0.example',
            'xn--99999999.example', '10.0.0.1', 'a' * 64 + '.example', '.'.join(['a' * 49] * 6),
            'https://a.example', 'a.example:443', '*.')
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(der, label='CERTIFICATE REQUEST'):
    lines = base64.encodebytes(der).decode()
    return f'-----BEGIN {label}-----\n{lines}-----END {label}-----\n'


def one_line(content):
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def built(*, key=KEY, subject=(), names=(), extensions=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def called(text):
    return x509.NameAttribute(NameOID.COMMON_NAME, text)


def sentence(function, *arguments, **more):
    with pytest.raises(Invalid) as refused:
        function(*arguments, **more)
    return refused.value.sentence


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


def test_a_request_that_another_key_signed_is_refused(openssl):
    one, other = openssl.request(kind='rsa'), openssl.request(kind='rsa-3072')
    forged = x509.load_der_x509_csr(other).signature
    altered = bytearray(one)
    altered[-1] ^= 1
    renamed = one.replace(b'a.example', b'b.example')
    for der in (bytes(altered), renamed):
        assert sentence(requests.read, one_line(der)) == (
            'Invalid PKCS10 Data: Signing key incorrect')
    assert forged != x509.load_der_x509_csr(one).signature


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


@pytest.mark.parametrize('host', HOSTS)
def test_a_host_name_is_taken(host):
    assert rules.is_host(host)
    requests.require_sane(built(names=[x509.DNSName(host)]))


@pytest.mark.parametrize('host', NO_HOSTS)
def test_what_is_no_host_name_is_refused(host):
    assert not rules.is_host(host)
    said = sentence(requests.require_sane, built(names=[x509.DNSName(host)]))
    assert 'is not a host name' in said
    assert said.isprintable()


def test_a_host_name_outside_ascii_is_refused():
    der = built(names=[x509.DNSName('a.bcher')]).replace(b'a.bcher', b'b\xc3\xbccher')
    assert 'is not a host name' in sentence(requests.require_sane, der)


@pytest.mark.parametrize(('good', 'name'), [
    (True, x509.RFC822Name('ann@a.example')), (True, x509.RFC822Name('ann.b+c@a.example')),
    (False, x509.RFC822Name('ann')), (False, x509.RFC822Name('@a.example')),
    (False, x509.RFC822Name('ann@*.example')), (False, x509.RFC822Name('a..b@a.example')),
    (False, x509.RFC822Name('a b@a.example')),
    (True, x509.UniformResourceIdentifier('spiffe://a.example/x')),
    (True, x509.UniformResourceIdentifier('urn:uuid:1234')),
    (True, x509.UniformResourceIdentifier('https://[::1]:8443/')),
    (False, x509.UniformResourceIdentifier('no uri')), (False, x509.UniformResourceIdentifier('x:')),
    (False, x509.UniformResourceIdentifier('https://ann:pw@a.example/')),
    (False, x509.UniformResourceIdentifier('https:///x')),
    (False, x509.UniformResourceIdentifier('https://*.example/')),
    (False, x509.UniformResourceIdentifier('https://a.example:99999/')),
    (False, x509.UniformResourceIdentifier('https://a.example/' + 'x' * 2048)),
    (False, x509.RegisteredID(x509.ObjectIdentifier('1.2.3'))),
    (False, x509.DirectoryName(x509.Name([called('x')]))),
    (False, x509.OtherName(x509.ObjectIdentifier('1.2.3'), b'\x05\x00'))])
def test_a_name_of_another_kind_is_well_formed_or_refused(good, name):
    der = built(names=[name])
    if good:
        requests.require_sane(der)
    else:
        assert sentence(requests.require_sane, der)


@pytest.mark.parametrize('names', [
    [x509.DNSName('a.example'), x509.DNSName('A.EXAMPLE')],
    [x509.DNSName(f'{number}.example') for number in range(101)]])
def test_names_are_neither_twice_there_nor_more_than_a_hundred(names):
    assert sentence(requests.require_sane, built(names=names))


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


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.binary(max_size=5)))
def test_no_stored_bytes_make_it_fail_otherwise(content, passphrase):
    for encoded in (content, b'-----BEGIN PRIVATE KEY-----\n' + content):
        with pytest.raises(Invalid):
            requests.make(encoded, passphrase=passphrase, subject_dn='cn=a', names=[])


def test_a_host_as_common_name_becomes_the_alternative_name_if_there_is_no_other():
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def names(dn, *given):
        return requests.names_of(requests.make(key, passphrase=None, subject_dn=dn, names=given))

    assert names('cn=a.example') == ('DNS:a.example',)
    assert names('cn=10.0.0.1') == ('IP:10.0.0.1',)
    assert names('CN=Ann Example') == ('CN:Ann Example',)
    assert names('cn=a.example', 'b.example') == ('DNS:b.example', 'CN:a.example')
    assert names('', 'b.example') == ('DNS:b.example',)


@pytest.mark.parametrize('name', ['a b', 'IP:a.example', 'IP:10.0.0.0/8', 'email:a', 'URI:x', 'DNS:*',
                                  'DNS:', '', 'IP:fe80::1%eth0', 'a@b@c', 'http://', 'CN:a'])
def test_a_name_that_is_none_is_refused_in_making(name):
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert 'is not' in sentence(requests.make, key, passphrase=None, subject_dn='cn=a', names=[name])
