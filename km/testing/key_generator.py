# SPDX-License-Identifier: Apache-2.0
"""What km asks of a store that makes keys, as tests.

Subclass it beside ``SecretStoreContract``, with the same fixture ``store``.
"""
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from km.interfaces import KeyRequest, NotFound, NotSupported, PairRequest, StoredSecret

_SYMMETRIC = [('aes', 128), ('aes', 192), ('aes', 256), ('hmacsha1', 160), ('hmacsha256', 256),
              ('hmacsha384', 384), ('hmacsha512', 512), ('3des', 192)]
_PAIRS = [('rsa', 2048), ('rsa', 3072), ('ec', 256), ('ec', 384), ('ec', 521), ('ed25519', 256)]
_KINDS = {'rsa': rsa.RSAPrivateKey, 'ec': ec.EllipticCurvePrivateKey,
          'ed25519': ed25519.Ed25519PrivateKey}


class KeyGeneratorContract:
    """Subclasses give a fixture ``store``: an open, empty store that is a ``KeyGenerator`` too."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named store')

    @pytest.mark.parametrize(('algorithm', 'bit_length'), _SYMMETRIC)
    def test_a_key_has_its_length_and_no_two_are_alike(self, store, algorithm, bit_length):
        one, other = (store.retrieve(_key(store, algorithm, bit_length)) for _ in range(2))
        assert len(one) == len(other) == bit_length // 8
        assert one != other

    @pytest.mark.parametrize(('algorithm', 'bit_length'), _PAIRS)
    def test_the_halves_of_a_pair_are_pem_and_belong_together(self, store, algorithm, bit_length):
        private_half, public_half = _pair(store, algorithm, bit_length)
        private = load_pem_private_key(store.retrieve(private_half), None)
        public = load_pem_public_key(store.retrieve(public_half))
        assert store.retrieve(private_half).startswith(b'-----BEGIN PRIVATE KEY-----\n')
        assert store.retrieve(public_half).startswith(b'-----BEGIN PUBLIC KEY-----\n')
        assert isinstance(private, _KINDS[algorithm])
        assert getattr(private, 'key_size', 256) == bit_length
        assert private.public_key() == public

    @pytest.mark.parametrize('made', ['a key', 'a pair'])
    def test_what_was_made_is_found_and_deleted_as_any_secret_is(self, store, made):
        several = (_some(_SYMMETRIC, lambda *of: [_key(store, *of)]) if made == 'a key' else
                   _some(_PAIRS[::-1], lambda *of: _pair(store, *of)))
        for stored in several:
            assert store.find(stored.secret_id) == stored.reference
        for stored in several:
            store.delete(stored)
            store.delete(stored)
            assert store.find(stored.secret_id) is None
            with pytest.raises(NotFound):
                store.retrieve(stored)

    def test_one_half_is_deleted_without_the_other(self, store):
        private, public = _some(_PAIRS[::-1], lambda *of: _pair(store, *of))
        store.delete(private)
        assert load_pem_public_key(store.retrieve(public))

    def test_it_makes_at_least_one_kind_of_key_or_pair(self, store):
        kinds = 0
        for make, several in ((_key, _SYMMETRIC), (_pair, _PAIRS[::-1])):
            try:
                _some(several, lambda *of, make=make: make(store, *of))
                kinds += 1
            except pytest.skip.Exception:
                continue
        assert kinds

    def test_what_nobody_makes_is_not_supported_and_leaves_nothing(self, store):
        ids = [str(uuid.uuid4()) for _ in range(3)]
        with pytest.raises(NotSupported):
            store.generate(KeyRequest(
                secret_id=ids[0], project_id='a project', algorithm='rot', bit_length=104))
        with pytest.raises(NotSupported):
            store.generate_pair(PairRequest(private_id=ids[1], public_id=ids[2], bit_length=104,
                                            project_id='a project', algorithm='rot'))
        assert [store.find(secret_id) for secret_id in ids] == [None] * 3


def _key(store: Any, algorithm: str, bit_length: int) -> StoredSecret:
    secret_id = str(uuid.uuid4())
    try:
        reference = store.generate(KeyRequest(
            secret_id=secret_id, project_id='a project', algorithm=algorithm, bit_length=bit_length))
    except NotSupported:
        pytest.skip(f'it makes no {algorithm} keys of {bit_length} bits')
    return StoredSecret(secret_id=secret_id, project_id='a project', reference=reference)


def _pair(store: Any, algorithm: str, bit_length: int) -> tuple[StoredSecret, StoredSecret]:
    """The private half and the public one."""
    ids = str(uuid.uuid4()), str(uuid.uuid4())
    try:
        made = store.generate_pair(PairRequest(
            private_id=ids[0], public_id=ids[1], project_id='a project', algorithm=algorithm,
            bit_length=bit_length))
    except NotSupported:
        pytest.skip(f'it makes no {algorithm} pairs of {bit_length} bits')
    return (StoredSecret(secret_id=ids[0], project_id='a project', reference=made.private),
            StoredSecret(secret_id=ids[1], project_id='a project', reference=made.public))


def _some(kinds: list[tuple[str, int]], make: Any) -> Any:
    """What ``make`` makes of the first kind that the store supports; skipped if it supports none."""
    for kind in kinds:
        try:
            return make(*kind)
        except pytest.skip.Exception:
            continue
    return pytest.skip('it makes none of these')
