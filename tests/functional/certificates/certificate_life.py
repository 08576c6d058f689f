# SPDX-License-Identifier: Apache-2.0
"""The life of a certificate of a km, from its order to its revocation, with OpenSSL as its witness."""
import base64
import subprocess
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.functional.certificates.km_with_authorities import (
    V1_4,
    assert_belong_together,
    certificate_of,
    contents,
    issued,
    path_of,
)

NAME = 'www.example.org'
NEW = {'request_type': 'new-key', 'subject_dn': f'cn={NAME}'}
_SECONDS = 20


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
