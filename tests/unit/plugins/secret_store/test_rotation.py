# SPDX-License-Identifier: Apache-2.0
"""Keys of projects replaced and destroyed while processes use them; what is cut off is repeated."""
import itertools
import sqlite3
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import CannotOpen, NotFound, StoredSecret, StoreRequest, Unavailable
from km.plugins.database import PluginDatabase
from km.plugins.secret_store import key_file, sealing
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin


@pytest.fixture
def processes(folder):
    """Two stores on one database with one key file, as two processes have them."""
    key_file.create(str(folder / 'kek'))
    stores = [open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                          connection=f'sqlite:///{folder}/soft.sqlite') for _ in range(2)]
    yield stores
    for store in stores:
        store.close()


@pytest.fixture
def rows(folder, processes):
    """The ciphertext database, to look at and to tamper with."""
    connection = sqlite3.connect(folder / 'soft.sqlite', isolation_level=None)
    yield connection
    connection.close()


def kept(store, payload=b'a payload', project_id='alpha'):
    secret_id = str(uuid.uuid4())
    reference = store.store(
        StoreRequest(secret_id=secret_id, project_id=project_id, payload=payload))
    return StoredSecret(secret_id=secret_id, project_id=project_id, reference=reference)


def generation(rows, stored):
    blob, = rows.execute(
        'SELECT blob FROM blobs WHERE secret_id = ?', [stored.secret_id]).fetchone()
    return sealing.generation_of(blob)


def generations(rows, project_id='alpha'):
    return [number for number, in rows.execute(
        'SELECT generation FROM project_keys WHERE project_id = ? ORDER BY 1', [project_id])]


def test_a_new_project_key_seals_in_every_process_whatever_it_remembers(processes, rows):
    here, there = processes
    before = kept(there)
    here.new_project_key('alpha')
    after = kept(there)
    assert generations(rows) == [generation(rows, before), generation(rows, after)]
    assert [here.retrieve(stored) for stored in (before, after)] == [b'a payload'] * 2


def test_a_project_without_keys_gets_no_new_one(processes, rows):
    processes[0].new_project_key('alpha')
    assert generations(rows) == []


def test_new_project_keys_made_at_once_are_all_there_or_one_and_the_newest_seals(processes, rows):
    stored = kept(processes[0])
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: processes[number % 2].new_project_key('alpha'), range(8)))
    numbers = generations(rows)
    assert 2 <= len(numbers) <= 9
    assert generation(rows, kept(processes[1])) == numbers[-1]
    assert processes[1].rekey(stored)
    assert generation(rows, stored) == numbers[-1]


def test_rekeying_changes_the_bytes_and_nothing_else(processes, rows):
    here, there = processes
    stored = kept(here)
    before = rows.execute('SELECT secret_id, version FROM blobs').fetchall()
    assert not here.rekey(stored)
    there.new_project_key('alpha')
    assert here.rekey(stored)
    assert not here.rekey(stored)
    assert not there.rekey(stored)
    assert rows.execute('SELECT secret_id, version FROM blobs').fetchall() == before
    assert there.retrieve(stored) == here.retrieve(stored) == b'a payload'


def test_rekeying_what_is_gone_does_nothing(processes):
    stored = kept(processes[0])
    processes[1].delete(stored)
    assert not processes[0].rekey(stored)


def test_what_does_not_open_is_not_sealed_anew(processes, rows):
    here, _ = processes
    one, other = kept(here), kept(here)
    rows.execute('UPDATE blobs SET blob = (SELECT blob FROM blobs WHERE secret_id = ?) '
                 'WHERE secret_id = ?', [one.secret_id, other.secret_id])
    here.new_project_key('alpha')
    with pytest.raises(CannotOpen):
        here.rekey(other)
    rows.execute('DELETE FROM project_keys')
    with pytest.raises(CannotOpen, match='no key'):
        here.rekey(one)


def test_of_two_who_rekey_at_once_none_destroys_what_the_other_needs(processes):
    here, there = processes
    stored = kept(here)
    here.new_project_key('alpha')
    assert here.rekey(stored)
    there.new_project_key('alpha')
    assert here.destroy_project_keys('alpha', newest=False) == 1
    assert here.retrieve(stored) == b'a payload'
    assert there.rekey(stored)
    assert there.destroy_project_keys('alpha', newest=False) == 1
    assert here.retrieve(stored) == there.retrieve(stored) == b'a payload'


def test_old_keys_are_destroyed_and_the_newest_if_so_said(processes, rows):
    here, there = processes
    stored, left, other = kept(here), kept(here), kept(here, project_id='beta')
    here.new_project_key('alpha')
    assert here.rekey(stored)
    assert here.destroy_project_keys('alpha', newest=False) == 1
    assert here.destroy_project_keys('alpha', newest=False) == 0
    assert there.retrieve(stored) == b'a payload'
    with pytest.raises(CannotOpen):
        here.retrieve(left)
    assert here.destroy_project_keys('alpha', newest=True) == 1
    assert here.destroy_project_keys('alpha', newest=True) == 0
    with pytest.raises(CannotOpen):
        here.retrieve(stored)
    assert here.retrieve(other) == b'a payload'


