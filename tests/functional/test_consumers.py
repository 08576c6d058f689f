# SPDX-License-Identifier: Apache-2.0
"""Consumers of secrets and containers over HTTP, the same in both deployments."""
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.functional.assertions import assert_refused, with_keystone
from tests.functional.test_containers import a_container

SERVER = {'service': 'compute', 'resource_type': 'server', 'resource_id': 'abc'}
BALANCER = {'name': 'Octavia', 'URL': 'https://lb.example.org/1'}
V1_1, V1_2 = ({'OpenStack_API_Version': f'key-manager {version}'} for version in ('1.1', '1.2'))


@pytest.fixture(params=['secret', 'container'])
def kind(request):
    return request.param


@pytest.fixture
def consumer(kind):
    """What a consumer of this kind says."""
    return SERVER if kind == 'secret' else BALANCER


@pytest.fixture
def path(km, kind):
    """Of a secret or a container."""
    return km.secret() if kind == 'secret' else a_container(km, {'it': km.secret()})


def listed(km, path):
    return km.get(path + '/consumers').json()['consumers']


def test_a_consumer_comes_and_goes(km, path, consumer):
    for _ in range(2):
        for _ in range(2):
            answer = km.post(path + '/consumers', consumer)
            assert (answer.status_code, answer.json()['consumers']) == (200, [consumer])
            found, = listed(km, path)
            assert found == {'status': 'ACTIVE', 'created': found['created'],
                             'updated': found['updated'], **consumer}
            assert km.get(answer.headers['Location']).json() == found
        answer = km.delete(path + '/consumers', json=consumer)
        assert (answer.status_code, answer.json()['consumers']) == (200, [])
        assert_refused(km.delete(path + '/consumers', json=consumer), 404)


@pytest.mark.parametrize('method', ['POST', 'DELETE'])
def test_a_consumer_that_cannot_be_is_refused(km, path, consumer, method):
    assert_refused(km.ask(method, path + '/consumers'), 415)
    assert_refused(km.ask(method, path + '/consumers', json={}), 400)
    for field in consumer:
        for wrong in (None, '', 7, [], 'x' * 256, 'a\x00'):
            assert_refused(km.ask(method, path + '/consumers', json={**consumer, field: wrong}), 400)
    assert listed(km, path) == []


def test_of_many_who_register_the_same_at_once_all_succeed_and_one_is_there(km, path, consumer):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: km.post(path + '/consumers', consumer), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(listed(km, path)) == 1


@with_keystone
def test_only_its_project_and_the_owners_remove_a_consumer(km, path, consumer):
    field, stranger = list(consumer)[-1], 'beta-member'
    assert_refused(km.post(path + '/consumers', consumer, who=stranger), 403)
    km.put(path + '/acl', {'read': {'users': [km.user_id(stranger)]}})
    hers = {**consumer, field: 'hers'}
    km.post(path + '/consumers', consumer)
    assert km.post(path + '/consumers', hers, who=stranger).status_code == 200
    refused = km.delete(path + '/consumers', json=consumer, who=stranger)
    assert_refused(refused, 403)
    assert refused.json()['description'] == (
        'Not Allowed. Sorry, only the creator of a consumer can delete it.')
    assert km.delete(path + '/consumers', json=hers, who=stranger).status_code == 200
    km.post(path + '/consumers', hers, who=stranger)
    assert km.delete(path + '/consumers', json=hers).json()['consumers'] == [consumer]


def test_secrets_show_their_consumers_from_1_1_on(km):
    path, name = km.secret(name='used'), km.secret(None)
    km.post(path + '/consumers', SERVER)
    assert 'consumers' not in km.get(path).json()
    assert km.get(path, **V1_1).json()['consumers'] == [SERVER]
    secrets = km.get('/v1/secrets?sort=created:desc&limit=2', **V1_1).json()['secrets']
    assert [(secret['secret_ref'].removeprefix(km.url), secret['consumers']) for secret in secrets] == [
        (name, []), (path, [SERVER])]


def test_from_1_2_on_consumers_keep_a_secret_unless_it_is_meant(km):
    path = km.secret()
    km.post(path + '/consumers', SERVER)
    for query in ('', '?force=0', '?force=maybe'):
        assert_refused(km.delete(path + query, **V1_2), 400)
    told = km.delete(path, **V1_2).json()['description']
    assert 'Secret cannot be deleted as it has consumers.' in told
    assert km.get(path + '/payload').status_code == 200
    assert km.delete(path + '?force=1', **V1_2).status_code == 204


def test_below_1_2_a_secret_takes_all_its_consumers_along(km):
    path = km.secret()
    for number in range(15):
        km.post(path + '/consumers', {**SERVER, 'resource_id': str(number)})
    assert km.get(path + '/consumers').json()['total'] == 15
    assert km.delete(path).status_code == 204
    with km.metadata.connect() as connection:
        assert connection.scalar(sa.text('SELECT count(*) FROM consumers WHERE object_id = :id'),
                                 {'id': path.rpartition('/')[2]}) == 0


def test_no_acknowledged_consumer_is_dropped_by_a_delete_that_minds_them(km):
    for _ in range(8):
        path = km.secret(None)
        with ThreadPoolExecutor(2) as threads:
            coming = threads.submit(km.post, path + '/consumers', SERVER)
            going = threads.submit(km.delete, path, **V1_2)
        statuses = coming.result().status_code, going.result().status_code
        assert statuses in ((200, 400), (404, 204)), statuses
        assert km.get(path).status_code == (200 if statuses[0] == 200 else 404)
