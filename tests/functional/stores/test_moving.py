# SPDX-License-Identifier: Apache-2.0
"""Ten thousand payloads move into a token's keeping and have their keys replaced, while clients read and
write, and it is killed on the way: none is missed."""
import contextlib
import dataclasses
import random
import subprocess
import threading
import time
import uuid
from collections import Counter

import pytest
import sqlalchemy as sa

from km.cmd.manage.commands import worker
from km.conf.load import load
from km.identity import Identity
from km.lifecycle import secrets
from tests.functional.aftermath import an_hour_later
from tests.functional.km_server import environment, new_text, program
from tests.functional.open_km import believing_all
from tests.functional.softhsm import softhsm

MANY = 10_000
PROJECTS = [uuid.uuid4().hex for _ in range(4)]


class Clients:
    """Some who read all the time, and one who writes too; ``failures`` has what went wrong for them.

    :ivar payloads: what every secret has that is there, by its path and project.
    """

    def __init__(self, km, payloads, *, readers=2):
        self._km, self.payloads = km, payloads
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(readers)]
        self._threads.append(threading.Thread(target=self._write))
        self.failures, self.done = [], Counter()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self):
        chosen = random.Random(4711)
        known = list(self.payloads.items())
        while not self._over.is_set():
            (path, project), payload = chosen.choice(known)
            self._see(path, project, payload)

    def _write(self):
        mine = {}
        while not self._over.is_set():
            project, payload = random.choice(PROJECTS), new_text()
            with contextlib.suppress(AssertionError):
                path = self._km.secret(payload, who=project)
                mine[path, project] = payload
                self._see(path, project, payload)
            if len(mine) > 20:
                (path, project), _ = mine.popitem()
                answer = self._km.delete(path, who=project)
                self._note('deleted', answer.status_code == 204, path)
        self.payloads.update(mine)

    def _see(self, path, project, payload):
        answer = self._km.get(path + '/payload', who=project, Accept='text/plain')
        self._note('read', answer.text == payload, path)

    def _note(self, what, well, path):
        self.done[what] += 1
        if not well:
            self.failures.append((what, path))


@pytest.fixture(scope='module')
def km(postgresql, tmp_path_factory):
    """A km with two stores: Simple Crypto, and a token."""
    folder = tmp_path_factory.mktemp('moving')
    folder.chmod(0o700)
    with softhsm(folder) as token, believing_all(
            folder, postgresql, name='moving', api={'workers': 2}, first=[('hsm', 'init', 'hsm')],
            sections={
                'secret_store': {'enabled': 'soft, hsm', 'default': 'soft'},
                'secret_store:hsm': {
                    'plugin': 'pkcs11', **token.settings,
                    'connection': postgresql.create_database('moving_hsm')}}) as running:
        yield running
        assert 'Traceback' not in running.log.read_text()


@pytest.fixture(scope='module')
def payloads(km):
    """What each of many secrets has, by its path and project."""
    made = {}
    with worker(lambda: load(files=[str(km.conf)])) as ctx:
        for number in range(MANY):
            project = PROJECTS[number % len(PROJECTS)]
            payload = new_text()
            secret_id = secrets.create(
                _as(ctx, project), secret_type='opaque', payload=payload.encode(),
                content_type='text/plain')
            made[f'/v1/secrets/{secret_id}', project] = payload
    return made


def _as(ctx, project):
    return dataclasses.replace(ctx, identity=Identity(user_id=project, project_id=project))


def in_store(km, name):
    """How many secrets are in a store."""
    with km.metadata.connect() as connection:
        return connection.scalar(
            sa.text('SELECT count(*) FROM secrets WHERE store = :name'), {'name': name})


def sealed_under(km):
    """How many project keys each master key of the token has sealed, by its id."""
    ciphertext = sa.create_engine(km.option('secret_store:hsm', 'connection'))
    with ciphertext.connect() as connection:
        found = connection.execute(sa.text('SELECT key_id, count(*) FROM project_keys GROUP BY key_id'))
        keys = dict(found.tuples().all())
    ciphertext.dispose()
    return keys


def read_back(km):
    """What every secret has, by its path and project, read as the worker reads it."""
    found = {}
    with worker(lambda: load(files=[str(km.conf)])) as ctx, km.metadata.connect() as connection:
        for row in connection.execute(sa.text('SELECT id, project_id, store, reference FROM secrets')):
            found[f'/v1/secrets/{row.id}', row.project_id] = secrets.payload(
                ctx, secret_id=row.id, project_id=row.project_id, store=row.store,
                reference=row.reference).decode()
    return found


@contextlib.contextmanager
def command(km, *arguments):
    """A km-manage that runs while the block lasts, or is killed in it; give its process."""
    process = subprocess.Popen(
        [program('km-manage'), '--config-file', str(km.conf), *arguments], env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(km, *arguments, statuses=(0,)):
    """What a km-manage printed."""
    with command(km, *arguments) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode in statuses, out + err
    return out


def test_they_move_killed_on_the_way_and_no_read_fails(km, payloads):
    move = ('secrets', 'move', '--from', 'soft', '--to', 'hsm')
    with Clients(km, payloads) as clients:
        with command(km, *move) as process:
            while in_store(km, 'hsm') < MANY // 4:
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
        assert in_store(km, 'soft') > MANY // 4, 'it was to be killed on the way'
        told(km, *move, statuses=(0, 1))  # the secrets at which it was killed may be left
    an_hour_later(km)
    told(km, 'sweep')
    assert "0 are left in 'soft'" in told(km, *move)
    assert clients.failures == []
    assert min(clients.done.values()) > 20, clients.done
    assert (in_store(km, 'soft'), in_store(km, 'hsm')) == (0, len(clients.payloads))
    assert told(km, 'reconcile') == '0 differences, 0 left.\n'
    assert read_back(km) == clients.payloads
    payloads.update(clients.payloads)


def test_their_keys_are_replaced_killed_on_the_way_and_no_read_fails(km, payloads):
    before = sealed_under(km)
    with Clients(km, payloads) as clients:
        told(km, 'kek', 'rotate', 'hsm')
        with command(km, 'rekey', PROJECTS[0]) as process:
            while sum(sealed_under(km).values()) < len(PROJECTS) + 1:
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
        for project in PROJECTS:
            told(km, 'rekey', project)
    assert clients.failures == []
    assert min(clients.done.values()) > 20, clients.done
    assert before.keys().isdisjoint(sealed_under(km)), 'some keys are under the old master key'
    assert told(km, 'rewrap', 'hsm', '--dry-run').startswith('0 ')
    for project in PROJECTS:
        told(km, 'rekey', project, '--destroy-old-keys')
    assert sum(sealed_under(km).values()) == len(PROJECTS)
    assert read_back(km) == clients.payloads
