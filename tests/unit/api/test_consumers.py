# SPDX-License-Identifier: Apache-2.0
"""Consumers of secrets and of containers, contract section 5; microversions, section 1.3."""
from urllib.parse import urlsplit

import pytest

from km.testing.application import Client, a_deployment

SERVER = {'service': 'compute', 'resource_type': 'server', 'resource_id': 'abc'}
BALANCER = {'name': 'Octavia', 'URL': 'https://lb.example.org/v2/listeners/1'}
V1_1 = {'OpenStack_API_Version': 'key-manager 1.1'}
V1_2 = {'OpenStack_API_Version': 'key-manager 1.2'}
NOT_YOURS = 'Not Allowed. Sorry, only the creator of a consumer can delete it.'


@pytest.fixture(params=['secret', 'container'])
def kind(request):
    return request.param


@pytest.fixture
def consumer(kind):
    """What a consumer of this kind says."""
    return dict(SERVER if kind == 'secret' else BALANCER)


@pytest.fixture
def path(ann, kind):
    """Of a secret or a container."""
    return ann.secret() if kind == 'secret' else ann.container({'it': ann.secret()}, name='box')


def listed(client, path):
    return client.get(path + '/consumers').json['consumers']


def test_a_registered_consumer_is_shown_in_what_it_is_of(ann, path, consumer, clock):
    clock.forward(seconds=1)
    answer = ann.post(path + '/consumers/', consumer)
    assert answer.status_int == 200
    assert answer.json['consumers'] == [consumer]
    assert answer.json['updated'] == '2030-01-01T12:00:01.123456'
    assert answer.json == ann.get(path, **V1_1).json


def test_the_answer_to_octavia_is_the_whole_container(ann):
    certificate = ann.secret()
    path = ann.container({'certificate': certificate}, type='certificate', name='tls')
    told = ann.post(path + '/consumers', BALANCER).json
    assert (told['type'], told['name'], told['status']) == ('certificate', 'tls', 'ACTIVE')
    assert told['secret_refs'] == [
        {'name': 'certificate', 'secret_ref': f'http://km.test:9311{certificate}'}]
    assert told['container_ref'] == f'http://km.test:9311{path}'


def test_consumers_are_listed_with_their_times(ann, path, consumer):
    ann.post(path + '/consumers', consumer)
    assert ann.get(path + '/consumers').json == {'total': 1, 'consumers': [{
        'created': '2030-01-01T12:00:00.123456', 'updated': '2030-01-01T12:00:00.123456',
        'status': 'ACTIVE', **consumer}]}


def test_registering_once_more_adds_nothing(ann, path, consumer, clock):
    ann.post(path + '/consumers', consumer)
    clock.forward(seconds=1)
    again = ann.post(path + '/consumers', {**consumer, 'more': 'is ignored'})
    assert (again.status_int, again.json['consumers']) == (200, [consumer])
    found, = listed(ann, path)
    assert (found['created'], found['updated']) == (
        '2030-01-01T12:00:00.123456', '2030-01-01T12:00:01.123456')


def test_a_consumer_is_found_where_it_is_said_to_be_and_nowhere_else(ann, path, kind, consumer):
    location = ann.post(path + '/consumers', consumer).headers['Location']
    assert location.startswith(f'http://km.test:9311{path}/consumers/')
    assert ann.get(location).json == listed(ann, path)[0]
    other = ann.secret() if kind == 'secret' else ann.container()
    for wrong in (f'{other}/consumers/{location.rpartition("/")[2]}', f'{path}/consumers/x'):
        refused = ann.get(wrong)
        assert (refused.status_int, refused.json['description']) == (
            404, 'Not Found. Consumer not found.')
    assert ann.delete(location).status_int == 405


