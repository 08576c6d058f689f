# SPDX-License-Identifier: Apache-2.0
"""Certificates ordered over HTTP of a km with a Local CA, and what OpenSSL says of them."""
import base64
import secrets
import subprocess
import time
from functools import partial

import pytest
from asn1crypto import csr as asn1_csr
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.functional.assertions import assert_refused
from tests.functional.certificates import km_with_authorities
from tests.functional.certificates.km_with_authorities import (
    V1_4,
    assert_belong_together,
    certificate_of,
    contents,
    ended,
    issued,
    path_of,
    placed,
)
from tests.functional.km_server import ends_cleanly

NAME = 'www.example.org'
NEW = {'request_type': 'new-key', 'subject_dn': f'cn={NAME}'}
#: How long km may take to say no.
SOON = 3
PKI_DATA = '1.3.6.1.5.5.7.12.2'
_SECONDS = 20


@pytest.fixture(scope='module')
def km(tmp_path_factory, postgresql, keystone):
    """A km behind Keystone, with the keys of its authority in a token."""
    yield from running(km_with_authorities.in_a_token(
        private(tmp_path_factory, 'in-a-token'), postgresql, keystone))


@pytest.fixture(scope='module', params=['standalone', 'mariadb'])
def other(request, tmp_path_factory):
    """A km with an authority, deployed otherwise."""
    folder = private(tmp_path_factory, request.param)
    if request.param == 'standalone':
        yield from running(km_with_authorities.standalone(folder))
    else:
        yield from running(km_with_authorities.behind_keystone(
            folder, *map(request.getfixturevalue, ('mariadb', 'keystone'))))


