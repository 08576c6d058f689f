# SPDX-License-Identifier: Apache-2.0
"""Real processes killed at each step of their work: nothing acknowledged is lost, nothing dangles.

A km is killed with all its processes, an hour passes, and one sweep follows. Another km on the same
databases, which was there all the time, tells what is left.
"""
import uuid

import pytest
import sqlalchemy as sa

from km.cmd import manage
from tests.functional.aftermath import an_hour_and_a_sweep_later, an_hour_later, dangling
from tests.functional.killing import (
    KEY,
    LOCKED_PAIR,
    PAIR,
    SLOW_PAIR,
    all_of,
    assert_made,
    assert_readable,
    given,
    killed_at,
    placed,
)
from tests.functional.km_server import new_text
from tests.functional.open_km import believing_all, forked, kill, victim_beside, victims_conf
from tests.functional.stops import BEFORE, COMMITTED, DONE, Step, Stops


@pytest.fixture(scope='module')
def km(postgresql, tmp_path_factory):
    """The km that lives on."""
    with believing_all(tmp_path_factory.mktemp('kills'), postgresql, name='kills') as survivor:
        yield survivor
        assert 'Traceback' not in survivor.log.read_text()


@pytest.fixture(scope='module')
def stops(km):
    made = Stops(km.metadata, km.ciphertext)
    yield made
    made.close()


@pytest.fixture
def victim(km, tmp_path):
    """The km that is killed."""
    with victim_beside(km, tmp_path) as made:
        yield made


@pytest.fixture
def project():
    """A project that nobody has used before."""
    return uuid.uuid4().hex


def _read(parameter):
    """How a reader would name a parameter."""
    return {True: 'there', False: 'not there'}.get(parameter, str(parameter))


NEW_SECRET = [
    (Step('before the intent was written', BEFORE, 'INSERT', 'secrets'), False),
    (Step('after the intent was written', COMMITTED, 'INSERT', 'secrets'), False),
    (Step("before the project's key was kept", BEFORE, 'INSERT', 'project_keys'), False),
    (Step("after the project's key was kept", COMMITTED, 'INSERT', 'project_keys'), False),
    (Step('before the payload was kept', BEFORE, 'INSERT', 'blobs'), False),
    (Step('after the payload was kept', COMMITTED, 'INSERT', 'blobs'), False),
    (Step('before the outcome was written', BEFORE, 'UPDATE', 'secrets'), False),
    (Step('after the outcome was written', COMMITTED, 'UPDATE', 'secrets'), True),
]


@pytest.mark.parametrize(('step', 'there'), NEW_SECRET, ids=_read)
def test_a_new_secret_is_there_whole_or_not_at_all(km, victim, stops, project, step, there):
    payload = new_text()
    assert killed_at(stops, victim.process, step, lambda: given(victim, payload, project)) is None
    an_hour_and_a_sweep_later(km)
    found = all_of(km, project, 'secrets')
    assert len(found) == there
    for secret in found:
        assert_readable(km, secret['secret_ref'], payload, project)


def test_what_was_acknowledged_right_before_is_not_lost(km, victim, project):
    payload = new_text()
    path = victim.secret(payload, who=project)
    kill(victim.process)
    an_hour_and_a_sweep_later(km)
    assert_readable(km, path, payload, project)


PUT_PAYLOAD = [
    (Step('before the claim was written', BEFORE, 'UPDATE', 'secrets', 1), False),
    (Step('after the claim was written', COMMITTED, 'UPDATE', 'secrets', 1), False),
    (Step('before the payload was kept', BEFORE, 'INSERT', 'blobs'), False),
    (Step('after the payload was kept', COMMITTED, 'INSERT', 'blobs'), False),
    (Step('before the outcome was written', BEFORE, 'UPDATE', 'secrets', 2), False),
    (Step('after the outcome was written', COMMITTED, 'UPDATE', 'secrets', 2), True),
]


@pytest.mark.parametrize(('step', 'there'), PUT_PAYLOAD, ids=_read)
def test_a_secret_has_its_payload_or_can_be_given_one_again(
        km, victim, stops, project, step, there):
    path, first, second = km.secret(None, who=project), new_text(), new_text()

    def put(asked, payload):
        return asked.put(path, body=payload.encode(), Content_Type='text/plain', who=project)

    assert killed_at(stops, victim.process, step, lambda: put(victim, first)) is None
    an_hour_and_a_sweep_later(km)
    assert put(km, second).status_code == (409 if there else 204)
    assert_readable(km, path, first if there else second, project)
    assert dangling(km) == []


