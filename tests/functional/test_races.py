# SPDX-License-Identifier: Apache-2.0
"""Fifty clients at once, who all want what only some of them can have: it has one outcome.

None is answered with a 500, and none with a 503: where one must wait for another it is for a moment.
(A 503 would be right if a database gave the same work up for two seconds, or had no connection left
for thirty; it says when to come again.)
"""
import uuid
from collections import Counter

import pytest
import sqlalchemy as sa

from tests.functional.aftermath import an_hour_and_a_sweep_later
from tests.functional.crowd import CLIENTS, Crowd
from tests.functional.km_server import new_text
from tests.functional.open_km import believing_all

ROOM = 10
SECRET, ORDER = '/v1/secrets', '/v1/orders'
KEY = {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}}
CONSUMER = {'service': 'compute', 'resource_type': 'server', 'resource_id': '1'}


@pytest.fixture(scope='module', params=['postgresql', 'mariadb'])
def km(request, tmp_path_factory):
    """A km of two processes, of which each works for all clients at once."""
    databases = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(f'races-{request.param}')
    with believing_all(folder, databases, name='races', quotas={'orders': 1000},
                       api={'workers': 2, 'threads': CLIENTS}) as running:
        yield running
        assert 'Traceback' not in running.log.read_text()
        # The sweep ends what was deleted while its payload was on its way.
        an_hour_and_a_sweep_later(running)


@pytest.fixture(scope='module')
def crowd(km):
    made = Crowd(km)
    yield made
    made.close()


@pytest.fixture
def project():
    """A project that nobody has used before."""
    return uuid.uuid4().hex


_KEYS_OF = 'SELECT generation FROM project_keys WHERE project_id = :project'


def statuses(answers):
    return dict(Counter(answer.status for answer in answers))


def described(payload):
    return {'payload': payload, 'payload_content_type': 'text/plain'}


def total(km, project, path):
    return km.get(path, who=project, params={'limit': 0}).json()['total']


def rows(engine, statement, **values):
    with engine.connect() as connection:
        return connection.execute(sa.text(statement), values).all()


def test_the_first_secrets_of_a_project_open_whoever_made_its_key(km, crowd, project):
    payloads = [new_text() for _ in range(CLIENTS)]
    made = crowd.at_once([('POST', SECRET, project, described(payload)) for payload in payloads])
    assert statuses(made) == {201: CLIENTS}
    paths = [answer.json()['secret_ref'].removeprefix(km.url) for answer in made]
    read = crowd.at_once([('GET', f'{path}/payload', project, None) for path in paths])
    assert [answer.body.decode() for answer in read] == payloads
    # Those who were first at the same moment may each have made one; from then on all use the newest.
    before = len(rows(km.ciphertext, _KEYS_OF, project=project))
    assert 1 <= before <= CLIENTS
    crowd.at_once([('POST', SECRET, project, described(payload)) for payload in payloads])
    assert len(rows(km.ciphertext, _KEYS_OF, project=project)) == before


def test_the_first_orders_of_a_project_are_all_fulfilled(km, crowd, project):
    """It has a quota by default, so that the first ones also race for the row of its settings."""
    placed = crowd.at_once([('POST', ORDER, project, KEY)] * CLIENTS)
    assert statuses(placed) == {202: CLIENTS}
    made = {km.get(answer.json()['order_ref'], who=project).json()['secret_ref'] for answer in placed}
    assert len(made) == CLIENTS == total(km, project, SECRET)


QUOTAS = {
    'secrets': (SECRET, described('a payload'), 201),
    'secrets without payload': (SECRET, {}, 201),
    'secrets of orders': (ORDER, KEY, 202),
    'orders': (ORDER, KEY, 202),
    'containers': ('/v1/containers', {'type': 'generic'}, 201),
}


@pytest.mark.parametrize(('quota', 'asked'), QUOTAS.items(), ids=QUOTAS)
def test_a_quota_of_ten_lets_ten_pass(km, crowd, project, quota, asked):
    path, body, accepted = asked
    set_quota(km, project, quota.partition(' ')[0])
    made = crowd.at_once([('POST', path, project, body)] * CLIENTS)
    assert statuses(made) == {accepted: ROOM, 403: CLIENTS - ROOM}
    assert total(km, project, path) == ROOM
    if path == ORDER:
        assert total(km, project, SECRET) == ROOM


def test_a_quota_of_ten_lets_ten_consumers_pass(km, crowd, project):
    set_quota(km, project, 'consumers')
    path = km.secret(who=project)
    made = crowd.at_once([
        ('POST', f'{path}/consumers', project, {**CONSUMER, 'resource_id': str(number)})
        for number in range(CLIENTS)])
    assert statuses(made) == {200: ROOM, 403: CLIENTS - ROOM}
    assert total(km, project, f'{path}/consumers') == ROOM


def test_a_pair_takes_the_room_of_two_secrets(km, crowd, project):
    set_quota(km, project, 'secrets')
    pair = {'type': 'asymmetric', 'meta': {'algorithm': 'ec', 'bit_length': 256}}
    made = crowd.at_once([('POST', ORDER, project, pair)] * CLIENTS)
    assert statuses(made) == {202: ROOM / 2, 403: CLIENTS - ROOM / 2}
    assert total(km, project, SECRET) == ROOM


def set_quota(km, project, resource):
    answer = km.put(f'/v1/project-quotas/{project}', {'project_quotas': {resource: ROOM}})
    assert answer.status_code == 204


def test_of_fifty_deletions_one_succeeds(km, crowd, project):
    path = km.secret(who=project)
    assert statuses(crowd.at_once([('DELETE', path, project, None)] * CLIENTS)) == {
        204: 1, 404: CLIENTS - 1}


