# SPDX-License-Identifier: Apache-2.0
"""``EnvelopeStore`` through Simple Crypto: tampering, several master keys, rotation, races."""
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import (
    CannotOpen,
    Misconfigured,
    NotFound,
    StoredSecret,
    StoreRequest,
    Unavailable,
)
from km.plugins.database import PluginDatabase
from km.plugins.secret_store import ciphertexts, key_file, sealing
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin


@pytest.fixture
def opened(folder):
    """Opens a store over the folder's database with the named keys, which are made when new."""
    stores = []

    def open_with(*names, **settings):
        for name in names:
            if not (folder / name).exists():
                key_file.create(str(folder / name))
        store = open_plugin(
            SimpleCrypto, kek_file=[str(folder / name) for name in names],
            connection=f'sqlite:///{folder}/soft.sqlite', **settings)
        stores.append(store)
        return store

    yield open_with
    for store in stores:
        store.close()


@pytest.fixture
def rows(folder):
    """The ciphertext database, to look at and to tamper with."""
    connection = sqlite3.connect(folder / 'soft.sqlite', isolation_level=None)
    yield connection
    connection.close()


def kept(store, payload=b'a payload', project_id='alpha', secret_id=None):
    secret_id = secret_id or str(uuid.uuid4())
    reference = store.store(
        StoreRequest(secret_id=secret_id, project_id=project_id, payload=payload))
    return StoredSecret(secret_id=secret_id, project_id=project_id, reference=reference)


def test_the_database_holds_neither_payload_nor_any_key(opened, folder):
    store = opened('kek')
    kept(store, b'unmistakable payload')
    store.close()
    held = b''.join(path.read_bytes() for path in folder.glob('soft.sqlite*'))
    assert b'unmistakable' not in held
    assert key_file.read(str(folder / 'kek')).key not in held


def test_two_swapped_rows_do_not_open(opened, rows):
    store = opened('kek')
    first, second = kept(store, b'first'), kept(store, b'second')
    one, = rows.execute('SELECT blob FROM blobs WHERE secret_id = ?', [first.secret_id]).fetchone()
    other, = rows.execute('SELECT blob FROM blobs WHERE secret_id = ?', [second.secret_id]).fetchone()
    rows.execute('UPDATE blobs SET blob = ? WHERE secret_id = ?', [other, first.secret_id])
    rows.execute('UPDATE blobs SET blob = ? WHERE secret_id = ?', [one, second.secret_id])
    for stored in (first, second):
        with pytest.raises(CannotOpen):
            store.retrieve(stored)


def test_a_row_put_back_from_an_earlier_attempt_does_not_open(opened, rows):
    store = opened('kek')
    earlier = kept(store, b'old')
    later = kept(store, b'new', secret_id=earlier.secret_id)
    old, new = earlier.reference['version'], later.reference['version']
    rows.execute('UPDATE blobs SET blob = (SELECT blob FROM blobs WHERE version = ?) WHERE version = ?',
                 [old, new])
    with pytest.raises(CannotOpen):
        store.retrieve(later)
    rows.execute('DELETE FROM blobs WHERE version = ?', [new])
    rows.execute('UPDATE blobs SET version = ?', [new])
    with pytest.raises(CannotOpen):
        store.retrieve(later)


def test_a_secret_does_not_open_in_another_project_even_if_the_metadata_say_so(opened):
    store = opened('kek')
    stored = kept(store, project_id='alpha')
    kept(store, project_id='beta')
    with pytest.raises(CannotOpen):
        store.retrieve(StoredSecret(
            secret_id=stored.secret_id, project_id='beta', reference=stored.reference))


def test_a_project_key_moved_to_another_project_does_not_open(opened, rows):
    store = opened('kek')
    stored = kept(store, project_id='alpha')
    kept(store, project_id='beta')
    rows.execute("UPDATE project_keys SET wrapped = (SELECT wrapped FROM project_keys WHERE "
                 "project_id = 'beta') WHERE project_id = 'alpha'")
    store._keys.clear()
    with pytest.raises(CannotOpen):
        store.retrieve(stored)


def test_a_project_key_that_is_gone_is_said_to_be(opened, rows):
    store = opened('kek')
    stored = kept(store)
    rows.execute('DELETE FROM project_keys')
    store._keys.clear()
    with pytest.raises(CannotOpen, match='no such key'):
        store.retrieve(stored)


def test_the_first_key_seals_and_the_others_still_open(opened, rows, folder):
    stored = kept(opened('old'))
    both = opened('new', 'old')
    assert both.retrieve(stored) == b'a payload'
    kept(both, project_id='beta')
    used = dict(rows.execute('SELECT project_id, key_id FROM project_keys'))
    assert used == {name: key_file.read(str(folder / file)).fingerprint
                    for name, file in (('alpha', 'old'), ('beta', 'new'))}


