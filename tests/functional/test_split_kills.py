# SPDX-License-Identifier: Apache-2.0
"""Workers killed at each step of their work, while the API lives on: see ``test_kills``."""
import contextlib
from types import SimpleNamespace

import pytest

from km.cmd import worker
from tests.functional.aftermath import an_hour_and_a_sweep_later
from tests.functional.killing import (
    KEY,
    SLOW_PAIR,
    all_of,
    assert_made,
    assert_readable,
    given,
    killed_at,
    placed,
)
from tests.functional.km_server import new_text
from tests.functional.open_km import forked, victims_conf
from tests.functional.servers import wait_until
from tests.functional.split_server import split
from tests.functional.stops import BEFORE, COMMITTED, DONE, Step, Stops

WHO = 'alpha-member'


@pytest.fixture(scope='module')
def km(tmp_path_factory, postgresql, keystone, rabbitmq):
    """An API, which lives on, and no worker."""
    folder = tmp_path_factory.mktemp('split-kills')
    folder.chmod(0o700)
    with split(folder, postgresql, keystone, rabbitmq, name='split_kills',
               call_timeout_seconds=2) as running:
        running.worker.terminate()
        running.worker.wait()
        yield running
        running.metadata.dispose()
        running.ciphertext.dispose()


@pytest.fixture(scope='module')
def stops(km):
    made = Stops(km.metadata, km.ciphertext)
    yield made
    made.close()


@pytest.fixture
def victim(km, tmp_path):
    """The process of a km-worker, the only one; there is nothing in its databases."""
    for engine, table in ((km.metadata, 'orders'), (km.metadata, 'containers'),
                          (km.metadata, 'secrets'), (km.ciphertext, 'blobs')):
        with engine.begin() as connection:
            connection.exec_driver_sql(f'DELETE FROM {table}')
    with a_worker(km, tmp_path) as process:
        yield process


@contextlib.contextmanager
def a_worker(km, folder):
    """Run a km-worker; give its process when it answers."""
    log = folder / 'worker.log'
    with forked(worker.main, log, '--config-file', victims_conf(km, folder)) as process:
        wait_until(km.works, SimpleNamespace(poll=lambda: process.exitcode), log)
        yield process


def assert_asked_to_try_again(answer):
    assert (answer.status_code, bool(answer.headers['Retry-After'])) == (503, True)


NEW_SECRET = [
    Step('before the intent was written', BEFORE, 'INSERT', 'secrets'),
    Step('after the intent was written', COMMITTED, 'INSERT', 'secrets'),
    Step('after the payload was kept', COMMITTED, 'INSERT', 'blobs'),
    Step('before the outcome was written', BEFORE, 'UPDATE', 'secrets'),
]


@pytest.mark.parametrize('step', NEW_SECRET, ids=str)
def test_a_secret_that_was_cut_off_is_not_there(km, victim, stops, step):
    answer = killed_at(stops, victim, step, lambda: given(km, new_text(), WHO))
    assert_asked_to_try_again(answer)
    an_hour_and_a_sweep_later(km)
    assert all_of(km, WHO, 'secrets') == []


def test_a_secret_that_was_stored_is_there_though_its_client_was_not_told(km, victim, stops, tmp_path):
    step, payload = Step('outcome', COMMITTED, 'UPDATE', 'secrets'), new_text()
    assert_asked_to_try_again(killed_at(stops, victim, step, lambda: given(km, payload, WHO)))
    an_hour_and_a_sweep_later(km)
    secret, = all_of(km, WHO, 'secrets')
    with a_worker(km, tmp_path):
        assert_readable(km, secret['secret_ref'], payload, WHO)


DELETE = [
    (Step('before its mark was committed', DONE, 'UPDATE', 'secrets'), 1),
    (Step('before its payload was destroyed', BEFORE, 'DELETE', 'blobs'), 0),
    (Step('before its row was gone', BEFORE, 'DELETE', 'secrets'), 0),
]


@pytest.mark.parametrize(('step', 'left'), DELETE, ids=str)
def test_a_deletion_that_was_cut_off_is_done_or_never_began(km, victim, stops, step, left):
    path = km.secret()
    assert_asked_to_try_again(killed_at(stops, victim, step, lambda: km.delete(path)))
    an_hour_and_a_sweep_later(km)
    assert len(all_of(km, WHO, 'secrets')) == left


ORDER = [
    (KEY, Step('after the order of a key was written', COMMITTED, 'INSERT', 'orders')),
    (KEY, Step('after the key was kept', COMMITTED, 'INSERT', 'blobs')),
    (KEY, Step('before the outcome was committed', DONE, 'UPDATE', 'secrets')),
    (SLOW_PAIR, Step('after the order of a pair was written', COMMITTED, 'INSERT', 'orders')),
    (SLOW_PAIR, Step('before it was claimed', BEFORE, 'UPDATE', 'orders', 1)),
    (SLOW_PAIR, Step('after it was claimed', COMMITTED, 'UPDATE', 'orders', 1)),
    (SLOW_PAIR, Step('between the halves', BEFORE, 'INSERT', 'blobs', 2)),
    (SLOW_PAIR, Step('after the pair was there', COMMITTED, 'UPDATE', 'orders', 2)),
]


@pytest.mark.parametrize(('order', 'step'), ORDER, ids=[str(step) for _, step in ORDER])
def test_an_order_that_was_written_is_fulfilled_once(km, victim, stops, tmp_path, order, step):
    """A slow one is acknowledged before a worker claims it."""
    answer = killed_at(stops, victim, step, lambda: placed(km, order, WHO))
    if order is KEY or (step.event, step.table) == ('INSERT', 'orders'):
        assert_asked_to_try_again(answer)
    else:
        assert answer.status_code == 202
    an_hour_and_a_sweep_later(km)
    with a_worker(km, tmp_path):
        assert_made(km, WHO, secrets=1 if order is KEY else 2)