def private(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp(name)
    folder.chmod(0o700)
    return folder


def running(deployment):
    """Give the km of a deployment; in the end it stops in order, and its log has kept every secret."""
    with deployment as km:
        yield km
        km.close()
        assert ends_cleanly(km.process), km.log_tail()
    assert not km.leaks()
    assert 'Traceback' not in km.log.read_text(errors='replace')


@pytest.fixture
def openssl(tmp_path):
    """Runs openssl in a folder of its own."""
    return partial(run_openssl, tmp_path)


def run_openssl(folder, *arguments, fails=False, given=None):
    """What an openssl says, on both its outputs, in a folder."""
    done = subprocess.run(['openssl', *map(str, arguments)], cwd=folder, capture_output=True,
                          input=given, timeout=_SECONDS, check=False)
    told = (done.stdout + done.stderr).decode(errors='replace')
    assert (done.returncode != 0) is fails, told
    return told


def assert_life_of_a_certificate(km, folder):
    """Insist that a certificate is issued and sound, and that everybody sees when it is revoked."""
    openssl = partial(run_openssl, folder)
    order = issued(km, **NEW, name='web')
    found = contents(km, order['container_ref'])
    certificate = assert_belong_together(found)
    shown = certificate_of(km, order)
    assert int(shown['serial'], 16) == certificate.serial_number
    write_chain(km, shown, found, folder)
    verify = ('verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'above.pem')
    assert 'leaf.pem: OK' in openssl(*verify, '-purpose', 'sslserver', 'leaf.pem')
    crl, issuer, ocsp = urls(certificate)
    ask = ('ocsp', '-issuer', 'above.pem', '-cert', 'leaf.pem', '-CAfile', 'root.pem', '-url', ocsp)
    assert 'leaf.pem: good' in openssl(*ask)
    revoked = km.post(path_of(km, shown['certificate_ref']) + '/revoke', {'reason': 'keyCompromise'},
                      **V1_4)
    assert (revoked.status_code, revoked.json()) == (202, {'revoked': True}), revoked.text
    assert certificate_of(km, order)['status'] == 'REVOKED'
    told = openssl(*ask)
    assert 'Response verify OK' in told
    assert 'leaf.pem: revoked' in told
    assert 'Reason: keyCompromise' in told
    (folder / 'list.crl').write_bytes(published(km, crl, 'application/pkix-crl'))
    openssl('crl', '-inform', 'DER', '-in', 'list.crl', '-out', 'crl.pem')
    told = openssl(*verify, '-crl_check', '-CRLfile', 'crl.pem', 'leaf.pem', fails=True)
    assert 'certificate revoked' in told
    assert x509.load_der_x509_certificate(published(km, issuer, 'application/pkix-cert')) == (
        x509.load_pem_x509_certificate(found['intermediates']))
    assert_another_is_good(km, openssl, folder, verify, ocsp)


def assert_another_is_good(km, openssl, folder, verify, ocsp):
    """Insist that a certificate issued after that is on no list, and that OCSP says so to a GET too."""
    order = issued(km, **NEW)
    (folder / 'leaf.pem').write_bytes(contents(km, order['container_ref'])['certificate'])
    assert 'leaf.pem: OK' in openssl(*verify, '-crl_check', '-CRLfile', 'crl.pem', 'leaf.pem')
    openssl('ocsp', '-issuer', 'above.pem', '-cert', 'leaf.pem', '-no_nonce', '-reqout', 'question')
    question = base64.b64encode((folder / 'question').read_bytes()).decode()
    (folder / 'answer').write_bytes(published(
        km, f'{ocsp}/{question.replace("/", "%2F").replace("+", "%2B")}', 'application/ocsp-response'))
    told = openssl('ocsp', '-issuer', 'above.pem', '-cert', 'leaf.pem', '-CAfile', 'root.pem',
                   '-no_nonce', '-respin', 'answer')
    assert 'leaf.pem: good' in told
    assert 'Response verify OK' in told


def write_chain(km, shown, found, folder):
    """Write a certificate, those above it in its container, and the root that its authority names."""
    ca = path_of(km, shown['ca_ref'])
    (folder / 'leaf.pem').write_bytes(found['certificate'])
    (folder / 'above.pem').write_bytes(found['intermediates'])
    assert found['intermediates'].startswith(km.get(f'{ca}/cacert', Accept='*/*').content.strip())
    (folder / 'chain.p7').write_bytes(km.get(f'{ca}/intermediates', Accept='*/*').content)
    told = run_openssl(folder, 'pkcs7', '-print_certs', '-in', 'chain.p7')
    (folder / 'root.pem').write_text(told)


def urls(certificate):
    """Where a certificate says that its CRL, its issuer and OCSP are."""
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = {one.access_method: one.access_location.value for one in
              certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value}
    return (points[0].full_name[0].value, access[AuthorityInformationAccessOID.CA_ISSUERS],
            access[AuthorityInformationAccessOID.OCSP])


def published(km, url, content_type):
    """What is below /pki, for somebody without a token."""
    assert url.startswith(f'{km.url}/pki/')
    answer = km.get(url, who=None)
    assert (answer.status_code, answer.headers['Content-Type']) == (200, content_type), answer.text
    return answer.content


def test_a_certificate_by_a_key_in_a_token_lives_and_is_revoked(km, tmp_path):
    assert_life_of_a_certificate(km, tmp_path)
    assert km.option('certificate_authority:local', 'key_store') == 'soft'
    assert km.option('secret_store:soft', 'plugin') == 'pkcs11'


def test_a_certificate_lives_and_is_revoked_however_km_is_deployed(other, tmp_path):
    assert_life_of_a_certificate(other, tmp_path)


def test_a_key_that_a_client_keeps_is_certified(km, openssl, tmp_path):
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'key.pem')
    key = km.secret((tmp_path / 'key.pem').read_bytes(), secret_type='private')
    pair = km.post('/v1/containers', {'type': 'generic', 'secret_refs': [
        {'name': 'private_key', 'secret_ref': km.url + key}]}).json()['container_ref']
    order = issued(km, request_type='stored-key', container_ref=pair, subject_dn=f'cn={NAME}',
                   subject_alt_names=[NAME, 'IP:192.0.2.7'])
    found = contents(km, order['container_ref'])
    assert found['private_key'] == (tmp_path / 'key.pem').read_bytes()
    certificate = assert_belong_together(found)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert ended(km, placed(km, request_type='stored-key', container_ref=pair,
                            subject_dn=f'cn={NAME}'))['status'] == 'ACTIVE'


def test_a_full_cmc_message_of_openssl_is_certified(km, openssl, tmp_path):
    message = base64.b64encode(cmc_message(openssl, tmp_path)).decode()
    order = issued(km, request_type='full-cmc', request_data=message)
    found = contents(km, order['container_ref'])
    assert set(found) == {'certificate', 'intermediates'}
    certificate = x509.load_pem_x509_certificate(found['certificate'])
    request = x509.load_der_x509_csr((tmp_path / 'request').read_bytes())
    assert certificate.public_key() == request.public_key()
    assert 'Certificate request self-signature verify OK' in openssl(
        'req', '-verify', '-noout', given=base64.b64decode(order['meta']['request_data']))


def test_a_full_cmc_message_that_was_altered_is_refused(km, openssl, tmp_path):
    message = bytearray(cmc_message(openssl, tmp_path))
    message[-1] ^= 1  # the last byte is of the signature
    answer = ordered(km, request_type='full-cmc', request_data=base64.b64encode(message).decode())
    assert_refused(answer, 400)
    assert 'signature' in answer.json()['description']


def cmc_message(openssl, folder):
    """A CMC message with one request, which the requested key has signed (RFC 5272, 3.2)."""
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
            'key.pem', '-subj', f'/CN={NAME}', '-addext', f'subjectAltName=DNS:{NAME}', '-outform',
            'DER', '-out', 'request')
    request = (folder / 'request').read_bytes()
    tagged = der(0xa0, b'\x02\x01\x01' + request)
    (folder / 'content').write_bytes(der(0x30, b'0\0' + der(0x30, tagged) + b'0\0' + b'0\0'))
    openssl('req', '-x509', '-new', '-key', 'key.pem', '-subj', '/CN=me', '-out', 'signer.pem',
            '-addext', 'subjectKeyIdentifier=hash')
    openssl('cms', '-sign', '-binary', '-nodetach', '-keyid', '-nocerts', '-signer', 'signer.pem',
            '-inkey', 'key.pem', '-econtent_type', PKI_DATA, '-md', 'sha256', '-in', 'content',
            '-outform', 'DER', '-out', 'message')
    return (folder / 'message').read_bytes()


