# SPDX-License-Identifier: Apache-2.0
"""What becomes of payloads in a KMIP store: the table in ``kmip_objects``, row by row, and back."""
import uuid
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from kmip.core.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
)

from km.interfaces import CannotOpen, StoreRequest
from km.plugins.secret_store import kmip_objects
from km.plugins.secret_store.kmip_objects import MADE, PEM, RAW
from tests.functional.certificates import Authority

RSA = rsa.generate_private_key(65537, 2048)
KEYS = {'rsa': RSA, 'ec': ec.generate_private_key(ec.SECP384R1()), 'dsa': dsa.generate_private_key(1024),
        'ed25519': ed25519.Ed25519PrivateKey.generate()}
PLAIN = NoEncryption()


def managed(payload, **what):
    return kmip_objects.managed(StoreRequest(
        secret_id=str(uuid.uuid4()), project_id='alpha', payload=payload, **what))


def back(made):
    return kmip_objects.payload(made.object_type, made.value, made.form)


def private(name, encoding, form=PrivateFormat.PKCS8, encryption=PLAIN):
    return KEYS[name].private_bytes(encoding, form, encryption)


def public(name, encoding, form=PublicFormat.SubjectPublicKeyInfo):
    return KEYS[name].public_key().public_bytes(encoding, form)


@pytest.mark.parametrize(('algorithm', 'size', 'kmip'), [
    ('aes', 16, CryptographicAlgorithm.AES), ('AES', 32, CryptographicAlgorithm.AES),
    ('3DES', 24, CryptographicAlgorithm.TRIPLE_DES), ('desede', 24, CryptographicAlgorithm.TRIPLE_DES),
    ('hmacsha256', 7, CryptographicAlgorithm.HMAC_SHA256),
    ('HMAC-SHA512', 64, CryptographicAlgorithm.HMAC_SHA512)])
def test_a_symmetric_key_is_one_of_its_algorithm_and_length(algorithm, size, kmip):
    made = managed(bytes(size), secret_type='symmetric', algorithm=algorithm)
    assert (made.object_type, made.form) == (ObjectType.SYMMETRIC_KEY, RAW)
    assert made.value.key_block.cryptographic_algorithm.value is kmip
    assert made.value.key_block.cryptographic_length.value == size * 8
    assert back(made) == bytes(size)


@pytest.mark.parametrize(('algorithm', 'size', 'bit_length'), [
    ('aes', 17, None), ('aes', 16, 256), ('3des', 16, None), ('rot13', 16, None), (None, 16, None)])
def test_a_symmetric_key_that_does_not_fit_is_opaque(algorithm, size, bit_length):
    made = managed(bytes(size), secret_type='symmetric', algorithm=algorithm, bit_length=bit_length)
    assert made.object_type is ObjectType.OPAQUE_DATA
    assert back(made) == bytes(size)


@pytest.mark.parametrize(('payload', 'key_format', 'form'), [
    (private('rsa', Encoding.PEM), KeyFormatType.PKCS_8, PEM),
    (private('rsa', Encoding.DER), KeyFormatType.PKCS_8, RAW),
    (private('rsa', Encoding.PEM, PrivateFormat.TraditionalOpenSSL), KeyFormatType.PKCS_1, PEM),
    (private('rsa', Encoding.DER, PrivateFormat.TraditionalOpenSSL), KeyFormatType.PKCS_1, RAW),
    (private('ec', Encoding.PEM), KeyFormatType.PKCS_8, PEM),
    (private('dsa', Encoding.DER), KeyFormatType.PKCS_8, RAW)])
def test_a_private_key_is_one_of_its_format(payload, key_format, form):
    made = managed(payload, secret_type='private', algorithm='anything', bit_length=1)
    assert (made.object_type, made.form) == (ObjectType.PRIVATE_KEY, form)
    assert made.value.key_block.key_format_type.value is key_format
    assert made.value.key_block.key_value.key_material.value[:1] == b'\x30'
    assert back(made) == payload


@pytest.mark.parametrize(('payload', 'key_format', 'form'), [
    (public('rsa', Encoding.PEM), KeyFormatType.X_509, PEM),
    (public('rsa', Encoding.DER, PublicFormat.PKCS1), KeyFormatType.PKCS_1, RAW),
    (public('rsa', Encoding.PEM, PublicFormat.PKCS1), KeyFormatType.PKCS_1, PEM),
    (public('ec', Encoding.DER), KeyFormatType.X_509, RAW),
    (public('dsa', Encoding.PEM), KeyFormatType.X_509, PEM)])