def test_a_removed_consumer_is_gone(ann, path, consumer, clock):
    ann.post(path + '/consumers', consumer)
    clock.forward(seconds=1)
    removed = ann.delete(path + '/consumers', json=consumer)
    assert (removed.status_int, removed.json['consumers']) == (200, [])
    assert removed.json['updated'] == '2030-01-01T12:00:01.123456'
    assert listed(ann, path) == []
    refused = ann.delete(path + '/consumers', json=consumer)
    assert (refused.status_int, refused.json['description']) == (
        404, 'Not Found. Consumer not found.')
    assert ann.post(path + '/consumers', consumer).json['consumers'] == [consumer]


def test_what_failed_to_be_removed_changes_nothing(ann, path, consumer, clock):
    before = ann.get(path).json
    clock.forward(seconds=1)
    ann.delete(path + '/consumers', json=consumer)
    assert ann.get(path).json == before


@pytest.mark.parametrize('method', ['POST', 'DELETE'])
def test_a_consumer_says_all_of_itself(ann, path, consumer, kind, method):
    longest = {'name': 36}
    for field in consumer:
        for wrong in (None, 5, '', ' ', 'x' * (longest.get(field, 255) + 1), 'absent'):
            body = {name: value for name, value in consumer.items() if name != field}
            refused = ann.ask(method, path + '/consumers',
                              json=body if wrong == 'absent' else {**body, field: wrong})
            assert refused.status_int == 400
            schema = 'Secret Consumer' if kind == 'secret' else 'Consumer'
            assert f"schema '{schema}'" in refused.json['description']
    assert listed(ann, path) == []


@pytest.mark.parametrize('method', ['POST', 'DELETE'])
def test_a_consumer_is_said_in_json(ann, path, method):
    assert ann.ask(method, path + '/consumers').status_int == 415
    assert ann.ask(method, path + '/consumers', body=b'{', Content_Type='application/json'
                   ).status_int == 400


def test_pages_of_consumers(ann, path, consumer, clock):
    field = list(consumer)[-1]
    for number in range(12):
        clock.forward(seconds=1)
        ann.post(path + '/consumers', {**consumer, field: f'{number}'})
    first = ann.get(path + '/consumers').json
    assert [found[field] for found in first['consumers']] == [str(number) for number in range(10)]
    assert first['total'] == 12
    second = ann.get(first['next']).json
    assert [found[field] for found in second['consumers']] == ['10', '11']
    assert urlsplit(second['previous']).path == path + '/consumers'
    assert len(ann.get(path, **V1_1).json['consumers']) == 12


def test_whom_an_acl_names_may_register_and_remove_what_its_project_registered(
        ann, eve, path, consumer):
    field = list(consumer)[-1]
    assert eve.post(path + '/consumers', consumer).status_int == 403
    ann.put(path + '/acl', {'read': {'users': ['eve']}})
    ann.post(path + '/consumers', consumer)
    hers = {**consumer, field: 'hers'}
    assert eve.post(path + '/consumers', hers).status_int == 200
    assert len(listed(eve, path)) == 2
    refused = eve.delete(path + '/consumers', json=consumer)
    assert (refused.status_int, refused.json['description']) == (403, NOT_YOURS)
    assert eve.delete(path + '/consumers', json=hers).json['consumers'] == [consumer]


def test_the_project_that_owns_the_thing_may_remove_every_consumer(ann, bob, eve, path, consumer):
    ann.put(path + '/acl', {'read': {'users': ['eve']}})
    eve.post(path + '/consumers', consumer)
    assert bob.delete(path + '/consumers', json=consumer).json['consumers'] == []


def test_consumers_of_what_a_colleague_keeps_private_are_not_shown(ann, bob, path, consumer):
    ann.put(path + '/acl', {'read': {'project-access': False}})
    assert bob.get(path + '/consumers').status_int == 403
    assert bob.post(path + '/consumers', consumer).status_int == 403
    assert bob.delete(path + '/consumers', json=consumer).status_int == 403


