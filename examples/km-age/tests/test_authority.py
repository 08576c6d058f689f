# SPDX-License-Identifier: Apache-2.0
"""The certificate authority: what km asks of every one, and what is particular to this one."""
import subprocess
from datetime import UTC, datetime, timedelta

import pyrage
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from km.interfaces import Misconfigured, Rejected, Unavailable
from km.testing import open_authority
from km.testing.certificate_authority import CertificateAuthorityContract
from km.testing.certificate_orders import new_order, obtained, until_issued

from km_age.authority import AgeAuthority


def root(key):
    """A certificate that its own key signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'The root of age')])
    now = datetime.now(UTC)
    return x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
        now - timedelta(days=1)).not_valid_after(now + timedelta(days=30)).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(
        x509.KeyUsage(False, False, False, False, False, True, True, False, False), True).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False).sign(
        key, hashes.SHA256())


@pytest.fixture
def settings(tmp_path, identity):
    """The options of an authority that works."""
    files = {name: tmp_path / name for name in ('identity_file', 'key_file', 'certificate_file')}
    key = ec.generate_private_key(ec.SECP256R1())
    files['identity_file'].write_text(f'{identity}\n')
    files['identity_file'].chmod(0o400)
    files['certificate_file'].write_bytes(root(key).public_bytes(Encoding.PEM))
    files['key_file'].write_bytes(pyrage.encrypt(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), [identity.to_public()]))
    return {**{name: str(path) for name, path in files.items()}, 'domains': ['example'],
            'database': str(tmp_path / 'issued.sqlite')}


@pytest.fixture
def authority(settings):
    authority = open_authority(AgeAuthority, **settings)
    yield authority
    authority.close()


class TestAgeAuthority(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self, authority):
        return authority


@pytest.mark.parametrize('names', [['a.example', 'a.other'], ['notexample'], ['example.other'],
                                   ['a.example.other']])
def test_a_name_of_somebody_else_is_rejected(authority, names):
    with pytest.raises(Rejected, match='in example alone'):
        authority.issue(new_order(authority, names))


def test_openssl_verifies_what_it_issues(authority, settings, tmp_path):
    issued = obtained(authority, new_order(authority, ['a.example', '*.b.example']), until_issued)
    certificate = x509.load_der_x509_certificate(issued.certificate)
    (tmp_path / 'issued.pem').write_bytes(certificate.public_bytes(Encoding.PEM))
    for host in ('a.example', 'c.b.example'):
        subprocess.run(['openssl', 'verify', '-x509_strict', '-purpose', 'sslserver',
                        '-verify_hostname', host, '-CAfile', settings['certificate_file'],
                        tmp_path / 'issued.pem'], check=True, capture_output=True)


def test_a_certificate_ends_no_later_than_its_authority(settings):
    authority = open_authority(AgeAuthority, **settings, days=90)
    issued = obtained(authority, new_order(authority, ['a.example']), until_issued)
    ends = x509.load_der_x509_certificate(issued.certificate).not_valid_after_utc
    assert ends == x509.load_der_x509_certificate(issued.chain[0]).not_valid_after_utc


@pytest.mark.parametrize(('option', 'content'), [
    ('certificate_file', b''), ('certificate_file', b'garbage'), ('key_file', b''),
    ('key_file', b'unmistakable'), ('identity_file', b'unmistakable')])
def test_a_file_that_is_something_else_is_a_mistake_of_the_operator(settings, tmp_path, option, content):
    (tmp_path / option).chmod(0o600)
    (tmp_path / option).write_bytes(content)
    (tmp_path / option).chmod(0o400)
    with pytest.raises(Misconfigured) as failure:
        open_authority(AgeAuthority, **settings)
    assert f'] {option}: ' in failure.value.sentence
    assert 'unmistakable' not in failure.value.sentence


def test_a_certificate_of_another_key_is_one_too(settings, tmp_path):
    other = root(ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / 'certificate_file').write_bytes(other.public_bytes(Encoding.PEM))
    with pytest.raises(Misconfigured, match='not that of the key'):
        open_authority(AgeAuthority, **settings)


def test_a_database_that_does_not_work_is_one_to_try_again(authority, tmp_path):
    order = new_order(authority, ['a.example'])
    (tmp_path / 'issued.sqlite').write_bytes(b'no database' * 1000)
    with pytest.raises(Unavailable):
        authority.issue(order)
