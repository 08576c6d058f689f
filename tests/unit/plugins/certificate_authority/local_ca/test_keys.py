# SPDX-License-Identifier: Apache-2.0
"""The keys: no key without a row, and none left behind."""
import pytest
from cryptography.exceptions import InvalidSignature

from km.interfaces import NotFound, Unavailable
from km.plugins.certificate_authority.local_ca.keys import (
    Keys,
    require_signature,
    signature,
)
from km.plugins.certificate_authority.local_ca.tables import KEYS, TABLES
from km.plugins.database import PluginDatabase
from tests.unit.plugins.certificate_authority.local_ca.opened import DAY, NOW, killed_at_each_step


@pytest.fixture
def database(folder):
    made = PluginDatabase(f'sqlite:///{folder}/keys.sqlite', TABLES, name='test', max_connections=2,
                          seconds=5)
    yield made
    made.close()


def keys_of(database, stores, *, algorithm='ec', bits=256, time=NOW):
    return Keys(database, stores, store='soft', algorithm=algorithm, bits=bits, now=lambda: time)


@pytest.fixture
def keys(database, store):
    return keys_of(database, {'soft': store})


@pytest.mark.parametrize(('algorithm', 'bits'), [
    ('ec', 256), ('ec', 384), ('ec', 521), ('rsa', 2048), ('ed25519', 256)])
def test_a_key_signs_what_its_public_half_verifies(database, store, algorithm, bits):
    keys = keys_of(database, {'soft': store}, algorithm=algorithm, bits=bits)
    private = keys.private(keys.make())
    signed = signature(private, b'data')
    require_signature(private.public_key(), signed, b'data')
    with pytest.raises(InvalidSignature):
        require_signature(private.public_key(), signed, b'other data')


def test_whatever_becomes_of_who_makes_a_key_it_can_be_destroyed(database, keys, store, life):
    for _ in killed_at_each_step(life, lambda: None, lambda _: keys.make()):
        pass
    made = [row.id for row in database.all(KEYS.select())]
    assert len(made) > 2
    assert any(store.find(key_id) for key_id in made)
    keys_of(database, {'soft': store}, time=NOW + DAY).destroy_abandoned()
    assert database.all(KEYS.select()) == []
    assert not any(store.find(key_id) for key_id in made)


def test_whoever_is_killed_while_destroying_is_followed_by_one_who_destroys(keys, store, life):
    for key_id in killed_at_each_step(life, keys.make, keys.destroy):
        keys.destroy(key_id)
        keys.destroy(key_id)
        assert store.find(key_id) is None
        with pytest.raises(NotFound):
            keys.private(key_id)


def test_a_key_that_was_only_begun_signs_nothing(database, keys, store):
    database.run(KEYS.insert(), id='begun', store='soft', created_at=NOW)
    for key_id in ('begun', 'nobody', None):
        with pytest.raises(NotFound):
            keys.private(key_id)


def test_a_store_that_is_not_enabled_any_more_is_told_by_its_name(database, keys, store):
    key_id = keys.make()
    other = keys_of(database, {'other': store})
    with pytest.raises(Unavailable, match="'soft'"):
        other.private(key_id)
    with pytest.raises(Unavailable, match="'soft'"):
        other.destroy(key_id)
