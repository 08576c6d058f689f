# SPDX-License-Identifier: Apache-2.0
"""Payloads of a Barbican database: which back end has them, and what becomes of the odd ones."""
import base64

import pytest
from cryptography.fernet import Fernet

from km.barbican import simple_crypto, tables
from km.barbican.payloads import Payloads
from km.errors import CannotOpen, Misconfigured

SIMPLE = 'barbican.plugin.crypto.simple_crypto.SimpleCryptoPlugin'
STORE = {'plugin_name': 'barbican.plugin.store_crypto.StoreCryptoAdapterPlugin',
         'content_type': 'text/plain'}
MASTER, PROJECT = Fernet.generate_key(), Fernet.generate_key()


@pytest.fixture
def payloads(database):
    payloads = Payloads(database, {simple_crypto.PLUGIN: simple_crypto.SimpleCrypto([MASTER])})
    yield payloads
    payloads.close()


def add_key(old, plugin=SIMPLE, master=MASTER, **more):
    wrapped = Fernet(master).encrypt(PROJECT)
    return old.add(tables.KEK_DATA, **{'plugin_name': plugin, 'plugin_meta': wrapped, **more})


def sealed(payload):
    return base64.b64encode(Fernet(PROJECT).encrypt(payload))


def add_payload(old, key, ciphertext=None, **more):
    old.add(tables.ENCRYPTED_DATA, secret_id='s', kek_id=key, content_type='text/plain',
            cypher_text=ciphertext or sealed(b'a payload'), **more)


def read(payloads, store=STORE):
    return payloads.page(['s']).of('s', store)


def in_postgresql(value):
    """Bytes that psycopg2 put into a column of text."""
    return f'\\x{value.hex()}'


@pytest.mark.parametrize('form', [bytes, bytes.decode, in_postgresql])
def test_a_payload_is_read_in_whichever_form_its_database_has_it(old, payloads, form):
    key = add_key(old, plugin_meta=form(Fernet(MASTER).encrypt(PROJECT)))
    add_payload(old, key, form(sealed(b'a payload')))
    assert read(payloads) == (b'a payload', 'text/plain')


@pytest.mark.parametrize(('said', 'taken'), [
    ('application/pkcs8', 'application/pkcs8'), ('application/aes', 'application/octet-stream'),
    (None, 'text/plain')])
def test_its_type_is_the_one_that_barbican_gives_it_out_as(old, payloads, said, taken):
    add_payload(old, add_key(old))
    assert read(payloads, {**STORE, 'content_type': said})[1] == taken


def test_a_secret_may_have_no_payload(payloads):
    assert read(payloads, {}) == (None, None)


@pytest.mark.parametrize(('plugin', 'named'), [
    ('barbican.plugin.vault_secret_store.VaultSecretStore', 'VaultSecretStore'),
    ('barbican.plugin.kmip_secret_store.KMIPSecretStore', 'KMIPSecretStore')])
def test_a_payload_that_another_back_end_keeps_is_said_to_be_there(payloads, plugin, named):
    with pytest.raises(CannotOpen, match=f'its payload is with {named}, which km was given no way'):
        read(payloads, {'plugin_name': plugin})


def test_one_that_a_crypto_plugin_of_another_kind_sealed_likewise(old, payloads):
    add_payload(old, add_key(old, plugin='somebody.else.Crypto'))
    with pytest.raises(CannotOpen, match='its payload is with Crypto'):
        read(payloads)


def test_odd_rows_do_not_open(old, payloads):
    key = add_key(old)
    add_payload(old, key, sealed(b''))
    with pytest.raises(CannotOpen, match='is empty'):
        read(payloads)
    add_payload(old, key)
    with pytest.raises(CannotOpen, match='more than one'):
        read(payloads)
    for change, said in (("cypher_text = 'a'", 'no base64'), ("kek_id = 'x'", 'has no key')):
        old.run('DELETE FROM encrypted_data')
        add_payload(old, key)
        old.run(f'UPDATE encrypted_data SET {change}')
        with pytest.raises(CannotOpen, match=said):
            read(payloads)


def test_the_keys_of_projects_are_tried_first(old, payloads):
    assert payloads.check() == (0, 0)
    add_key(old, master=Fernet.generate_key())
    with pytest.raises(Misconfigured, match="None of Barbican's 1 project keys"):
        payloads.check()
    add_key(old), add_key(old, deleted=True), add_key(old, plugin_meta=None), add_key(old, plugin='a.B')
    assert payloads.check() == (1, 1)


def test_without_any_master_key_nothing_is_begun(old, database):
    add_key(old)
    with pytest.raises(Misconfigured, match='give them with --kek'):
        Payloads(database, {}).check()
