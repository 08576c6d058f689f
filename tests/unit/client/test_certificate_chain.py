# SPDX-License-Identifier: Apache-2.0
"""What is read of certificates on the user's machine."""
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from osc_lib.exceptions import CommandError

from km.client.certificate_chain import described

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(subject, issuer):
    """A certificate, PEM, by the same key for all."""
    subject, issuer = (x509.Name.from_rfc4514_string(name) for name in (subject, issuer))
    return x509.CertificateBuilder(
        subject_name=subject, issuer_name=issuer, public_key=KEY.public_key(), serial_number=1,
        not_valid_before=datetime(2030, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2031, 1, 1, tzinfo=UTC),
    ).sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_each_certificate_says_whose_it_is_who_issued_it_and_when_it_ends():
    pem = certificate('CN=issuing', 'CN=root,O=us') + certificate('CN=root,O=us', 'CN=root,O=us')
    ends = '2031-01-01T00:00:00'
    assert described(pem) == [
        {'subject': 'CN=issuing', 'issuer': 'CN=root,O=us', 'not_after': ends},
        {'subject': 'CN=root,O=us', 'issuer': 'CN=root,O=us', 'not_after': ends}]


@pytest.mark.parametrize('content', [
    b'', b'\xff\x00', b'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    certificate('CN=a', 'CN=b')[:-60]])
def test_what_is_no_certificate_is_told_and_not_shown(content):
    with pytest.raises(CommandError) as told:
        described(content)
    assert str(told.value) == 'What the key manager keeps is not certificates in PEM.'