def test_of_fifty_payloads_the_acknowledged_one_is_kept(km, crowd, project):
    path, payloads = km.secret(None, who=project), [new_text().encode() for _ in range(CLIENTS)]
    given = crowd.at_once([('PUT', path, project, payload) for payload in payloads])
    assert statuses(given) == {204: 1, 409: CLIENTS - 1}
    kept = payloads[[answer.status for answer in given].index(204)]
    assert km.get(f'{path}/payload', who=project).content == kept


def test_payloads_that_race_with_a_deletion_leave_nothing(km, crowd, project):
    path = km.secret(None, who=project)
    told = crowd.at_once([
        ('PUT', path, project, new_text().encode()) if number % 2 else ('DELETE', path, project, None)
        for number in range(CLIENTS)])
    assert statuses(told[::2]) == {204: 1, 404: CLIENTS // 2 - 1}
    given = statuses(told[1::2])
    # 409: another one was being given; 404: it was deleted before, or while this one was on its way.
    assert given.keys() <= {204, 404, 409}
    assert given.get(204, 0) <= 1
    assert km.get(path, who=project).status_code == 404


def test_of_fifty_acls_one_is_left_whole(km, crowd, project):
    path = km.secret(who=project) + '/acl'
    bodies = [{'read': {'users': sorted(f'{number} {user}' for user in 'abc'),
                        'project-access': bool(number % 2)}} for number in range(CLIENTS)]
    assert statuses(crowd.at_once([('PUT', path, project, body) for body in bodies])) == {200: CLIENTS}
    left = km.get(path, who=project).json()['read']
    assert {'read': {key: left[key] for key in ('users', 'project-access')}} in bodies


def test_acls_that_are_set_changed_and_removed_at_once_never_fail(km, crowd, project):
    path = km.secret(who=project) + '/acl'
    body = {'read': {'users': ['a', 'b', 'c']}}
    told = crowd.at_once([
        (method, path, project, None if method == 'DELETE' else body)
        for method, _ in zip(('PUT', 'PATCH', 'DELETE', 'PATCH', 'PUT') * 10, range(CLIENTS),
                             strict=True)])
    assert statuses(told) == {200: CLIENTS}
    left = km.get(path, who=project).json()['read']
    assert left.get('users', []) in ([], ['a', 'b', 'c'])


def test_of_fifty_metadata_one_is_left_whole(km, crowd, project):
    path = km.secret(who=project) + '/metadata'
    bodies = [{'metadata': {key: str(number) for key in 'abc'}} for number in range(CLIENTS)]
    assert statuses(crowd.at_once([('PUT', path, project, body) for body in bodies])) == {201: CLIENTS}
    assert km.get(path, who=project).json() in bodies


def test_of_fifty_who_add_one_key_one_succeeds(km, crowd, project):
    path = km.secret(who=project) + '/metadata'
    told = crowd.at_once([
        ('POST', path, project, {'key': 'k', 'value': str(number)}) for number in range(CLIENTS)])
    assert statuses(told) == {201: 1, 409: CLIENTS - 1}
    value = str([answer.status for answer in told].index(201))
    assert km.get(path, who=project).json() == {'metadata': {'k': value}}


@pytest.mark.parametrize('kind', ['secret', 'container'])
def test_a_consumer_registered_fifty_times_is_there_once(km, crowd, project, kind):
    path, consumer = consumed(km, project, kind)
    told = crowd.at_once([('POST', f'{path}/consumers', project, consumer)] * CLIENTS)
    assert statuses(told) == {200: CLIENTS}
    assert {len(answer.json().get('consumers', ())) for answer in told} == {1}
    assert total(km, project, f'{path}/consumers') == 1


@pytest.mark.parametrize('kind', ['secret', 'container'])
def test_of_fifty_who_remove_a_consumer_one_succeeds(km, crowd, project, kind):
    path, consumer = consumed(km, project, kind)
    km.post(f'{path}/consumers', consumer, who=project)
    told = crowd.at_once([('DELETE', f'{path}/consumers', project, consumer)] * CLIENTS)
    assert statuses(told) == {200: 1, 404: CLIENTS - 1}


@pytest.mark.parametrize('version', ['1.1', '1.2'])
def test_consumers_that_race_with_a_deletion_are_kept_or_gone_with_the_secret(
        km, crowd, project, version):
    """From 1.2 on a consumer keeps its secret: it is there with its consumers, or never had any."""
    path = km.secret(who=project)
    spoken = {'OpenStack-API-Version': f'key-manager {version}'}
    told = crowd.at_once([
        ('POST', f'{path}/consumers', project, {**CONSUMER, 'resource_id': str(number)})
        if number % 5 else ('DELETE', path, project, None) for number in range(CLIENTS)],
        headers=spoken)
    deleted, registered = statuses(told[::5]), statuses(
        answer for number, answer in enumerate(told) if number % 5)
    assert registered.keys() <= {200, 404}
    if 204 in deleted:
        assert deleted == {204: 1, 404: CLIENTS / 5 - 1}
        assert km.get(path, who=project).status_code == 404
        assert version == '1.1' or 200 not in registered
    else:
        assert (version, deleted) == ('1.2', {400: CLIENTS / 5})
        assert total(km, project, f'{path}/consumers') == registered[200] == CLIENTS * 4 / 5


def consumed(km, project, kind):
    """The path of something to be consumed, and a consumer of it."""
    if kind == 'secret':
        return km.secret(who=project), CONSUMER
    made = km.post('/v1/containers', {'type': 'generic'}, who=project).json()
    return made['container_ref'].removeprefix(km.url), {'name': 'lb', 'URL': 'http://lb.test/1'}
