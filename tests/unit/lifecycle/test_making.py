# SPDX-License-Identifier: Apache-2.0
"""Orders of a store that makes keys itself: it makes what it can, km the rest."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from km.errors import NotSupported, Unavailable
from km.lifecycle import orders, upkeep
from km.testing import MemoryKeyStore

META = {'name': 'disk', 'mode': None, 'expiration': None, 'payload_content_type': None}


class Maker(MemoryKeyStore):
    """A store that counts what it made, and makes nothing of which ``refuses`` has the algorithm."""

    def open(self):
        super().open()
        self.made, self.refuses = [], set()

    def generate(self, request):
        self._note(request)
        return super().generate(request)

    def generate_pair(self, request):
        self._note(request)
        return super().generate_pair(request)

    def _note(self, request):
        if request.algorithm in self.refuses:
            raise NotSupported('Not such.')
        self.made.append((request.algorithm, request.bit_length))


@pytest.fixture
def store():
    made = Maker('memory', None)
    made.open()
    return made


def place(ctx, order_type, algorithm, bit_length, **more):
    orders.place(ctx, order_type=order_type,
                 meta={**META, 'algorithm': algorithm, 'bit_length': bit_length}, **more)


def test_a_key_is_made_where_it_is_kept(ctx, rows, store):
    place(ctx, 'key', 'AES', 256)
    assert store.made == [('aes', 256)]
    assert [len(payload) for payload in store.payloads.values()] == [32]
    assert [row['status'] for row in (*rows('orders'), *rows())] == ['ACTIVE'] * 2


def test_the_halves_of_a_pair_are_the_secrets_of_the_order(ctx, rows, store):
    place(ctx, 'asymmetric', 'ec', 256)
    assert store.made == [('ec', 256)]
    halves = {row['secret_type']: store.payloads[row['id']] for row in rows()}
    private = load_pem_private_key(halves['private'], None)
    assert private.public_key() == load_pem_public_key(halves['public'])


@pytest.mark.parametrize(('order_type', 'algorithm', 'secrets'), [('key', 'aes', 1),
                                                                  ('asymmetric', 'rsa', 2)])
def test_what_the_store_does_not_make_km_makes(ctx, rows, store, order_type, algorithm, secrets):
    store.refuses = {algorithm}
    place(ctx, order_type, algorithm, {'aes': 256, 'rsa': 2048}[algorithm])
    assert store.made == []
    assert [row['status'] for row in rows()] == ['ACTIVE'] * secrets
    assert set(store.payloads) == {row['id'] for row in rows()}


def test_a_pair_whose_private_half_is_to_be_encrypted_km_makes(ctx, rows, store):
    place(ctx, 'asymmetric', 'ec', 256, passphrase='a long one')
    assert store.made == []
    assert b'ENCRYPTED' in {row['secret_type']: store.payloads[row['id']] for row in rows()}['private']


def test_a_store_that_does_not_answer_is_asked_again_later(ctx, rows, store, clock, monkeypatch):
    def down(request):
        raise Unavailable('Not now.')

    with monkeypatch.context() as patched:
        patched.setattr(store, 'generate', down)
        place(ctx, 'key', 'aes', 256)
    assert (rows(), store.payloads) == ([], {})
    clock.forward(hours=1)
    upkeep.sweep(ctx)
    assert store.made == [('aes', 256)]
    assert [row['status'] for row in rows('orders')] == ['ACTIVE']
