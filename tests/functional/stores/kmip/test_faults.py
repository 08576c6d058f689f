# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between km and a KMIP server: each has its sentence, and is over when it is over."""
import contextlib
import itertools
import os
import sqlite3
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from kmip.core.enums import Operation
from kmip.core.messages import payloads

from km.interfaces import CannotOpen, NotFound, Rejected, StoredSecret, StoreRequest, Unavailable
from km.plugins.secret_store import kmip_connection, kmip_failures
from km.plugins.secret_store.kmip import Kmip
from km.plugins.secret_store.kmip_connection import Deadline
from km.testing import open_plugin
from km.testing.application import Client, a_deployment
from tests.functional.certificates import Authority
from tests.functional.servers import HOST, reserved_port

QUICK = {'timeout_seconds': 0.6, 'connect_timeout_seconds': 0.3, 'failures_before_pause': 1000}


def kept(store, payload=b'a payload', project_id='alpha', **what):
    secret_id = what.pop('secret_id', None) or str(uuid.uuid4())
    reference = store.store(StoreRequest(
        secret_id=secret_id, project_id=project_id, payload=payload, **what))
    return StoredSecret(secret_id=secret_id, project_id=project_id, reference=reference)


def fails(sentence, call, *arguments, within):
    """Insist that a call says that it is not possible now, in time."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as failure:
        call(*arguments)
    assert time.monotonic() - began < within
    assert failure.value.sentence.startswith(sentence)


def test_a_server_that_is_down_is_told_at_once_and_used_again_when_it_is_back(server, opened, caplog):
    store = opened(**QUICK)
    stored = kept(store)
    with server.down():
        for call in (store.check, lambda: store.retrieve(stored), lambda: kept(store),
                     lambda: store.find(stored.secret_id), lambda: store.delete(stored)):
            fails(kmip_failures.NOTHING_LISTENS, call, within=0.3)
        assert f'{HOST}:{server.port}: {kmip_failures.NOTHING_LISTENS}' in caplog.text
    assert store.retrieve(stored) == b'a payload'
    assert store.check() == 'asking by KMIP 1.4; the server speaks 2.0, 1.4, 1.3, 1.2, 1.1, 1.0'


def test_a_store_can_be_opened_again_after_its_server_was_down(server):
    options = server.options(**QUICK)
    with server.down(), pytest.raises(Unavailable, match='nothing listens'):
        open_plugin(Kmip, **options)
    open_plugin(Kmip, **options).close()


def test_a_frozen_server_costs_a_call_its_deadline_and_no_more(server, opened):
    store = opened(**QUICK)
    stored = kept(store)
    with server.frozen():
        fails(kmip_failures.NO_ANSWER, store.retrieve, stored, within=1)
        fails(kmip_failures.NO_HANDSHAKE, store.retrieve, stored, within=1)
    assert store.retrieve(stored) == b'a payload'


def test_no_answer_that_comes_late_is_taken_for_anothers(server, opened):
    store = opened(connections=1, **QUICK)
    secrets = [kept(store, b'payload %d' % number) for number in range(5)]
    for late, wanted in itertools.pairwise(secrets):
        with server.frozen():
            fails(kmip_failures.NO_ANSWER, store.retrieve, late, within=1)
        assert store.retrieve(wanted) == b'payload %d' % secrets.index(wanted)


def test_even_on_one_connection_a_late_answer_is_known_for_what_it_is(server, opened):
    store = opened()
    first, second = kept(store, b'first'), kept(store, b'second')
    connection = store._connect((HOST, server.port), Deadline(5))
    with server.frozen(), pytest.raises(kmip_failures.Broken, match='in time'):
        connection.ask([get(first)], Deadline(0.2))
    with pytest.raises(kmip_failures.Broken, match='what it was not asked'):
        connection.ask([get(second)], Deadline(5))
    connection.close()


def get(stored):
    return Operation.GET, payloads.GetRequestPayload(unique_identifier=stored.reference['id'])


def test_a_server_that_is_killed_in_the_middle_of_a_call_is_told_before_the_deadline(server, opened):
    store = opened(timeout_seconds=30)
    stored = kept(store)
    for call, sentence in ((lambda: kept(store), kmip_failures.HUNG_UP),
                           # What does no harm twice was tried on a new connection, in vain.
                           (lambda: store.retrieve(stored), 'The KMIP server')):
        with server.frozen(), ThreadPoolExecutor(1) as thread:
            cut_off = thread.submit(fails, sentence, call, within=5)
            time.sleep(0.3)
            server.kill()
            cut_off.result()
        server.start()
        assert store.retrieve(stored) == b'a payload'


def test_connections_that_a_restart_cut_are_made_anew_unseen(server, opened, caplog):
    store = opened()
    stored = kept(store)
    server.kill()
    server.start()
    again = kept(store)
    server.kill()
    server.start()
    assert store.retrieve(again) == store.retrieve(stored) == b'a payload'
    assert 'KMIP' not in caplog.text


def test_a_connection_that_was_idle_too_long_is_not_used(opened):
    store = opened(idle_seconds=0)
    stored = kept(store)
    used, = store._pool._idle
    assert store.retrieve(stored) == b'a payload'
    assert store._pool._idle[0] is not used


@pytest.mark.parametrize(('certificate', 'sentence'), [
    ('expired', kmip_failures.EXPIRED), ('elsewhere', kmip_failures.OTHER_HOST),
    ('foreign', kmip_failures.UNKNOWN_CA), ('usage', kmip_failures.BAD_CERTIFICATE)])
def test_a_server_with_a_wrong_certificate_is_told_nothing(server, opened, tmp_path, certificate,
                                                           sentence):
    store = opened(**QUICK)
    stored = kept(store)
    foreign = Authority(tmp_path)
    foreign.server('foreign')
    for name in ('foreign.pem', 'foreign.key'):
        (server.home / name).write_bytes((tmp_path / name).read_bytes())
    server.authority.server('expired', expired=True)
    server.authority.server('elsewhere', host='127.0.0.9')
    server.authority.client('usage')
    server.kill()
    server.start(certificate)
    try:
        fails(sentence, store.retrieve, stored, within=1)
        fails(sentence, lambda: kept(store), within=1)
    finally:
        server.kill()
        server.start()
    assert store.retrieve(stored) == b'a payload'


def test_a_server_that_refuses_our_certificate_is_told_apart(server, opened, tmp_path):
    Authority(tmp_path).client('km')
    server.authority.client('late', expired=True)
    for options in ({'certificate_file': f'{tmp_path}/km.pem', 'key_file': f'{tmp_path}/km.key'},
                    {'client': 'late'}, {'client': 'server'}):
        fails(kmip_failures.WE_ARE_REFUSED, lambda options=options: opened(**options), within=1)


def test_a_renewed_certificate_is_used_without_a_restart_and_one_that_is_lost_is_told(server, opened):
    server.authority.client('renewed', expired=True)
    options = server.options('renewed', **QUICK)
    server.authority.client('renewed')
    store = opened('renewed', idle_seconds=0, **QUICK)
    stored = kept(store)
    server.authority.client('renewed', expired=True)
    fails(kmip_failures.WE_ARE_REFUSED, store.retrieve, stored, within=1)
    os.unlink(options['certificate_file'])
    fails(kmip_failures.NO_FILES, store.retrieve, stored, within=1)
    server.authority.client('renewed')
    assert store.retrieve(stored) == b'a payload'


def test_an_object_that_is_gone_is_not_found_and_one_of_another_client_is_told_apart(server, opened):
    server.authority.client('stranger')
    store, stranger = opened(), opened('stranger')
    stored = kept(store)
    fails('The KMIP server does not let km have this object', stranger.retrieve, stored, within=1)
    fails('The KMIP server does not let km have this object', stranger.delete, stored, within=1)
    assert store.retrieve(stored) == b'a payload'
    store.delete(stored)
    with pytest.raises(NotFound):
        store.retrieve(stored)


def test_a_full_server_takes_nothing_more_and_gives_what_it_has(server, opened):
    store = opened()
    stored = kept(store)
    with sqlite3.connect(server.database) as database:
        database.execute('CREATE TRIGGER full BEFORE INSERT ON managed_objects '
                         "BEGIN SELECT RAISE(FAIL, 'full'); END")
    fails('The KMIP server failed (GENERAL_FAILURE).', lambda: kept(store), within=1)
    assert store.retrieve(stored) == b'a payload'
    with sqlite3.connect(server.database) as database:
        database.execute('DROP TRIGGER full')
    kept(store)


def test_a_server_that_cannot_look_up_an_object_is_told(server, opened):
    store = opened()
    with sqlite3.connect(server.database) as database:
        database.execute('ALTER TABLE managed_objects RENAME TO lost')
    fails('The KMIP server failed (GENERAL_FAILURE).', store.check, within=1)
    with sqlite3.connect(server.database) as database:
        database.execute('ALTER TABLE lost RENAME TO managed_objects')
    assert store.check()


def test_a_long_payload_is_refused_before_it_is_sent(opened):
    store = opened(max_payload_bytes=100)
    assert store.retrieve(kept(store, bytes(100))) == bytes(100)
    with pytest.raises(Rejected, match=r'longer than this store keeps \(100 bytes\)'):
        kept(store, bytes(101))


def test_swapped_references_do_not_open_and_destroy_nothing(opened, caplog):
    store = opened()
    first, second = kept(store, b'first'), kept(store, b'second')
    for swapped in (StoredSecret(secret_id=first.secret_id, project_id='alpha',
                                 reference=second.reference),
                    StoredSecret(secret_id=first.secret_id, project_id='beta',
                                 reference=first.reference)):
        with pytest.raises(CannotOpen, match='of another secret'):
            store.retrieve(swapped)
    store.delete(StoredSecret(
        secret_id=first.secret_id, project_id='alpha', reference=second.reference))
    assert 'is not that of secret' in caplog.text
    assert (store.retrieve(first), store.retrieve(second)) == (b'first', b'second')
    store.delete(StoredSecret(secret_id=first.secret_id, project_id='', reference=first.reference))
    assert store.find(first.secret_id) is None


def test_the_next_server_is_asked_when_one_does_not_take_connections(server, opened, caplog):
    with reserved_port() as nobodys:
        store = opened(hosts=[f'{HOST}:{nobodys}', f'{HOST}:{server.port}'], idle_seconds=0)
        stored = kept(store)
        assert store.retrieve(stored) == b'a payload'
    # Once: the one that answered is asked first from then on.
    assert caplog.text.count(f'{HOST}:{nobodys}: {kmip_failures.NOTHING_LISTENS}') == 1


def test_when_all_connections_are_in_use_a_call_waits_for_one_until_its_deadline(server, opened):
    store = opened(connections=1, **QUICK | {'timeout_seconds': 0.8})
    stored = kept(store)
    with server.frozen(), ThreadPoolExecutor(2) as threads:
        first = threads.submit(fails, kmip_failures.NO_ANSWER, store.retrieve, stored, within=1.5)
        time.sleep(0.1)
        store._pool._timeout = 0.2
        fails('All 1 connections to the KMIP server are in use.', store.retrieve, stored, within=0.5)
        first.result()


def test_after_failures_in_a_row_calls_fail_at_once_until_one_succeeds(server, opened):
    store = opened(**QUICK | {'failures_before_pause': 2})
    stored = kept(store)
    with server.frozen():
        fails(kmip_failures.NO_ANSWER, store.retrieve, stored, within=1)
        fails(kmip_failures.NO_HANDSHAKE, store.retrieve, stored, within=1)
        for _ in range(20):
            fails(f'{kmip_failures.NO_HANDSHAKE} It is asked again in', store.check, within=0.05)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable):
            assert store.retrieve(stored) == b'a payload'
            break
        time.sleep(0.05)
    assert store.check()


def test_many_threads_get_their_own_through_few_connections_while_the_server_is_killed(server, opened):
    store = opened(connections=3, failures_before_pause=1000)
    secrets = [kept(store, b'payload %d' % number) for number in range(24)]
    stop = threading.Event()

    def read(number):
        right = 0
        while not stop.is_set():
            with contextlib.suppress(Unavailable):
                assert store.retrieve(secrets[number]) == b'payload %d' % number
                right += 1
        return right

    with ThreadPoolExecutor(8) as threads:
        reading = [threads.submit(read, number) for number in range(8)]
        time.sleep(0.5)
        with server.down():
            time.sleep(0.2)
        time.sleep(0.5)
        stop.set()
        assert all(done.result() for done in reading)
    assert len(store._pool._idle) <= 3


def test_a_process_that_was_forked_has_connections_of_its_own(opened):
    store = opened(connections=1)
    ours, theirs = kept(store, b'ours'), kept(store, b'theirs')
    with store._pool._slot(Deadline(1)):  # as if another thread was at work while we fork
        child = os.fork()
        if not child:
            right = all(store.retrieve(theirs) == b'theirs' for _ in range(50))
            os._exit(0 if right else 1)
    assert all(store.retrieve(ours) == b'ours' for _ in range(50))
    assert os.waitpid(child, 0)[1] == 0


def test_the_kernel_asks_whether_the_server_is_still_there(opened):
    connection, = opened()._pool._idle
    for level, option, value in kmip_connection._KEEP_ALIVE:
        assert connection._socket.getsockopt(level, option) == value


def test_a_closed_store_has_no_connections_left(opened):
    store = opened()
    kept(store)
    store.close()
    assert not store._pool._idle
    kept(store)
    assert not store._pool._idle


def test_a_whole_km_answers_503_while_its_kmip_server_is_down_and_leaves_nothing_dangling(
        server, folder, clock):
    house = a_deployment(folder, {
        'secret_store': {'enabled': 'keys', 'default': 'keys'},
        'secret_store:keys': {'plugin': 'kmip', **server.options(
            object_group='a whole km', failures_before_pause=1000)}}, clock=clock)
    client = Client(house.application)
    path = client.secret('kept by a key server', secret_type='passphrase')
    with server.down():
        assert client.get(f'{path}/payload').status_int == 503
        assert client.post('/v1/secrets', {
            'payload': 'x', 'payload_content_type': 'text/plain'}).status_int == 503
    assert client.get(f'{path}/payload').text == 'kept by a key server'
    store = house.registry.secret_stores['keys'].guest
    assert len(store.kept(after=None, limit=10)) == 1
    assert client.delete(path).status_int == 204
    assert store.kept(after=None, limit=10) == []
    house.close()