def test_rewrapping_lets_the_old_key_go_and_touches_no_payload(opened, rows):
    old = opened('old')
    secrets = [kept(old, b'%d' % number, f'project {number:03}') for number in range(150)]
    before = rows.execute('SELECT * FROM blobs ORDER BY secret_id').fetchall()
    both = opened('new', 'old')
    assert '150 project keys to rewrap' in both.check()
    assert both.to_rewrap() == 150
    assert [both.rewrap(limit=100) for _ in range(3)] == [100, 50, 0]
    assert both.to_rewrap() == 0
    assert 'rewrap' not in both.check()
    assert rows.execute('SELECT * FROM blobs ORDER BY secret_id').fetchall() == before
    new = opened('new')
    assert [new.retrieve(stored) for stored in secrets] == [b'%d' % n for n in range(150)]


def test_km_does_not_start_with_a_key_that_does_not_fit_and_names_the_one_it_needs(opened, folder):
    kept(opened('kek'))
    wanted = key_file.read(str(folder / 'kek')).fingerprint
    with pytest.raises(Misconfigured, match=wanted):
        opened('other')


def test_km_does_not_start_when_a_sealed_key_was_altered(opened, rows):
    kept(opened('kek'))
    rows.execute('UPDATE project_keys SET wrapped = zeroblob(60)')
    with pytest.raises(Misconfigured, match='does not fit'):
        opened('kek')


def test_one_key_that_was_altered_keeps_the_others_from_nothing(opened, rows, caplog):
    store = opened('kek')
    lost, fine = (kept(store, project_id=project) for project in ('alpha', 'beta'))
    rows.execute("UPDATE project_keys SET wrapped = zeroblob(60) WHERE project_id = 'alpha'")
    again = opened('kek')
    assert 'of project alpha does not open under master key' in caplog.text
    assert again.retrieve(fine) == b'a payload'
    with pytest.raises(CannotOpen):
        again.retrieve(lost)


@pytest.mark.parametrize('url', ['nonsense', 'nonsense://x/y', 'mysql+nodriver://x/y'])
def test_a_connection_that_is_no_url_is_named_without_its_text(folder, url):
    key_file.create(str(folder / 'kek'))
    with pytest.raises(Misconfigured, match=r'\[secret_store:plugin\] connection') as failure:
        open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')], connection=url)
    assert url not in failure.value.sentence


def test_a_database_that_cannot_be_opened_is_unavailable(folder):
    key_file.create(str(folder / 'kek'))
    with pytest.raises(Unavailable, match=r'\[secret_store:plugin\] connection'):
        open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                    connection=f'sqlite:///{folder}/no/such/folder.sqlite')


def test_a_database_that_goes_away_is_unavailable(opened, rows):
    store = opened('kek')
    stored = kept(store)
    rows.execute('DROP TABLE blobs')
    with pytest.raises(Unavailable):
        store.retrieve(stored)


def test_the_first_secrets_of_a_project_share_one_key_however_many_come_at_once(opened, rows):
    stores = [opened('kek') for _ in range(4)]
    with ThreadPoolExecutor(16) as threads:
        secrets = list(threads.map(
            lambda number: kept(stores[number % 4], b'%d' % number), range(32)))
    newest, = rows.execute('SELECT max(generation) FROM project_keys').fetchone()
    blobs = [blob for blob, in rows.execute('SELECT blob FROM blobs')]
    assert sealing.generation_of(blobs[-1]) == newest
    assert [stores[0].retrieve(stored) for stored in secrets] == [b'%d' % n for n in range(32)]


def test_the_cache_of_project_keys_is_bounded(opened):
    store = opened('kek', project_key_cache_size=4)
    secrets = [kept(store, b'%d' % number, f'project {number}') for number in range(20)]
    assert [store.retrieve(stored) for stored in secrets] == [b'%d' % n for n in range(20)]
    assert len(store._keys) <= 4


def test_those_who_store_one_secret_at_once_do_not_get_into_each_others_way(opened):
    store = opened('kek')
    secret_id = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(
            lambda number: kept(store, b'%d' % number, secret_id=secret_id), range(8)))
    assert [store.retrieve(stored) for stored in done] == [b'%d' % number for number in range(8)]
    for stored in done[1:]:
        store.delete(stored)
    assert store.find(secret_id) == done[0].reference


def test_processes_that_start_at_once_on_a_new_database_all_start(folder):
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: PluginDatabase(
            f'sqlite:///{folder}/new.sqlite', ciphertexts.TABLES, name='secret store',
            max_connections=5, seconds=20), range(8)))
    for database in opened:
        assert database.all(ciphertexts.PAYLOADS.find, secret_id='x') == []
        database.close()


def test_nothing_is_found_of_a_secret_whose_row_is_gone(opened, rows):
    store = opened('kek')
    stored = kept(store)
    rows.execute('DELETE FROM blobs')
    with pytest.raises(NotFound):
        store.retrieve(stored)