def der(tag, content):
    """An element of DER."""
    length = len(content)
    if length < 128:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


@pytest.fixture(scope='module')
def ours(km):
    """The path of an authority of the project alpha."""
    root = km.get('/v1/cas').json()['cas'][0]
    made = km.post('/v1/cas', {'name': 'ours', 'subject_dn': 'CN=Ours,O=Alpha', 'parent_ca_ref': root},
                   who='alpha-admin')
    assert made.status_code == 201, made.text
    return path_of(km, made.json()['ca_ref'])


@pytest.fixture
def below(km):
    """A name below the domain that authorities of the project alpha may give certificates for."""
    return f'www.{km.session().get_project_id()}.example.org'


def test_an_authority_of_a_project_issues_within_its_constraints(km, ours, below, openssl, tmp_path):
    order = issued(km, request_type='new-key', subject_alt_names=[below], ca_id=ours.rpartition('/')[2])
    found = contents(km, order['container_ref'])
    assert_belong_together(found)
    assert found['intermediates'].count(b'BEGIN') == 2
    write_chain(km, certificate_of(km, order), found, tmp_path)
    verify = ('verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'above.pem', 'leaf.pem')
    assert 'leaf.pem: OK' in openssl(*verify)


def test_an_authority_of_a_project_gives_nothing_outside_its_constraints(km, ours, below):
    for name in (NAME, below.replace('example.org', 'example.com'), f'*.{NAME}'):
        order = ended(km, placed(km, request_type='new-key', subject_alt_names=[name],
                                 ca_id=ours.rpartition('/')[2]))
        assert (order['status'], order['error_status_code']) == ('ERROR', '400'), order
        assert order['error_reason'].startswith('Problem with data in certificate request - Reason: ')
        assert name in order['error_reason']


def test_an_authority_of_a_project_is_nobody_elses(km, ours, below):
    foreign = {'who': 'beta-member'}
    answer = ordered(km, **foreign, request_type='new-key', subject_alt_names=[below],
                     ca_id=ours.rpartition('/')[2])
    assert_refused(answer, 403)
    assert 'not owned by this project' in answer.json()['description']
    for path in (ours, f'{ours}/cacert', f'{ours}/intermediates'):
        assert_refused(km.get(path, Accept='*/*', **foreign), 403)
    assert km.url + ours not in km.get('/v1/cas', **foreign).json()['cas']
    made = km.post('/v1/cas', {'name': 'theirs', 'subject_dn': 'CN=Theirs',
                               'parent_ca_ref': km.url + ours}, who='beta-admin')
    assert_refused(made, 403)


def ordered(km, *, who='alpha-member', **meta):
    """The answer to who orders a certificate, which comes soon."""
    began = time.monotonic()
    answer = km.post('/v1/orders', {'type': 'certificate', 'meta': meta}, who=who)
    assert time.monotonic() - began < SOON
    return answer


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