def test_a_public_key_is_one_of_its_format(payload, key_format, form):
    made = managed(payload, secret_type='public')
    assert (made.object_type, made.form) == (ObjectType.PUBLIC_KEY, form)
    assert made.value.key_block.key_format_type.value is key_format
    assert back(made) == payload


@pytest.mark.parametrize(('secret_type', 'payload'), [
    ('private', private('rsa', Encoding.PEM)[:-1]),
    ('private', b'\n' + private('rsa', Encoding.PEM)),
    ('private', private('rsa', Encoding.PEM).replace(b'\n', b'\r\n')),
    ('private', private('rsa', Encoding.DER) + b'\x00'),
    ('private', private('rsa', Encoding.PEM, encryption=BestAvailableEncryption(b'x'))),
    ('private', private('rsa', Encoding.DER, encryption=BestAvailableEncryption(b'x'))),
    ('private', private('ec', Encoding.PEM, PrivateFormat.TraditionalOpenSSL)),
    ('private', private('ed25519', Encoding.PEM)),
    ('private', b'-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----\n'),
    ('private', public('rsa', Encoding.PEM)),
    ('public', public('ec', Encoding.PEM) + b'# whose it is\n'),
    ('public', public('ed25519', Encoding.DER)),
    ('public', b'ssh-rsa AAAA'),
    ('certificate', b'-----BEGIN CERTIFICATE-----\n'),
    ('certificate', b'\xff'),
    ('opaque', private('rsa', Encoding.PEM)),
    ('a type of tomorrow', b'x')])
def test_what_would_not_come_back_byte_for_byte_is_opaque_as_it_is(secret_type, payload):
    made = managed(payload, secret_type=secret_type)
    assert (made.object_type, made.form) == (ObjectType.OPAQUE_DATA, RAW)
    assert made.value.opaque_data_value.value == payload
    assert back(made) == payload


def test_a_certificate_is_one_in_der_or_pem_and_a_chain_is_opaque(tmp_path):
    pem = Authority(tmp_path).ca_file.read_bytes()
    made = managed(pem, secret_type='certificate')
    assert (made.object_type, made.form) == (ObjectType.CERTIFICATE, PEM)
    assert back(made) == pem
    der = made.value.certificate_value.value
    assert managed(der, secret_type='certificate')[2:] == (RAW, made.masks)
    assert back(managed(der, secret_type='certificate')) == der
    assert managed(pem + pem, secret_type='certificate').object_type is ObjectType.OPAQUE_DATA


def test_a_passphrase_is_secret_data_whatever_it_is():
    for payload in (b'\x00', 'pässword'.encode(), private('rsa', Encoding.PEM)):
        made = managed(payload, secret_type='passphrase')
        assert made.object_type is ObjectType.SECRET_DATA
        assert back(made) == payload


@pytest.mark.parametrize('key_format', [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_that_the_server_made_is_given_as_pkcs8_whatever_its_format(key_format):
    made = managed(private('rsa', Encoding.DER, key_format), secret_type='private')
    assert kmip_objects.payload(ObjectType.PRIVATE_KEY, made.value, MADE) == private('rsa', Encoding.PEM)


@pytest.mark.parametrize('key_format', [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
def test_a_public_key_that_the_server_made_is_given_as_subject_public_key_info(key_format):
    made = managed(public('rsa', Encoding.DER, key_format), secret_type='public')
    assert kmip_objects.payload(ObjectType.PUBLIC_KEY, made.value, MADE) == public('rsa', Encoding.PEM)


def test_an_object_that_is_another_than_km_gave_does_not_open():
    opaque = managed(b'x')
    with pytest.raises(CannotOpen, match='another form'):
        kmip_objects.payload(opaque.object_type, opaque.value, PEM)
    with pytest.raises(CannotOpen, match='cannot read'):
        kmip_objects.payload(ObjectType.PRIVATE_KEY, managed(
            bytes(16), secret_type='symmetric', algorithm='aes').value, MADE)
    with pytest.raises(CannotOpen, match='cannot read'):
        kmip_objects.payload(ObjectType.SPLIT_KEY, SimpleNamespace(), RAW)


def test_a_wrapped_key_does_not_open():
    made = managed(bytes(16), secret_type='symmetric', algorithm='aes')
    made.value.key_block.key_wrapping_data = 'wrapped'
    with pytest.raises(CannotOpen, match='cannot read'):
        back(made)