def test_a_process_that_remembers_destroyed_keys_keeps_what_can_be_read(processes, rows):
    here, there = processes
    kept(there)
    here.destroy_project_keys('alpha', newest=True)
    kept(here)
    stored = kept(there)
    assert here.retrieve(stored) == b'a payload'
    assert len(generations(rows)) == 1


def test_a_project_whose_key_is_always_replaced_is_told_to_come_again(processes, monkeypatch):
    here, _ = processes
    kept(here)
    newest = here._keys.newest

    def one_is_faster(project_id):
        known = newest(project_id)
        processes[1].new_project_key(project_id)
        return known

    monkeypatch.setattr(here._keys, 'newest', one_is_faster)
    with pytest.raises(Unavailable, match='being replaced'):
        kept(here)


def test_a_reader_between_two_steps_of_a_rekey_reads_again(processes, monkeypatch):
    here, there = processes
    stored = kept(here)
    here.close()
    here.open()  # it remembers no key
    one = PluginDatabase.one
    steps = itertools.count()

    def rekeyed_meanwhile(database, *asked, **values):
        row = one(database, *asked, **values)
        if database is here._database and next(steps) == 0:
            there.new_project_key('alpha')
            assert there.rekey(stored)
            assert there.destroy_project_keys('alpha', newest=False) == 1
        return row

    monkeypatch.setattr(PluginDatabase, 'one', rekeyed_meanwhile)
    assert here.retrieve(stored) == b'a payload'


def test_of_two_who_rekey_at_once_none_goes_back_to_an_older_key(processes, rows, monkeypatch):
    here, there = processes
    stored = kept(here)
    here.new_project_key('alpha')
    look_up = here._keys.look_up_newest

    def overtaken(project_id):
        known = look_up(project_id)
        monkeypatch.setattr(here._keys, 'look_up_newest', look_up)
        there.new_project_key(project_id)
        assert there.rekey(stored)
        return known

    monkeypatch.setattr(here._keys, 'look_up_newest', overtaken)
    assert not here.rekey(stored)
    assert generation(rows, stored) == generations(rows)[-1]


class Killed(BaseException):
    """The end of a process."""


def test_a_rotation_that_is_killed_before_or_after_any_statement_is_repeated(processes, monkeypatch):
    here, there = processes
    secrets = [kept(here, b'%d' % number) for number in range(3)]
    done = {name: getattr(PluginDatabase, name) for name in ('one', 'all', 'run')}

    def rotation():
        here.new_project_key('alpha')
        for stored in secrets:
            here.rekey(stored)
        here.destroy_project_keys('alpha', newest=False)

    def kill_at(step, *, after):
        steps = itertools.count()

        def dying(name):
            def call(database, *asked, **values):
                die = database is here._database and next(steps) == step
                if die and not after:
                    raise Killed
                answer = done[name](database, *asked, **values)
                if die:
                    raise Killed
                return answer
            return call

        for name in done:
            monkeypatch.setattr(PluginDatabase, name, dying(name))

    completed = 0
    for step, after in itertools.product(range(20), (False, True)):
        kill_at(step, after=after)
        try:
            rotation()
            completed += 1
        except Killed:
            pass
        for name, function in done.items():
            monkeypatch.setattr(PluginDatabase, name, function)
        assert [there.retrieve(stored) for stored in secrets] == [b'0', b'1', b'2']
        rotation()
        assert [there.retrieve(stored) for stored in secrets] == [b'0', b'1', b'2']
    assert 0 < completed < 20


def test_threads_read_and_write_in_both_processes_while_keys_are_replaced_and_destroyed(processes):
    here, there = processes
    secrets = [kept(here, b'%d' % number) for number in range(10)]
    end = threading.Event()

    def read(number):
        reads = 0
        while not end.is_set():
            reads += processes[number % 2].retrieve(secrets[reads % 10]) == b'%d' % (reads % 10)
        return reads

    def write():
        while not end.is_set():
            stored = kept(there, b'passing')
            there.delete(stored)

    with ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(read, number) for number in range(4)]
        writer = threads.submit(write)
        for _ in range(5):
            here.new_project_key('alpha')
            assert sum(there.rekey(stored) for stored in secrets) == 10
            assert here.destroy_project_keys('alpha', newest=False) >= 1
        end.set()
        assert all(reader.result() for reader in readers)
        writer.result()


def test_a_deleted_secret_is_not_found_while_it_is_sealed_anew(processes):
    here, there = processes
    stored = kept(here)
    here.new_project_key('alpha')
    there.delete(stored)
    assert not here.rekey(stored)
    with pytest.raises(NotFound):
        here.retrieve(stored)
