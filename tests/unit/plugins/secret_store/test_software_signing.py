# SPDX-License-Identifier: Apache-2.0
"""Keys that sign in Simple Crypto: no row of the database makes one a payload, or a payload one."""
import sqlite3
import uuid
from dataclasses import replace

import pytest

from km.interfaces import (
    CannotOpen,
    NotFound,
    SigningKeyRequest,
    SignRequest,
    StoredSecret,
    StoreRequest,
)
from km.plugins.secret_store import key_file
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin


@pytest.fixture
def store(folder):
    key_file.create(str(folder / 'kek'))
    store = open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                        connection=f'sqlite:///{folder}/soft.sqlite')
    yield store
    store.close()


@pytest.fixture
def rows(folder, store):
    connection = sqlite3.connect(folder / 'soft.sqlite', isolation_level=None)
    yield connection
    connection.close()


def a_key(store, project_id=''):
    request = SigningKeyRequest(
        key_id=str(uuid.uuid4()), project_id=project_id, algorithm='ed25519', bit_length=256)
    return StoredSecret(secret_id=request.key_id, project_id=project_id,
                        reference=store.generate_signing_key(request).reference)


def a_payload(store):
    secret_id = str(uuid.uuid4())
    return StoredSecret(secret_id=secret_id, project_id='', reference=store.store(
        StoreRequest(secret_id=secret_id, project_id='', payload=b'a payload')))


def signed(store, key):
    return store.sign(SignRequest(key=key, scheme='ed25519', data=b'data'))


def test_a_key_whose_row_is_moved_to_the_payloads_is_not_retrieved(store, rows):
    key = a_key(store)
    rows.execute('INSERT INTO blobs SELECT * FROM signing_keys')
    with pytest.raises(CannotOpen):
        store.retrieve(replace(key, reference={'version': key.reference['signing_key']}))


def test_a_payload_whose_row_is_moved_to_the_keys_does_not_sign(store, rows):
    stored = a_payload(store)
    rows.execute('INSERT INTO signing_keys SELECT * FROM blobs')
    with pytest.raises(CannotOpen):
        signed(store, replace(stored, reference={'signing_key': stored.reference['version']}))


def test_two_swapped_keys_do_not_sign(store, rows):
    one, other = a_key(store), a_key(store)
    rows.execute('UPDATE signing_keys SET blob = (SELECT blob FROM signing_keys WHERE secret_id = ?) '
                 'WHERE secret_id = ?', [one.secret_id, other.secret_id])
    with pytest.raises(CannotOpen):
        signed(store, other)


def test_a_key_of_another_project_does_not_sign(store):
    key = a_key(store)
    a_key(store, 'alpha')
    with pytest.raises(CannotOpen):
        signed(store, replace(key, project_id='alpha'))


def test_the_database_holds_no_private_key(store, folder):
    key = a_key(store)
    assert signed(store, key)
    held = b''.join(path.read_bytes() for path in folder.glob('soft.sqlite*'))
    assert bytes.fromhex('302e020100300506032b6570') not in held  # how PKCS#8 of Ed25519 begins


def test_keys_are_sealed_anew_and_sign_as_before(store):
    key = a_key(store)
    before = signed(store, key)
    assert not store.rekey(key)
    store.new_project_key('')
    assert store.rekey(key)
    assert store.destroy_project_keys('', newest=False) == 1
    assert signed(store, key) == before


def test_the_inventory_leaves_keys_out_so_that_reconcile_destroys_none(store):
    a_key(store)
    stored = a_payload(store)
    assert [kept.secret_id for kept in store.kept(after=None, limit=10)] == [stored.secret_id]


@pytest.mark.parametrize('reference', [{'signing_key': 'x'}, {'version': 1}, {'foreign': 1}])
def test_a_reference_of_another_make_is_not_found(store, reference):
    with pytest.raises(NotFound):
        signed(store, replace(a_key(store), reference=reference))


def test_what_seals_a_key_is_not_destroyed_before_that_is_rekeyed(store):
    key = a_key(store, 'alpha')
    store.new_project_key('alpha')
    assert store.destroy_project_keys('alpha', newest=False) == 0
    assert len(signed(store, key)) == 64
    assert store.rekey(key)
    assert store.destroy_project_keys('alpha', newest=False) == 1
    assert len(signed(store, key)) == 64
    assert store.destroy_project_keys('alpha', newest=True) == 1
    with pytest.raises(CannotOpen):
        signed(store, key)
