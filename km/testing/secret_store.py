# SPDX-License-Identifier: Apache-2.0
"""What km asks of every secret store, as tests.

Subclass it in a test module of yours and give it a store::

    class TestVault(SecretStoreContract):
        @pytest.fixture
        def store(self):
            return open_plugin(Vault, address='127.0.0.1:8200')
"""
import json
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from km.interfaces import (
    CannotOpen,
    Inventory,
    Kept,
    KmError,
    NotFound,
    Reference,
    SecretStore,
    StoredSecret,
    StoreRequest,
)

_MAX_REFERENCE_BYTES = 4096
_TEXT = 'kept: "äöü"\n\n'.encode()
_PAYLOADS = {
    'one byte': b'\x00', 'an AES key': bytes(range(32)), 'text with outer white space': b' \t x \n',
    'UTF-8': _TEXT, 'every byte': bytes(range(256)), 'the default limit': os.urandom(20000),
}


class SecretStoreContract:
    """Subclasses give a fixture ``store``: an open, empty store."""

    @pytest.fixture
    def store(self) -> Iterator[SecretStore]:
        raise NotImplementedError('give your contract suite a fixture named store')

    @pytest.mark.parametrize('payload', _PAYLOADS.values(), ids=_PAYLOADS.keys())
    def test_a_payload_comes_back_byte_for_byte(self, store, payload):
        assert store.retrieve(_kept(store, payload)) == payload

    def test_a_reference_is_a_small_flat_json_object_without_the_payload(self, store):
        reference = _kept(store, b'unmistakable').reference
        assert all(isinstance(value, str | int) for value in reference.values())
        assert json.loads(json.dumps(dict(reference))) == reference
        assert len(json.dumps(dict(reference))) <= _MAX_REFERENCE_BYTES
        assert 'unmistakable' not in json.dumps(dict(reference))

    def test_deleting_twice_is_no_error_and_the_payload_is_gone(self, store):
        stored = _kept(store, b'short lived')
        store.delete(stored)
        store.delete(stored)
        with pytest.raises(NotFound):
            store.retrieve(stored)

    def test_deleting_one_secret_leaves_the_others(self, store):
        first, second = _kept(store, b'first'), _kept(store, b'second')
        store.delete(first)
        assert store.retrieve(second) == b'second'

    def test_find_names_what_is_kept_and_nothing_else(self, store):
        stored = _kept(store, b'lost and found')
        assert store.find(stored.secret_id) == stored.reference
        store.delete(stored)
        assert store.find(stored.secret_id) is None
        assert store.find(str(uuid.uuid4())) is None

    def test_an_attempt_that_was_cut_off_is_found_and_destroyed_by_itself(self, store):
        cut_off = _kept(store, b'cut off')
        complete = _kept(store, b'complete', secret_id=cut_off.secret_id)
        assert cut_off.reference != complete.reference
        store.delete(cut_off)
        assert store.retrieve(complete) == b'complete'
        assert store.find(cut_off.secret_id) == complete.reference
        with pytest.raises(NotFound):
            store.retrieve(cut_off)

    def test_a_store_that_keeps_an_inventory_tells_all_of_it_page_by_page(self, store: Any):
        if not issubclass(type(store), Inventory):
            pytest.skip('it is no Inventory')
        here = [_kept(store, b'here') for _ in range(5)]
        again = _kept(store, b'a second attempt', secret_id=here[0].secret_id)
        store.delete(here.pop())
        told: list[Kept] = []
        while page := store.kept(after=told[-1] if told else None, limit=2):
            assert len(page) <= 2
            told += page
        assert len(told) == len(here) + 1
        for stored in (*here, again):
            assert Kept(secret_id=stored.secret_id, reference=stored.reference) in told

    def test_a_reference_of_another_make_is_an_error_km_knows(self, store):
        stored = _kept(store, b'here')
        with pytest.raises((NotFound, CannotOpen)):
            store.retrieve(_other(stored, secret_id=str(uuid.uuid4()), reference={'foreign': 1}))

    def test_no_error_tells_the_payload(self, store):
        stored = _kept(store, b'unmistakable')
        store.delete(stored)
        with pytest.raises(KmError) as failure:
            store.retrieve(stored)
        assert 'unmistakable' not in f'{failure.value!r} {failure.value}'

    def test_threads_do_not_get_into_each_other(self, store):
        def there_and_back(number: int) -> bool:
            payload = os.urandom(64) + str(number).encode()
            stored = _kept(store, payload, project_id=f'project {number % 3}')
            same = store.retrieve(stored) == payload
            store.delete(stored)
            return same and store.find(stored.secret_id) is None

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(there_and_back, range(64)))

    def test_check_says_in_one_line_how_it_is(self, store):
        said = store.check()
        assert said and '\n' not in said


def _kept(store: SecretStore, payload: bytes, *, secret_id: str | None = None,
          project_id: str = 'a project') -> StoredSecret:
    secret_id = secret_id or str(uuid.uuid4())
    reference = store.store(
        StoreRequest(secret_id=secret_id, project_id=project_id, payload=payload))
    return StoredSecret(secret_id=secret_id, project_id=project_id, reference=reference)


def _other(stored: StoredSecret, *, secret_id: str,
           reference: Reference | None = None) -> StoredSecret:
    return StoredSecret(secret_id=secret_id, project_id=stored.project_id,
                        reference=reference or stored.reference)
