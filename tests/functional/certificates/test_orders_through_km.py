# SPDX-License-Identifier: Apache-2.0
"""Certificates ordered over HTTP of a km with a Local CA, and what OpenSSL says of them."""
import base64
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.functional.assertions import assert_refused
from tests.functional.certificates import km_with_authorities
from tests.functional.certificates.certificate_life import (
    NAME,
    NEW,
    assert_life_of_a_certificate,
    published,
    requested,
    run_openssl,
    urls,
    write_chain,
)
from tests.functional.certificates.km_with_authorities import (
    V1_4,
    assert_belong_together,
    certificate_of,
    contents,
    ended,
    issued,
    ordered,
    path_of,
    placed,
    private,
    running,
)

PKI_DATA = '1.3.6.1.5.5.7.12.2'


@pytest.fixture(scope='module')
def km(km_in_a_token):
    return km_in_a_token


@pytest.fixture(scope='module', params=['standalone', 'mariadb'])
def other(request, tmp_path_factory):
    """A km with an authority, deployed otherwise."""
    folder = private(tmp_path_factory, request.param)
    if request.param == 'standalone':
        yield from running(km_with_authorities.standalone(folder))
    else:
        yield from running(km_with_authorities.behind_keystone(
            folder, *map(request.getfixturevalue, ('mariadb', 'keystone'))))


@pytest.fixture
def openssl(tmp_path):
    """Runs openssl in a folder of its own."""
    return partial(run_openssl, tmp_path)


def test_a_certificate_by_a_key_in_a_token_lives_and_is_revoked(km, tmp_path):
    assert_life_of_a_certificate(km, tmp_path)
    assert km.option('certificate_authority:local', 'key_store') == 'soft'
    assert km.option('secret_store:soft', 'plugin') == 'pkcs11'


def test_a_certificate_lives_and_is_revoked_however_km_is_deployed(other, tmp_path):
    assert_life_of_a_certificate(other, tmp_path)


def test_what_is_long_fits_into_postgresql(km):
    assert_long_ones_fit(km)


def test_what_is_long_fits_into_other_databases(other):
    assert_long_ones_fit(other)


def assert_long_ones_fit(km):
    """Insist that a request of a hundred names, and a name of the longest, lead to a certificate."""
    names = [NAME, *(f'{number}.{"x" * 63}.{"y" * 45}.example.org' for number in range(1, 100))]
    request = base64.b64encode(requested(*names, key=rsa.generate_private_key(65537, 4096))).decode()
    called = '\N{LOCK WITH INK PEN}' * 255
    order = issued(km, request_type='simple-cmc', request_data=request, name=called)
    certificate = x509.load_pem_x509_certificate(contents(km, order['container_ref'])['certificate'])
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == names
    assert order['meta']['name'] == called
    assert certificate_of(km, order)['names'] == []  # there are more than it tells of


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
    return subordinate(km, 'Ours')


def subordinate(km, called):
    """The path of a new authority of the project alpha."""
    root = next(ref for ref in km.get('/v1/cas').json()['cas']
                if km.get(ref).json()['plugin_ca_id'] == 'issuing')
    made = km.post('/v1/cas', {'name': called, 'subject_dn': f'CN={called},O=Alpha',
                               'parent_ca_ref': root}, who='alpha-admin')
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


def test_what_was_on_hold_is_good_again_and_a_former_version_is_revoked_alone(km, openssl, tmp_path):
    order = issued(km, **NEW, renewal={})
    former = certificate_of(km, order)
    found = contents(km, order['container_ref'])
    write_chain(km, former, found, tmp_path)
    _, _, ocsp = urls(assert_belong_together(found))

    def status(name):
        told = openssl('ocsp', '-issuer', 'above.pem', '-cert', name, '-CAfile', 'root.pem',
                       '-url', ocsp)
        return told.partition(f'{name}: ')[2].split()[0]

    def revoke(certificate, reason):
        answer = km.post(f'{path_of(km, certificate["certificate_ref"])}/revoke', {'reason': reason},
                         **V1_4)
        assert (answer.status_code, answer.json()) == (202, {'revoked': True}), answer.text

    for reason, expected in (('certificateHold', 'revoked'), ('removeFromCRL', 'good')):
        revoke(former, reason)
        assert status('leaf.pem') == expected
    renewal = km.post(f'{path_of(km, former["certificate_ref"])}/renew', **V1_4).json()['order_ref']
    assert ended(km, path_of(km, renewal))['status'] == 'ACTIVE'
    (tmp_path / 'new.pem').write_bytes(contents(km, order['container_ref'])['certificate'])
    revoke(former, 'superseded')
    assert (status('leaf.pem'), status('new.pem')) == ('revoked', 'good')


def test_what_an_authority_of_a_project_revoked_is_published_even_when_it_is_deleted(
        km, below, openssl, tmp_path):
    ca = subordinate(km, 'Short-lived')
    meta = {'request_type': 'new-key', 'subject_alt_names': [below], 'ca_id': ca.rpartition('/')[2]}
    order = issued(km, **meta)
    certificate, found = certificate_of(km, order), contents(km, order['container_ref'])
    write_chain(km, certificate, found, tmp_path)
    crl, issuer, _ = urls(assert_belong_together(found))
    revoked = km.post(f'{path_of(km, order["order_ref"])}/revoke', {'reason': 'cessationOfOperation'},
                      **V1_4)
    assert (revoked.status_code, revoked.json()) == (202, {'revoked': True})
    assert_refused(km.delete(ca), 403)  # a member is no admin
    assert km.delete(ca, who='alpha-admin').status_code == 204
    assert_refused(ordered(km, **meta), 400)
    (tmp_path / 'list.crl').write_bytes(published(km, crl, 'application/pkix-crl'))
    openssl('crl', '-inform', 'DER', '-in', 'list.crl', '-out', 'crl.pem')
    told = openssl('verify', '-crl_check', '-CRLfile', 'crl.pem', '-CAfile', 'root.pem', '-untrusted',
                   'above.pem', 'leaf.pem', fails=True)
    assert 'certificate revoked' in told
    assert published(km, issuer, 'application/pkix-cert')


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