DELETE = [
    (Step('before it was marked', BEFORE, 'UPDATE', 'secrets'), True),
    (Step('before its mark was committed', DONE, 'UPDATE', 'secrets'), True),
    (Step('after it was marked', COMMITTED, 'UPDATE', 'secrets'), False),
    (Step('before its payload was destroyed', BEFORE, 'DELETE', 'blobs'), False),
    (Step('after its payload was destroyed', COMMITTED, 'DELETE', 'blobs'), False),
    (Step('between its ACL and its consumers', BEFORE, 'DELETE', 'consumers'), False),
    (Step('before its row was gone', BEFORE, 'DELETE', 'secrets'), False),
    (Step('between its row and its container', BEFORE, 'DELETE', 'container_secrets'), False),
    (Step('before it was gone for good', DONE, 'DELETE', 'secrets'), False),
    (Step('after it was gone for good', COMMITTED, 'DELETE', 'secrets'), False),
]
CONSUMER = {'service': 'compute', 'resource_type': 'server', 'resource_id': '1'}


@pytest.mark.parametrize(('step', 'there'), DELETE, ids=_read)
def test_a_secret_is_deleted_with_all_it_had_or_is_as_it_was(km, victim, stops, project, step, there):
    payload = new_text()
    path = km.secret(payload, who=project)
    has = {
        f'{path}/acl': km.put(f'{path}/acl', {'read': {'users': ['reader']}}, who=project),
        f'{path}/metadata': km.put(f'{path}/metadata', {'metadata': {'a': 'b'}}, who=project),
        f'{path}/consumers': km.post(f'{path}/consumers', CONSUMER, who=project),
        '/v1/containers': km.post(
            '/v1/containers', {'type': 'generic', 'secret_refs': [{'secret_ref': km.url + path}]},
            who=project),
    }
    assert [answer.status_code for answer in has.values()] == [200, 201, 200, 201]
    was = [km.get(part, who=project).json() for part in has]
    assert killed_at(stops, victim.process, step, lambda: victim.delete(path, who=project)) is None
    an_hour_and_a_sweep_later(km)
    if there:
        assert_readable(km, path, payload, project)
        assert [km.get(part, who=project).json() for part in has] == was
    else:
        assert km.get(path, who=project).status_code == 404
        assert left_of(km, path) == []
        container, = all_of(km, project, 'containers')
        assert container['secret_refs'] == []


def left_of(km, path):
    """The tables that still know a secret."""
    tables = {'secrets': 'id', 'secret_metadata': 'secret_id', 'acl_users': 'object_id',
              'consumers': 'object_id', 'container_secrets': 'secret_id'}
    with km.metadata.connect() as connection:
        return [table for table, column in tables.items() if connection.scalar(sa.text(
            f'SELECT count(*) FROM {table} WHERE {column} = :id'), {'id': path.rpartition('/')[2]})]


def test_a_deletion_that_was_acknowledged_right_before_is_not_undone(km, victim, project):
    path = km.secret(who=project)
    assert victim.delete(path, who=project).status_code == 204
    kill(victim.process)
    an_hour_and_a_sweep_later(km)
    assert km.get(path, who=project).status_code == 404


NOT_PLACED = [
    (KEY, Step('before the order was written', BEFORE, 'INSERT', 'orders')),
    (KEY, Step('between the order and its intent', BEFORE, 'INSERT', 'secrets')),
    (KEY, Step('before they were committed', DONE, 'INSERT', 'secrets')),
    (PAIR, Step('between the intents', BEFORE, 'INSERT', 'secrets', 2)),
    (SLOW_PAIR, Step('before a slow order was committed', DONE, 'INSERT', 'orders')),
]
AFTER_ORDER = Step('after the order was written', COMMITTED, 'INSERT', 'orders')
MAKE_KEY = [
    AFTER_ORDER,
    Step('before the key was kept', BEFORE, 'INSERT', 'blobs'),
    Step('after the key was kept', COMMITTED, 'INSERT', 'blobs'),
    Step('before the outcome was written', BEFORE, 'UPDATE', 'orders'),
    Step('between order and secret', BEFORE, 'UPDATE', 'secrets'),
    Step('before the outcome was committed', DONE, 'UPDATE', 'secrets'),
    Step('after the outcome was committed', COMMITTED, 'UPDATE', 'orders'),
]
MAKE_PAIR = [
    AFTER_ORDER,
    Step('between the halves', BEFORE, 'INSERT', 'blobs', 2),
    Step('after the halves were kept', COMMITTED, 'INSERT', 'blobs', 2),
    Step('after the container was written', DONE, 'INSERT', 'containers'),
    Step('between the halves becoming real', BEFORE, 'UPDATE', 'secrets', 2),
    Step('between the halves going into the container', BEFORE, 'INSERT', 'container_secrets', 2),
    Step('before the outcome was committed', DONE, 'INSERT', 'container_secrets', 2),
    Step('after the outcome was committed', COMMITTED, 'INSERT', 'containers'),
]
MAKE_SLOW_PAIR = [
    AFTER_ORDER,
    Step('before it was claimed', BEFORE, 'UPDATE', 'orders', 1),
    Step('after it was claimed', COMMITTED, 'UPDATE', 'orders', 1),
    Step('between the intents', BEFORE, 'INSERT', 'secrets', 2),
    Step('after the intents were written', COMMITTED, 'INSERT', 'secrets', 2),
    Step('between the halves', BEFORE, 'INSERT', 'blobs', 2),
    Step('before the outcome was written', BEFORE, 'UPDATE', 'orders', 2),
    Step('after the outcome was committed', COMMITTED, 'UPDATE', 'orders', 2),
]
MAKE_LOCKED_PAIR = [
    (AFTER_ORDER, 'ERROR'),
    (Step('after the second of three was kept', COMMITTED, 'INSERT', 'blobs', 2), 'ERROR'),
    (Step('before the outcome was committed', DONE, 'INSERT', 'container_secrets', 3), 'ERROR'),
    (Step('after the outcome was committed', COMMITTED, 'INSERT', 'containers'), 'ACTIVE'),
]


