# SPDX-License-Identifier: Apache-2.0
"""API and workers apart: what each may, what forged messages get, and what happens when one is away."""
import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from oslo_utils import timeutils

from km.conf.load import load
from km.db.models import METADATA
from km.errors import Forbidden, Unauthenticated
from km.identity import Identity
from km.lifecycle import orders, secrets
from km.plugins.secret_store import key_file
from km.registry import Registry
from km.worker import envelope
from km.worker.client import Worker
from km.worker.seal import CALL, Seal
from km.worker.wire import NearEnd
from tests.functional.km_server import ends_cleanly
from tests.functional.split_server import CALL_TIMEOUT_SECONDS, split

WITHIN_SECONDS = CALL_TIMEOUT_SECONDS + 5
RECOVERS_SECONDS = 40


@pytest.fixture(scope='module')
def apart(tmp_path_factory, postgresql, keystone, rabbitmq):
    """A split km of this module's own."""
    folder = tmp_path_factory.mktemp('apart')
    folder.chmod(0o700)
    with split(folder, postgresql, keystone, rabbitmq, name='km_apart') as km:
        yield km
        km.metadata.dispose()
        assert ends_cleanly(km.process), km.log_tail()
    assert not km.leaks()


@pytest.fixture(scope='module')
def host(apart):
    """What somebody has who has the API's host: its transport and its seal key."""
    registry = Registry(load(files=[str(apart.api_conf)]), works=False)
    registry.open()
    key = key_file.read(str(apart.folder / 'seal_key'), key_file.SEAL_KEY)
    yield registry.transport, Seal({key.fingerprint: key.key})
    registry.close()


@pytest.fixture
def forged(host):
    """Sends what it likes, well sealed."""
    transport, seal = host
    return Worker(NearEnd(transport, seal=seal, clock=timeutils.utcnow))


def until(ready, seconds=RECOVERS_SECONDS):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, 'it did not happen'
        time.sleep(0.2)


def processes(leader):
    """The processes of a group but its leader."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            state, _parent, group = stat.read_text().rpartition(')')[2].split()[:3]
            if int(group) == leader and state != 'Z' and int(stat.parent.name) != leader:
                found.append(int(stat.parent.name))
    return found


def test_the_account_of_the_api_can_write_nothing(apart):
    url = sqlalchemy.make_url(dict(line.split(' = ', 1) for line in
                              apart.api_conf.read_text().splitlines() if ' = ' in line)['connection'])
    with psycopg.connect(host=url.host, port=url.port, user=url.username, password=url.password,
                         dbname=url.database, autocommit=True) as connection:
        for table in METADATA.tables:
            connection.execute(f'SELECT * FROM {table} LIMIT 1')
            for statement in (f'DELETE FROM {table}', f'INSERT INTO {table} DEFAULT VALUES'):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


def test_the_api_knows_no_store_and_has_no_key_but_that_of_messages(apart):
    told = apart.api_conf.read_text()
    assert 'secret_store' not in told
    assert 'kek' not in told
    apart.get(apart.secret() + '/payload')
    open_files = {os.readlink(found) for process in [apart.process.pid, *processes(apart.process.pid)]
                  for found in Path(f'/proc/{process}/fd').iterdir() if found.exists()}
    assert not [name for name in open_files if 'kek' in name or 'seal_key' in name]


def test_another_projects_token_reads_no_payload(apart, forged):
    row = {'secret_id': apart.secret().rpartition('/')[2], 'project_id': 'x', 'store': 'soft',
           'reference': '{}'}
    token = apart.keystone.token('alpha-member')
    assert forged.call(secrets.payload, Identity(user_id=None, project_id='', token=token), **row)
    liar = Identity(user_id=apart.user_id(), project_id=apart.session().get_project_id(),
                    roles=('admin', 'member'), token=apart.keystone.token('beta-member'))
    with pytest.raises(Forbidden):
        forged.call(secrets.payload, liar, **row)
    reader = Identity(user_id=None, project_id='', token=apart.keystone.token('alpha-reader'))
    with pytest.raises(Forbidden):
        forged.call(secrets.payload, reader, **row)


@pytest.mark.parametrize('token', [None, 'nonsense', 'gAAAAA'])
def test_without_a_valid_token_there_is_nothing_to_be_had(apart, forged, token):
    secret_id = apart.secret().rpartition('/')[2]
    nobody = Identity(user_id=apart.user_id(), project_id='alpha', roles=('admin',), token=token)
    with pytest.raises(Unauthenticated):
        forged.call(secrets.payload, nobody, secret_id=secret_id)
    with pytest.raises(Unauthenticated):
        forged.call(secrets.delete, nobody, secret_id=secret_id)
    with pytest.raises(Forbidden):
        forged.call(orders.process, nobody, order_id=secret_id)
    assert apart.get(f'/v1/secrets/{secret_id}').status_code == 200


def test_a_message_that_was_carried_once_is_refused_by_every_worker(apart, host):
    transport, seal = host
    who = Identity(user_id=None, project_id='', token=apart.keystone.token('alpha-member'))
    message = envelope.pack_task(secrets.create.task, who, {'secret_type': 'opaque', 'name': 'twice'})
    number, sealed = seal.seal(message, purpose=CALL, now=timeutils.utcnow())
    envelope.unpack_answer(seal.open(transport.call(sealed), answers=number).message)
    assert {transport.call(sealed) for _ in range(6)} == {b''}
    assert apart.get('/v1/secrets?name=twice').json()['total'] == 1
    assert 'it was here before' in apart.log.read_text(errors='replace')


def test_without_a_broker_metadata_are_read_and_the_rest_is_asked_to_try_again(apart):
    path = apart.secret()
    with apart.rabbitmq.down():
        assert apart.get(path).status_code == 200
        assert apart.get('/v1/secrets').status_code == 200
        for _ in range(2):
            began = time.monotonic()
            answer = apart.post('/v1/secrets', {'name': 'x'})
            assert time.monotonic() - began < WITHIN_SECONDS
            assert (answer.status_code, bool(answer.headers['Retry-After'])) == (503, True)
        assert apart.get(path + '/payload').status_code == 503
    until(apart.works)
    assert apart.get(path + '/payload').status_code == 200


def test_a_worker_that_is_killed_is_followed_by_another(apart):
    before = processes(apart.worker.pid)
    assert len(before) == 2
    for process in before:
        os.kill(process, signal.SIGKILL)
    began = time.monotonic()
    assert apart.post('/v1/secrets', {}).status_code in (201, 503)
    assert time.monotonic() - began < WITHIN_SECONDS
    until(lambda: len(processes(apart.worker.pid)) == 2 and apart.works())
    assert not set(before) & set(processes(apart.worker.pid))


def test_workers_that_are_told_to_end_finish_what_they_have_begun(apart):
    def store(number):
        return apart.post('/v1/secrets', {
            'name': f'ending-{number}', 'payload': apart.hide(f'unmistakable {number} ending'),
            'payload_content_type': 'text/plain'})

    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(store, number) for number in range(40)]
        until(lambda: any(answer.done() for answer in answers))
        assert ends_cleanly(apart.worker), apart.log_tail()
        with apart.working():
            statuses = [answer.result().status_code for answer in answers]
            assert set(statuses) <= {201, 503}
            assert 201 in statuses
            until(apart.works)
            for answer in answers:
                if answer.result().status_code == 201:
                    path = answer.result().json()['secret_ref'].removeprefix(apart.url)
                    assert apart.get(path + '/payload').status_code == 200
            assert ends_cleanly(apart.worker), apart.log_tail()
