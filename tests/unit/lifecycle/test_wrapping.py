# SPDX-License-Identifier: Apache-2.0
"""What clients wrap, with other people's libraries and with openssl, and what does not open."""
import base64
import json
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwcrypto import jwe, jwk

from km.errors import Invalid
from km.lifecycle.wrapping import OAEP, PKCS1, opened

CLOSED = 'The payload does not open with the transport key.'
HEADER = {'alg': 'RSA-OAEP-256', 'enc': 'A256GCM'}
PAYLOAD = b'a payload'


@pytest.fixture(scope='module')
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def open_it(key):
    def open_it(wrapped, *paddings, **more):
        named = {'key_id': 'the key', 'project_id': 'alpha', **more}
        return opened(wrapped, key, paddings=paddings or (OAEP,), **named)
    return open_it


@pytest.fixture
def jwe_of(key):
    """A compact JWE, made by a JOSE library."""
    def wrap(payload=PAYLOAD, *, by=key, **header):
        made = jwe.JWE(payload, json.dumps({**HEADER, **header}))
        made.allowed_algs = ['RSA-OAEP', 'RSA-OAEP-256', 'RSA1_5', 'A256GCM', 'A128GCM', 'A256CBC-HS512']
        made.add_recipient(jwk.JWK.from_pyca(by.public_key()))
        return made.serialize(compact=True).encode()
    return wrap


def by_openssl(key, folder, *options):
    """RSA ciphertext as the command makes it."""
    (folder / 'key.pem').write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return subprocess.run(
        ['openssl', 'pkeyutl', '-encrypt', '-pubin', '-inkey', folder / 'key.pem',
         *(word for option in options for word in ('-pkeyopt', option))],
        input=PAYLOAD, check=True, capture_output=True).stdout


def refusal(open_it, *arguments, **more):
    with pytest.raises(Invalid) as caught:
        open_it(*arguments, **more)
    return caught.value.sentence


@pytest.mark.parametrize('options', [
    ('rsa_padding_mode:oaep',), ('rsa_padding_mode:oaep', 'rsa_oaep_md:sha256')])
def test_oaep_of_openssl_opens(key, tmp_path, open_it, options):
    assert open_it(by_openssl(key, tmp_path, *options)) == PAYLOAD


def test_the_older_padding_opens_if_it_is_asked_for_and_not_otherwise(key, tmp_path, open_it):
    wrapped = by_openssl(key, tmp_path)
    assert open_it(wrapped, PKCS1) == PAYLOAD
    assert open_it(wrapped, OAEP, PKCS1) == PAYLOAD
    assert refusal(open_it, wrapped) == CLOSED


def test_what_is_wrong_with_the_older_padding_is_not_told(key, open_it):
    """It opens as bytes that depend on ciphertext and key alone: there is no padding oracle."""
    wrapped = bytearray(key.public_key().encrypt(PAYLOAD, padding.PKCS1v15()))
    wrapped[-1] ^= 1
    wrapped = bytes(wrapped)
    found = open_it(wrapped, PKCS1)
    assert found != PAYLOAD
    assert open_it(wrapped, PKCS1) == found


@pytest.mark.parametrize('wrapped', [b'', b'x', bytes(255), bytes(256), bytes(257), b'\xff' * 256])
def test_bytes_that_are_no_ciphertext_do_not_open(open_it, wrapped):
    assert refusal(open_it, wrapped) == CLOSED


def test_every_flipped_byte_of_a_block_is_answered_alike(key, open_it):
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = key.public_key().encrypt(PAYLOAD, scheme)
    for position in range(0, len(wrapped), 16):
        flipped = bytearray(wrapped)
        flipped[position] ^= 1
        assert refusal(open_it, bytes(flipped)) == CLOSED


@pytest.mark.parametrize('size', [0, 1, 400, 14000])
def test_a_jwe_of_a_jose_library_opens(jwe_of, open_it, size):
    assert open_it(jwe_of(b'x' * size)) == b'x' * size


def test_a_jwe_may_say_which_key_and_which_project_it_is_for(jwe_of, open_it):
    wrapped = jwe_of(kid='the key', project_id='alpha')
    assert open_it(wrapped) == PAYLOAD
    assert "'project_id'" in refusal(open_it, wrapped, project_id='beta')
    assert "'kid'" in refusal(open_it, wrapped, key_id='another')
    assert "'project_id'" in refusal(open_it, jwe_of(project_id=None))


@pytest.mark.parametrize('header', [
    {'alg': 'RSA-OAEP'}, {'alg': 'RSA1_5'}, {'enc': 'A128GCM'}, {'enc': 'A256CBC-HS512'}])
def test_a_jwe_of_other_algorithms_is_refused(jwe_of, open_it, header):
    assert "alg 'RSA-OAEP-256' and enc 'A256GCM'" in refusal(open_it, jwe_of(**header))


def test_a_compressed_jwe_is_refused(jwe_of, open_it):
    assert "'zip'" in refusal(open_it, jwe_of(zip='DEF'))


@pytest.mark.parametrize('header', [
    b'[]', b'{', b'"x"', b'\xff', b'{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}'])
def test_a_jwe_whose_header_is_none_does_not_open(jwe_of, open_it, header):
    encoded = base64.urlsafe_b64encode(header).rstrip(b'=')
    assert refusal(open_it, b'.'.join([encoded, *jwe_of().split(b'.')[1:]])) == CLOSED


def test_an_extension_that_must_be_understood_is_refused(jwe_of, open_it):
    header = base64.urlsafe_b64encode(json.dumps({**HEADER, 'crit': ['x'], 'x': 1}).encode())
    told = refusal(open_it, b'.'.join([header.rstrip(b'='), *jwe_of().split(b'.')[1:]]))
    assert "'crit'" in told


@pytest.mark.parametrize('part', range(5))
def test_a_jwe_that_was_changed_anywhere_does_not_open(jwe_of, open_it, part):
    parts = jwe_of(kid='the key', padding='x').split(b'.')
    changed = bytearray(base64.urlsafe_b64decode(parts[part] + b'=='))
    changed[-4] ^= 1
    parts[part] = base64.urlsafe_b64encode(changed).rstrip(b'=')
    assert refusal(open_it, b'.'.join(parts)) == CLOSED


@pytest.mark.parametrize('part', [1, 2, 3, 4])
def test_a_jwe_with_a_part_cut_short_does_not_open(jwe_of, open_it, part):
    parts = jwe_of().split(b'.')
    for kept in (1, 2, 5):
        cut = b'.'.join([*parts[:part], parts[part][:kept], *parts[part + 1:]])
        assert refusal(open_it, cut) == CLOSED


def test_a_jwe_for_another_key_does_not_open(jwe_of, open_it):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refusal(open_it, jwe_of(by=stranger)) == CLOSED


@pytest.mark.parametrize('size', [0, 16, 24, 31, 33, 64])
def test_a_jwe_whose_key_has_another_length_does_not_open(key, jwe_of, open_it, size):
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    parts = jwe_of().split(b'.')
    parts[1] = base64.urlsafe_b64encode(key.public_key().encrypt(bytes(size), scheme)).rstrip(b'=')
    assert refusal(open_it, b'.'.join(parts)) == CLOSED