def test_a_project_registers_no_more_than_its_quota_but_again_what_it_has(
        folder, clock, kind, consumer):
    house = a_deployment(folder, {'quotas': {'consumers': 1}}, clock=clock)
    ann = Client(house.application)
    path = ann.secret() if kind == 'secret' else ann.container()
    assert ann.post(path + '/consumers', consumer).status_int == 200
    refused = ann.post(path + '/consumers', {**consumer, list(consumer)[-1]: 'another'})
    assert refused.status_int == 403
    assert 'a quota has been reached' in refused.json['description']
    assert ann.post(path + '/consumers', consumer).status_int == 200
    assert len(listed(ann, path)) == 1
    house.close()


def test_consumers_are_in_secrets_from_microversion_1_1_on(ann, clock):
    path, other = ann.secret(name='b'), ann.secret(name='a')
    for number in (2, 1, 3):
        clock.forward(seconds=1)
        ann.post(path + '/consumers', {**SERVER, 'resource_id': f'{number}'})
    assert 'consumers' not in ann.get(path).json
    assert 'consumers' not in ann.get('/v1/secrets').json['secrets'][0]
    for version in (V1_1, V1_2):
        told = ann.get(path, **version).json
        assert [found['resource_id'] for found in told['consumers']] == ['2', '1', '3']
        secrets = ann.get('/v1/secrets?sort=name', **version).json['secrets']
        assert secrets == [ann.get(other, **version).json, told]


@pytest.mark.parametrize(('query', 'found'), [
    ('limit=2', [('a', 3), ('b', 0)]), ('limit=2&offset=2', [('c', 2), ('d', 1)]),
    ('limit=2&sort=name:desc', [('d', 1), ('c', 2)]), ('offset=9', [])])
def test_a_page_of_secrets_is_as_long_as_asked_whatever_their_consumers(ann, clock, query, found):
    for name, consumers in (('a', 3), ('b', 0), ('c', 2), ('d', 1)):
        clock.forward(seconds=1)
        path = ann.secret(None, name=name)
        for number in range(consumers):
            ann.post(path + '/consumers', {**SERVER, 'resource_id': f'{number}'})
    page = ann.get(f'/v1/secrets?{query}', **V1_1).json
    assert [(secret['name'], len(secret['consumers'])) for secret in page['secrets']] == found
    assert page['total'] == 4


@pytest.mark.parametrize('headers', [{}, V1_1])
def test_below_1_2_a_secret_is_deleted_with_its_consumers(ann, headers):
    path = ann.secret()
    ann.post(path + '/consumers', SERVER)
    assert ann.delete(path, **headers).status_int == 204
    assert ann.get(path).status_int == 404


def test_from_1_2_on_consumers_keep_a_secret_unless_it_is_meant(ann):
    path = ann.secret()
    ann.post(path + '/consumers', SERVER)
    for query in ('', '?force=false', '?force=0'):
        refused = ann.delete(path + query, **V1_2)
        assert refused.status_int == 400
        assert 'Secret cannot be deleted as it has consumers.' in refused.json['description']
    assert ann.get(path + '/payload').body == b'a payload'
    assert ann.delete(path + '?force=perhaps', **V1_2).status_int == 400
    assert ann.delete(path + '?force=True', **V1_2).status_int == 204


@pytest.mark.parametrize('query', ['', '?force=1'])
def test_from_1_2_on_a_secret_without_consumers_is_deleted_as_ever(ann, query):
    path = ann.secret()
    ann.post(path + '/consumers', SERVER)
    ann.delete(path + '/consumers', json=SERVER)
    assert ann.delete(path + query, **V1_2).status_int == 204


def test_all_consumers_of_a_deleted_secret_make_room_for_others(folder, clock):
    house = a_deployment(folder, {'quotas': {'consumers': 15}}, clock=clock)
    ann = Client(house.application)
    for _ in range(2):
        path = ann.secret()
        for number in range(15):
            answer = ann.post(path + '/consumers', {**SERVER, 'resource_id': f'{number}'})
            assert answer.status_int == 200
        assert ann.delete(path).status_int == 204
    house.close()
