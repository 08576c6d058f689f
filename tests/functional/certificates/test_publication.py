# SPDX-License-Identifier: Apache-2.0
"""Whoever is shown a certificate of km's Local CA learns how it stands from its URLs, with no token."""
import base64
import subprocess
import time
import uuid

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from tests.functional.certificates.checkers import require_sound_crl, require_sound_ocsp
from tests.functional.open_km import believing_all

#: Where everybody reaches the km, through a proxy of which the tests do the work.
PUBLIC = 'http://pki.example.org'
_SECONDS = 30
_NEWEST = {'OpenStack_API_Version': 'key-manager latest'}
_ADMIN = {'X_Roles': 'admin,member,reader'}


@pytest.fixture(scope='module')
def km(postgresql, tmp_path_factory):
    """A km with a Local CA that publishes."""
    folder = tmp_path_factory.mktemp('publication')
    with believing_all(folder, postgresql, name='publication', sections={
            'certificate_authority': {'enabled': 'local'}, 'certificate_authority:local': {
                'plugin': 'local_ca', 'key_store': 'soft', 'publication_url': f'{PUBLIC}/pki',
                'subordinate_permitted': 'DNS:example.org',
                'connection': postgresql.create_database('publication_ca')}}) as running:
        yield running
        assert 'Traceback' not in running.log.read_text()


@pytest.fixture(scope='module')
def fetch(km):
    """What anybody gets from a URL that a certificate has."""
    def ask(url, method='GET', **more):
        assert url.startswith(f'{PUBLIC}/pki/')
        return requests.request(method, km.url + url.removeprefix(PUBLIC), timeout=_SECONDS, **more)
    return ask


class Leaf:
    """A certificate that was ordered, its issuers, and the URLs in it."""

    def __init__(self, km, ca_ref=None):
        self._km = km
        order = self._ordered({'ca_id': ca_ref.rpartition('/')[2]} if ca_ref else {})
        container = km.get(order['container_ref'], who='alpha').json()
        refs = {one['name']: one['secret_ref'] for one in container['secret_refs']}
        self.container_id = order['container_ref'].rpartition('/')[2]
        self.certificate, = self._certificates(refs['certificate'])
        self.chain = self._certificates(refs['intermediates'])
        self.issuer, self.root = self.chain[0], self._root()
        access = self.certificate.extensions.get_extension_for_oid(
            ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
        urls = {one.access_method: one.access_location.value for one in access}
        self.ocsp = urls[AuthorityInformationAccessOID.OCSP]
        self.crt = urls[AuthorityInformationAccessOID.CA_ISSUERS]
        points = self.certificate.extensions.get_extension_for_oid(
            ExtensionOID.CRL_DISTRIBUTION_POINTS).value
        self.crl = points[0].full_name[0].value

    def _ordered(self, more):
        key, name = ec.generate_private_key(ec.SECP256R1()), f'{uuid.uuid4().hex}.example.org'
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, name)])).add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(
                    key, hashes.SHA256()).public_bytes(Encoding.PEM)
        placed = self._km.post('/v1/orders', {'type': 'certificate', 'meta': {
            'request_type': 'simple-cmc', 'request_data': base64.b64encode(csr).decode(), **more,
        }}, who='alpha')
        assert placed.status_code == 202, placed.text
        deadline = time.monotonic() + _SECONDS
        while True:
            order = self._km.get(placed.json()['order_ref'], who='alpha').json()
            if order['status'] == 'ACTIVE':
                return order
            assert order['status'] == 'PENDING', order
            assert time.monotonic() < deadline, order
            time.sleep(0.1)

    def _certificates(self, ref):
        return x509.load_pem_x509_certificates(self._km.get(
            f'{ref}/payload', who='alpha', Accept='application/octet-stream').content)

    def _root(self):
        """What km says is on top of all."""
        ca_ref = self._km.get('/v1/cas', who='alpha').json()['cas'][0]
        above = pkcs7.load_pem_pkcs7_certificates(
            self._km.get(f'{ca_ref}/intermediates', who='alpha').content)
        return next(one for one in above if one.subject == one.issuer)

    def revoke(self):
        """Have it revoked because its key is known, and wait until that is done."""
        found = self._km.get('/v1/certificates', params={'container_id': self.container_id},
                             who='alpha', **_NEWEST).json()['certificates']
        path = f'/v1/certificates/{found[0]["certificate_id"]}'
        asked = self._km.post(f'{path}/revoke', {'reason': 'keyCompromise'}, who='alpha', **_NEWEST)
        assert asked.status_code < 300, asked.text
        deadline = time.monotonic() + _SECONDS
        while (told := self._km.get(path, who='alpha', **_NEWEST).json())['status'] != 'REVOKED':
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    def question(self):
        """An OCSP request about it, DER, without a nonce."""
        return ocsp.OCSPRequestBuilder().add_certificate(
            self.certificate, self.issuer, hashes.SHA1()).build().public_bytes(Encoding.DER)


