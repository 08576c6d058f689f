# SPDX-License-Identifier: Apache-2.0
"""Simple Crypto on real database servers: its keys are replaced while in use; a server that stops
answering is given up in time, and used again when it is back."""
import contextlib
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from km.interfaces import SigningKeyRequest, StoredSecret, StoreRequest, Unavailable
from km.plugins.secret_store import key_file
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin
from km.testing.key_rotation import MasterKeyRotationContract, ProjectKeyRotationContract
from km.testing.signing_store import SigningStoreContract

SECONDS = 1
#: A connection is tried for two seconds at the least, a statement waits for a connection before.
AT_THE_MOST = 6


@pytest.fixture(params=['postgresql', 'mariadb'])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def opened(server, folder):
    """Opens stores on one new database of the server."""
    key_file.create(str(folder / 'kek'))
    url, stores = server.create_database(f'km_{uuid.uuid4().hex}'), []

    def open_one(**settings):
        stores.append(open_plugin(
            SimpleCrypto, kek_file=[str(folder / 'kek')], connection=url, **settings))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


class TestMasterKeys(MasterKeyRotationContract):
    @pytest.fixture
    def store(self, opened):
        return opened()


class TestProjectKeys(ProjectKeyRotationContract):
    @pytest.fixture
    def store(self, opened):
        return opened()


class TestSigning(SigningStoreContract):
    @pytest.fixture
    def store(self, opened):
        return opened()

    def test_what_seals_a_key_is_not_destroyed_with_old_ones(self, store):
        store.generate_signing_key(SigningKeyRequest(
            key_id=str(uuid.uuid4()), project_id='alpha', algorithm='ed25519', bit_length=256))
        store.new_project_key('alpha')
        assert store.destroy_project_keys('alpha', newest=False) == 0


def kept(store, payload=b'a payload'):
    secret_id = str(uuid.uuid4())
    return StoredSecret(secret_id=secret_id, project_id='alpha', reference=store.store(
        StoreRequest(secret_id=secret_id, project_id='alpha', payload=payload)))


def test_the_first_secrets_and_new_keys_of_a_project_come_at_once_in_several_processes(opened):
    stores = [opened() for _ in range(3)]

    def work(number):
        stored = kept(stores[number % 3], b'%d' % number)
        if number % 4 == 0:
            stores[number % 3].new_project_key('alpha')
        return stored

    with ThreadPoolExecutor(12) as threads:
        secrets = list(threads.map(work, range(48)))
    for stored in secrets:
        stores[0].rekey(stored)
    stores[1].destroy_project_keys('alpha', newest=False)
    assert [stores[2].retrieve(stored) for stored in secrets] == [b'%d' % n for n in range(48)]


def processes_of(server):
    """The ids of a server's processes, those of its connections last."""
    with server.connect() as connection, connection.cursor() as cursor:
        if isinstance(connection, psycopg.Connection):
            folder = cursor.execute('SHOW data_directory').fetchone()[0]
            main = int(Path(folder, 'postmaster.pid').read_text().split()[0])
            cursor.execute('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()')
            return [main, *(pid for pid, in cursor.fetchall())]
        cursor.execute('SELECT @@datadir, @@pid_file')
        return [int(Path(*cursor.fetchone()).read_text())]


@contextlib.contextmanager
def stopped(server):
    """A server whose processes are stopped while the block lasts: it is there, and does not answer."""
    processes = processes_of(server)
    try:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def unavailable(work):
    """Whether it fails as it should, and the seconds it takes to."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        work()
    return time.monotonic() - began


def test_a_server_that_stops_answering_is_given_up_in_time_and_used_again_without_a_restart(
        opened, server):
    store = opened(database_timeout_seconds=SECONDS, max_connections=2)
    stored = kept(store)
    with stopped(server), ThreadPoolExecutor(6) as threads:
        calls = [lambda: store.retrieve(stored), lambda: kept(store), store.check] * 2
        assert max(threads.map(unavailable, calls)) < AT_THE_MOST
        assert unavailable(lambda: opened(database_timeout_seconds=SECONDS)) < AT_THE_MOST
    assert store.retrieve(stored) == b'a payload'
    assert store.retrieve(kept(store, b'another')) == b'another'


def test_a_server_that_hangs_up_is_used_again(opened, server):
    store = opened()
    stored = kept(store)
    server.hang_up()
    time.sleep(0.1)
    assert store.retrieve(stored) == b'a payload'


def test_a_statement_that_takes_too_long_is_ended(opened, server):
    store = opened(database_timeout_seconds=SECONDS)
    with store._database.engine.connect() as connection:
        sleep = 'SELECT pg_sleep(20)' if connection.dialect.name == 'postgresql' else 'SELECT sleep(20)'
        assert unavailable(lambda: connection.exec_driver_sql(sleep)) < AT_THE_MOST
    assert store.retrieve(kept(store)) == b'a payload'
