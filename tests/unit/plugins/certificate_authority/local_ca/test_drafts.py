# SPDX-License-Identifier: Apache-2.0
"""Certificates without their signature, and with it."""
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from km.plugins.certificate_authority.local_ca import building, drafts
from km.plugins.certificate_authority.local_ca.keys import signature
from tests.unit.plugins.certificate_authority.local_ca.opened import NOW, loaded

NAME = x509.Name.from_rfc4514_string('CN=Somebody')


@pytest.mark.parametrize('key', [
    ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP521R1()),
    rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()],
    ids=['p256', 'p521', 'rsa', 'ed25519'])
def test_a_draft_is_signed_later_and_says_the_same(key):
    public = key.public_key()
    builder = building.by_itself(building.valid(building.authority(
        NAME, public, path_length=0), NOW, NOW + timedelta(days=1)), NAME, public).serial_number(7)
    drafted = drafts.draft(builder, public)
    to_sign = drafts.to_be_signed(drafted)
    with pytest.raises((InvalidSignature, ValueError)):
        loaded(drafted).verify_directly_issued_by(loaded(drafted))
    made = loaded(drafts.signed(drafted, signature(key, to_sign)))
    made.verify_directly_issued_by(made)
    assert made.tbs_certificate_bytes == to_sign
    assert made.serial_number == 7


@pytest.mark.parametrize(('length', 'header'), [
    (0, '3000'), (127, '307f'), (128, '308180'), (255, '3081ff'), (256, '30820100'),
    (65536, '3083010000')])
def test_lengths_are_as_der_has_them(length, header):
    assert drafts.der(0x30, bytes(length)) == bytes.fromhex(header) + bytes(length)
