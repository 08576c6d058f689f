# SPDX-License-Identifier: Apache-2.0
"""The format of a blob: its bytes are pinned, and nothing but the right three things opens it."""
import itertools
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from km.interfaces import CannotOpen
from km.plugins.secret_store import sealing

VECTORS = json.loads((Path(__file__).parent / 'vectors.json').read_text())
KEY = bytes(range(32))
BOUND = sealing.binding('project', 'secret', 1)


def sealed(payload=b'a payload', **changed):
    return sealing.seal(payload, **{
        'project_key': KEY, 'generation': 3, 'bound_to': BOUND, **changed})


def fixed(*chunks):
    """Randomness that is known: each call gives the next chunk."""
    supply = iter(chunks)
    return lambda size: bytes.fromhex(next(supply))[:size]


@pytest.mark.parametrize('vector', VECTORS, ids=lambda vector: vector['what'])
def test_the_bytes_of_version_1_stay_what_they_were(vector):
    bound_to = sealing.binding(
        vector['project_id'], vector['secret_id'], vector['version'], *vector.get('kind', ()))
    key, payload = bytes.fromhex(vector['project_key']), bytes.fromhex(vector['payload'])
    blob = sealing.seal(
        payload, project_key=key, generation=vector['generation'], bound_to=bound_to,
        random=fixed(vector['key'], vector['wrap_nonce'], vector['nonce']))
    assert blob.hex() == vector['blob']
    assert sealing.unseal(blob, project_key=key, bound_to=bound_to) == payload
    assert sealing.generation_of(blob) == vector['generation']


def test_a_vector_opens_with_plain_aes_gcm_as_the_format_says():
    vector = VECTORS[0]
    blob = bytes.fromhex(vector['blob'])
    bound_to = b''.join(
        len(part).to_bytes(2, 'big') + part for part in (
            vector['project_id'].encode(), vector['secret_id'].encode(),
            str(vector['version']).encode()))
    generation = vector['generation'].to_bytes(4, 'big')
    assert blob[:9] == b'KMB1' + b'\x01' + generation
    key = AESGCM(bytes.fromhex(vector['project_key'])).decrypt(
        blob[9:21], blob[21:69], b'km-key' + b'\x01' + generation + bound_to)
    payload = AESGCM(key).decrypt(
        blob[69:81], blob[81:], b'km-payload' + b'\x01' + bytes(4) + bound_to)
    assert payload.hex() == vector['payload']


def test_what_is_of_another_kind_does_not_open():
    blob = sealed(bound_to=sealing.binding('project', 'secret', 1, 'signing-key'))
    with pytest.raises(CannotOpen):
        sealing.unseal(blob, project_key=KEY, bound_to=BOUND)


def test_no_two_blobs_of_one_payload_are_alike():
    assert sealed() != sealed()


def test_a_bit_flipped_anywhere_keeps_a_blob_shut():
    blob = sealed()
    for position, bit in itertools.product(range(len(blob)), (0, 7)):
        changed = bytearray(blob)
        changed[position] ^= 1 << bit
        with pytest.raises(CannotOpen):
            sealing.unseal(bytes(changed), project_key=KEY, bound_to=BOUND)


def test_a_blob_cut_anywhere_stays_shut():
    blob = sealed()
    for length in range(len(blob)):
        with pytest.raises(CannotOpen):
            sealing.unseal(blob[:length], project_key=KEY, bound_to=BOUND)


@pytest.mark.parametrize('other', [
    ('project2', 'secret', 1), ('project', 'secret2', 1), ('project', 'secret', 2),
    ('projec', 'tsecret', 1), ('', 'projectsecret', 1)])
def test_a_blob_opens_for_its_own_project_secret_and_version_only(other):
    with pytest.raises(CannotOpen):
        sealing.unseal(sealed(), project_key=KEY, bound_to=sealing.binding(*other))


def test_another_project_key_does_not_open_it():
    with pytest.raises(CannotOpen):
        sealing.unseal(sealed(), project_key=bytes(32), bound_to=BOUND)


def test_what_is_no_blob_is_said_to_be_none():
    with pytest.raises(CannotOpen, match='format'):
        sealing.generation_of(b'X' * 200)
