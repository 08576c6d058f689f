# SPDX-License-Identifier: Apache-2.0
"""``km-manage certs`` and ``km-manage ca``: what ends when, and the keys of authorities."""
import json
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.cmd.manage import command
from km.errors import KmError
from km.testing.application import Client, a_deployment

LOCAL = {'plugin': 'local_ca', 'key_store': 'soft', 'lint': 'false'}
AUTHORITIES = {'certificate_authority': {'enabled': 'local'}}


@pytest.fixture
def conf(folder):
    """Makes a km with a Local CA, and closes it; the path of its km.conf."""
    def made(orders=(), **options):
        house = a_deployment(folder, {**AUTHORITIES, 'certificate_authority:local': {
            **LOCAL, 'connection': f'sqlite:///{folder}/ca.sqlite', **options}})
        for meta in orders:
            answer = Client(house.application).post('/v1/orders', {'type': 'certificate', 'meta': {
                'request_type': 'new-key', **meta}})
            assert answer.status_int == 202, answer.text
        house.close()
        return str(folder / 'km.conf')
    return made


@pytest.fixture
def manage(capsys):
    """What a command prints, and its exit status."""
    def run(path, *words):
        capsys.readouterr()
        status = command(['--config-file', path, *words])
        return capsys.readouterr().out, status or 0
    return run


def in_days(days):
    return (datetime.now() + timedelta(days=days)).date().isoformat()


def test_those_that_end_first_are_printed_first(conf, manage):
    path = conf([{'subject_dn': f'cn={name}.example.org', 'not_after': in_days(days), **more}
                 for name, days, more in (('late', 60, {}), ('soon', 5, {'renewal': {}}))])
    out, status = manage(path, 'certs')
    head, first, second = out.splitlines()
    assert (head.split()[:2], status) == (['DAYS', 'LEFT'], 0)
    assert first.endswith('CN=soon.example.org')
    assert 'automatic' in first
    assert second.endswith('CN=late.example.org')
    assert ' none ' in second


def test_programs_get_json_and_whom_it_concerns_can_be_said(conf, manage):
    path = conf([{'subject_dn': 'cn=soon.example.org', 'not_after': in_days(5)},
                 {'subject_dn': 'cn=late.example.org'}])
    found = json.loads(manage(path, 'certs', '--json', '--days', '30')[0])
    assert [(one['subject'], one['days_left'] < 6, one['renewal']) for one in found] == [
        ('CN=soon.example.org', True, 'none')]
    assert json.loads(manage(path, 'certs', '--json', '--project', 'beta')[0]) == []


def test_without_certificates_there_is_the_head_alone(conf, manage):
    assert len(manage(conf(), 'certs')[0].splitlines()) == 1


def test_an_authority_issues_by_another_key_after_its_rotation(conf, manage):
    path = conf()
    first, second = (manage(path, 'ca', 'rotate', 'local')[0] for _ in range(2))
    assert first.startswith('CN=km Issuing CA G2, serial ')
    assert second.startswith('CN=km Issuing CA G3, serial ')


def test_a_root_elsewhere_signs_what_was_requested(conf, manage, folder):
    path = conf(root='elsewhere')
    request, _ = manage(path, 'ca', 'request', 'local')
    assert manage(path, 'ca', 'request', 'local')[0].startswith('-----BEGIN CERTIFICATE REQUEST-----')
    (folder / 'signed.pem').write_bytes(signed_elsewhere(request.encode()))
    out, status = manage(path, 'ca', 'install', 'local', str(folder / 'signed.pem'))
    assert (out[:17], status) == ('CN=km Issuing CA,', 0)
    conf([{'subject_dn': 'cn=www.example.org'}], root='elsewhere')
    assert 'CN=www.example.org' in manage(path, 'certs')[0]


@pytest.mark.parametrize(('words', 'sentence'), [
    (('rotate', 'other'), r"\[certificate_authority\] enabled: 'other' is not among local"),
    (('roll-over-account-key', 'local'), "'local' has no account at an authority elsewhere"),
    (('install', 'local', '/nowhere/missing.pem'), 'missing.pem cannot be read: No such file')])
def test_what_cannot_be_done_is_said(conf, manage, words, sentence):
    path = conf()
    with pytest.raises(KmError, match=sentence):
        manage(path, 'ca', *words)


def signed_elsewhere(request):
    """A certificate for what was requested, and the root that signed it, PEM."""
    csr = x509.load_pem_x509_csr(request)
    key, root = ec.generate_private_key(ec.SECP384R1()), x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, 'Offline Root')])
    pem = b''
    for subject, public, length in ((csr.subject, csr.public_key(), 1), (root, key.public_key(), None)):
        pem += x509.CertificateBuilder(
            subject_name=subject, issuer_name=root, public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=datetime(2026, 1, 1), not_valid_after=datetime(2046, 1, 1),
        ).add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False,
        ).add_extension(x509.KeyUsage(
            key_cert_sign=True, crl_sign=True, digital_signature=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False), critical=True).sign(key, hashes.SHA384()).public_bytes(Encoding.PEM)
    return pem