@pytest.mark.parametrize(('order', 'step'), NOT_PLACED, ids=[str(step) for _, step in NOT_PLACED])
def test_an_order_that_was_not_written_leaves_nothing(km, victim, stops, project, order, step):
    assert killed_at(stops, victim.process, step, lambda: placed(victim, order, project)) is None
    an_hour_and_a_sweep_later(km)
    assert all_of(km, project, 'orders') == all_of(km, project, 'secrets') == []


@pytest.mark.parametrize('step', MAKE_KEY, ids=str)
def test_an_order_of_a_key_makes_one_key(km, victim, stops, project, step):
    assert killed_at(stops, victim.process, step, lambda: placed(victim, KEY, project)) is None
    an_hour_and_a_sweep_later(km)
    assert_made(km, project, secrets=1)


@pytest.mark.parametrize('step', MAKE_PAIR, ids=str)
def test_an_order_of_a_pair_makes_one_pair(km, victim, stops, project, step):
    assert killed_at(stops, victim.process, step, lambda: placed(victim, PAIR, project)) is None
    an_hour_and_a_sweep_later(km)
    assert_made(km, project, secrets=2)


@pytest.mark.parametrize('step', MAKE_SLOW_PAIR, ids=str)
def test_an_order_of_a_slow_pair_makes_one_pair(km, victim, stops, project, step):
    assert killed_at(stops, victim.process, step, lambda: placed(victim, SLOW_PAIR, project)) is None
    an_hour_and_a_sweep_later(km)
    assert_made(km, project, secrets=2)


@pytest.mark.parametrize(('step', 'status'), MAKE_LOCKED_PAIR, ids=str)
def test_an_order_whose_passphrase_died_with_the_process_fails(
        km, victim, stops, project, step, status):
    assert killed_at(stops, victim.process, step, lambda: placed(victim, LOCKED_PAIR, project)) is None
    an_hour_and_a_sweep_later(km)
    if status == 'ACTIVE':
        return assert_made(km, project, secrets=3)
    order, = all_of(km, project, 'orders')
    assert (order['status'], order['error_status_code']) == ('ERROR', '500')
    assert all_of(km, project, 'secrets') == []
    return None


def test_an_order_that_was_acknowledged_right_before_is_not_lost(km, victim, project):
    assert placed(victim, KEY, project).status_code == 202
    kill(victim.process)
    an_hour_and_a_sweep_later(km)
    assert_made(km, project, secrets=1)


UNDO = [
    Step('before it took the intent over', BEFORE, 'UPDATE', 'secrets'),
    Step('after it took the intent over', COMMITTED, 'UPDATE', 'secrets'),
    Step('before it destroyed the payload', BEFORE, 'DELETE', 'blobs'),
    Step('after it destroyed the payload', COMMITTED, 'DELETE', 'blobs'),
    Step('before the row was gone', DONE, 'DELETE', 'secrets'),
    Step('after the row was gone', COMMITTED, 'DELETE', 'secrets'),
]


@pytest.mark.parametrize('step', UNDO, ids=str)
def test_what_a_killed_sweep_left_the_next_one_ends(km, victim, stops, project, tmp_path, step):
    kept = Step('after the payload was kept', COMMITTED, 'INSERT', 'blobs')
    assert killed_at(stops, victim.process, kept, lambda: given(victim, new_text(), project)) is None
    an_hour_later(km)
    sweep = ('--config-file', victims_conf(km, tmp_path), 'sweep')
    with stops.at(step) as wait, forked(manage.main, tmp_path / 'sweep.log', *sweep) as process:
        wait()
        kill(process)
    an_hour_and_a_sweep_later(km)
    assert all_of(km, project, 'secrets') == []