@pytest.fixture(scope='module')
def leaf(km):
    return Leaf(km)


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def asked_by_openssl(km, leaf, folder, *options):
    """What ``openssl ocsp`` says of a leaf after it has asked the URL in it."""
    paths = {}
    for name, certificates in (('issuer', [leaf.issuer]), ('root', [leaf.root]),
                               ('leaf', [leaf.certificate]), ('chain', leaf.chain)):
        paths[name] = folder / f'{name}.pem'
        paths[name].write_bytes(b''.join(one.public_bytes(Encoding.PEM) for one in certificates))
    told = subprocess.run(
        ['openssl', 'ocsp', '-url', km.url + leaf.ocsp.removeprefix(PUBLIC), '-issuer', paths['issuer'],
         '-cert', paths['leaf'], '-CAfile', paths['root'], '-verify_other', paths['chain'], *options],
        capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert 'Response verify OK' in told.stderr, told.stderr + told.stdout
    return told.stdout


def test_the_certificate_of_the_issuer_is_where_the_leaf_says(fetch, leaf):
    told = fetch(leaf.crt)
    assert (told.status_code, told.headers['Content-Type']) == (200, 'application/pkix-cert')
    assert x509.load_der_x509_certificate(told.content) == leaf.issuer
    head = fetch(leaf.crt, 'HEAD')
    assert (head.status_code, head.content, head.headers['Content-Length']) == (
        200, b'', str(len(told.content)))
    assert fetch(leaf.crt, headers={'If-None-Match': told.headers['ETag']}).status_code == 304


def test_openssl_is_answered_by_post_and_by_get_and_pkilint_finds_nothing(km, fetch, leaf, tmp_path):
    assert ': good' in asked_by_openssl(km, leaf, tmp_path)
    question = leaf.question()
    posted = fetch(leaf.ocsp, 'POST', data=question,
                   headers={'Content-Type': 'application/ocsp-request'})
    got = fetch(f'{leaf.ocsp}/{requests.utils.quote(base64.b64encode(question).decode(), safe="")}')
    for told in (posted, got):
        assert (told.status_code, told.headers['Content-Type']) == (200, 'application/ocsp-response')
        assert require_sound_ocsp(told.content, der(leaf.certificate), der(leaf.issuer),
                                  root=der(leaf.root)) == 'good'
    assert posted.content == got.content
    assert {'ETag', 'Expires', 'Last-Modified'} <= set(got.headers)
    assert 'public' in got.headers['Cache-Control']


def test_one_that_is_revoked_is_in_the_crl_and_openssl_says_so(km, fetch, tmp_path):
    leaf = Leaf(km)
    leaf.revoke()
    assert 'revoked' in asked_by_openssl(km, leaf, tmp_path)
    told = fetch(leaf.crl)
    assert (told.status_code, told.headers['Content-Type']) == (200, 'application/pkix-crl')
    require_sound_crl(told.content, der(leaf.issuer))
    crl = x509.load_der_x509_crl(told.content)
    found = crl.get_revoked_certificate_by_serial_number(leaf.certificate.serial_number)
    assert found.extensions.get_extension_for_class(x509.CRLReason).value.reason == (
        x509.ReasonFlags.key_compromise)
    assert told.headers['Expires'] == crl.next_update_utc.strftime('%a, %d %b %Y %H:%M:%S GMT')
    assert fetch(leaf.crl, headers={'If-None-Match': told.headers['ETag']}).status_code == 304


def test_a_subordinate_is_made_issues_publishes_and_is_deleted(km, fetch, leaf, tmp_path):
    roots = km.get('/v1/cas', who='alpha').json()['cas']
    made = km.post('/v1/cas', {'name': 'ours', 'subject_dn': 'CN=Ours,O=Alpha',
                               'parent_ca_ref': roots[0]}, who='alpha', **_ADMIN)
    assert made.status_code == 201, made.text
    ca_ref = made.json()['ca_ref']
    assert km.get(ca_ref, who='beta').status_code == 403
    ours = Leaf(km, ca_ref)
    assert ours.certificate.issuer.rfc4514_string() == 'CN=Ours,O=Alpha'
    assert x509.load_pem_x509_certificate(km.get(f'{ca_ref}/cacert', who='alpha').content) == ours.issuer
    assert x509.load_der_x509_certificate(fetch(ours.crt).content) == ours.issuer
    assert ': good' in asked_by_openssl(km, ours, tmp_path)
    require_sound_crl(fetch(ours.crl).content, der(ours.issuer))
    gone = km.delete(ca_ref, who='alpha', **_ADMIN)
    assert gone.status_code == 204, gone.text
    assert km.get(ca_ref, who='alpha').status_code == 404


def test_strangers_get_nothing_else(km, fetch):
    for path in ('/pki/local/none.crl', '/pki/none/issuing.crl', '/pki/local/../../etc/passwd.crl',
                 '/pki/local/none/ocsp/MAA='):
        assert fetch(PUBLIC + path).status_code == 404, path
    assert fetch(f'{PUBLIC}/pki/local/issuing/ocsp', 'POST', data=b'x' * 20000, headers={
        'Content-Type': 'application/ocsp-request'}).status_code == 413
