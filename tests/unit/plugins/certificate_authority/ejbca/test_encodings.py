# SPDX-License-Identifier: Apache-2.0
"""How EJBCA writes certificates."""
import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from km.plugins.certificate_authority.ejbca import encodings
from tests.functional.certificates.ejbca_orders import in_days


@pytest.fixture(scope='module')
def certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    return (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
            .public_key(key.public_key()).serial_number(0xABCDE).not_valid_before(in_days(-1))
            .not_valid_after(in_days(1)).sign(key, SHA256()))


@pytest.mark.parametrize('times', [1, 2, 3])
def test_a_certificate_may_be_in_base64_more_than_once(certificate, times):
    content = certificate.public_bytes(Encoding.DER)
    for _ in range(times):
        content = base64.encodebytes(content)
    assert encodings.certificate(content.decode()) == certificate


@pytest.mark.parametrize('wrong', ['', 'MAA', 'MAA=', 'AAAA', '!', 'é', None, 5, []])
def test_what_is_no_certificate_is_told_so(wrong):
    with pytest.raises(ValueError, match=r'.'):
        encodings.certificate(wrong)


def test_base64_is_not_undone_for_ever(certificate):
    content = certificate.public_bytes(Encoding.DER)
    for _ in range(4):
        content = base64.b64encode(content)
    with pytest.raises(ValueError, match='no base64 of DER'):
        encodings.der(content.decode())


def test_a_serial_number_has_whole_bytes(certificate):
    assert encodings.serial(certificate) == '0ABCDE'


def test_a_file_without_certificates_has_none(certificate):
    assert encodings.certificates(certificate.public_bytes(Encoding.PEM) * 2) == (certificate,) * 2
    with pytest.raises(ValueError, match=r'.'):
        encodings.certificates(b'no certificate')
