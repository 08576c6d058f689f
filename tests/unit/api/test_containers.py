# SPDX-License-Identifier: Apache-2.0
"""``/v1/containers`` as the contract has it, section 7."""
import pytest

from km.testing.application import Client, a_deployment

UNKNOWN = '5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'


def members(client, path):
    """The paths of the secrets in a container, by name."""
    return {ref['name']: ref['secret_ref'].removeprefix('http://km.test:9311')
            for ref in client.get(path).json['secret_refs']}


def ref(path, name=None):
    return {'secret_ref': f'http://km.test:9311{path}', **({'name': name} if name else {})}


def test_a_container_is_created_and_described(ann, clock):
    certificate, key = ann.secret(), ann.secret()
    made = ann.post('/v1/containers/', {
        'type': 'certificate', 'name': ' tls ', 'secret_refs': [
            ref(key, 'private_key'), ref(certificate, 'certificate')]})
    assert made.status_int == 201
    assert list(made.json) == ['container_ref']
    assert made.headers['Location'] == made.json['container_ref']
    assert ann.get(made.json['container_ref']).json == {
        'created': '2030-01-01T12:00:00.123456', 'updated': '2030-01-01T12:00:00.123456',
        'status': 'ACTIVE', 'name': 'tls', 'type': 'certificate', 'creator_id': 'ann',
        'secret_refs': [ref(certificate, 'certificate'), ref(key, 'private_key')],
        'consumers': [], 'container_ref': made.json['container_ref']}


@pytest.mark.parametrize('body', [
    {'type': 'generic'}, {'type': 'generic', 'name': None, 'secret_refs': []},
    {'type': 'generic', 'name': '', 'anything': 'else'}])
def test_a_generic_container_may_be_empty(ann, body):
    told = ann.get(ann.post('/v1/containers', body).json['container_ref']).json
    assert (told['name'], told['secret_refs']) == (body.get('name'), [])


@pytest.mark.parametrize('name', [None, '', ' ', 'absent'])
def test_one_secret_needs_no_name(ann, name):
    given = {} if name == 'absent' else {'name': name}
    made = ann.post('/v1/containers', {
        'type': 'generic', 'secret_refs': [{**ref(ann.secret()), **given}, ref(ann.secret(), 'b')]})
    assert list(members(ann, made.json['container_ref'])) == [None, 'b']


@pytest.mark.parametrize(('kind', 'names', 'status'), [
    ('rsa', 'public_key private_key', 201),
    ('rsa', 'public_key private_key private_key_passphrase', 201),
    ('rsa', 'public_key', 400), ('rsa', 'private_key private_key_passphrase', 400), ('rsa', '', 400),
    ('rsa', 'public_key private_key certificate', 400),
    ('certificate', 'certificate', 201), ('certificate', 'certificate private_key', 201),
    ('certificate', 'certificate private_key private_key_passphrase intermediates', 201),
    ('certificate', 'private_key', 400), ('certificate', '', 400),
    ('certificate', 'certificate public_key', 400), ('certificate', 'certificate Private_Key', 400)])
def test_the_secrets_of_a_typed_container_have_the_names_of_its_type(ann, kind, names, status):
    refs = [ref(ann.secret(None), name) for name in names.split()]
    made = ann.post('/v1/containers', {'type': kind, 'secret_refs': refs})
    assert made.status_int == status
    if status == 400:
        assert "schema 'Container'" in made.json['description']
        assert "Invalid property: 'secret_refs'" in made.json['description']


@pytest.mark.parametrize('body', [
    {}, {'type': 'dsa'}, {'type': 'Generic'}, {'type': None}, {'type': ''},
    {'type': 'generic', 'name': 5}, {'type': 'generic', 'name': 'x' * 256},
    {'type': 'generic', 'secret_refs': None}, {'type': 'generic', 'secret_refs': {}},
    {'type': 'generic', 'secret_refs': ['x']},
    {'type': 'generic', 'secret_refs': [{}]}, {'type': 'generic', 'secret_refs': [{'name': 'x'}]},
    {'type': 'generic', 'secret_refs': [{'secret_ref': None}]},
    {'type': 'generic', 'secret_refs': [{'secret_ref': UNKNOWN, 'name': 'x' * 256}]},
    {'type': 'generic', 'secret_refs': [{'secret_ref': UNKNOWN, 'name': 7}]}])
def test_a_container_that_cannot_be_is_refused(ann, body):
    refused = ann.post('/v1/containers', body)
    assert refused.status_int == 400
    assert refused.json['description'].startswith(
        "Container(s) creation issue seen - Provided object does not match schema 'Container': ")
    assert ann.get('/v1/containers').json == {'containers': [], 'total': 0}


@pytest.mark.parametrize(('names', 'secrets'), [
    (('a', 'a'), (0, 1)), ((None, None), (0, 1)), (('', None), (0, 1)), (('a', 'b'), (0, 0))])
def test_names_and_secrets_are_in_a_container_once(ann, names, secrets):
    paths = [ann.secret(None), ann.secret(None)]
    refs = [ref(paths[of], name) for name, of in zip(names, secrets, strict=True)]
    refused = ann.post('/v1/containers', {'type': 'generic', 'secret_refs': refs})
    assert refused.status_int == 400
    assert 'that differ' in refused.json['description']


@pytest.mark.parametrize('form', [
    'http://km.test:9311/v1/secrets/{}', 'https://keys.example.org/v1/secrets/{}',
    'https://example.org/key-manager/v1/secrets/{}', 'http://10.0.0.1:9311/v1/v1/secrets/{}', '{}',
    '  {}  '])
def test_a_secret_is_named_by_any_absolute_link_or_its_id(ann, form):
    path = ann.secret()
    made = ann.post('/v1/containers', {'type': 'generic', 'secret_refs': [
        {'secret_ref': form.format(path.rpartition('/')[2])}]})
    assert members(ann, made.json['container_ref']) == {None: path}


@pytest.mark.parametrize('form', [
    '', '/v1/secrets/{}', 'secrets/{}', 'http://km.test:9311/v1/secrets/{}/', 'ftp://x/v1/secrets/{}',
    'http://km.test:9311/v1/secrets/{}/payload', 'http://km.test:9311/v1/orders/{}',
    'http://km.test:9311/v2/secrets/{}', 'http:///v1/secrets/{}', 'http://km.test:9311/v1/secrets/x',
    'http://km.test/?/v1/secrets/{}', 'http://km.test:9311/v1/secrets/{}?x=y', '{}x', 'x{}',
    'http://km test/v1/secrets/{}', 'javascript:alert(1)/v1/secrets/{}'])
def test_what_is_no_link_to_a_secret_is_not_supported(ann, form):
    wrong = {'secret_ref': form.format(ann.secret(None).rpartition('/')[2])}
    path = ann.container()
    for refused in (ann.post('/v1/containers', {'type': 'generic', 'secret_refs': [wrong]}),
                    ann.post(path + '/secrets', wrong), ann.delete(path + '/secrets', json=wrong)):
        assert refused.status_int == 400
        assert 'Provided field value is not supported' in refused.json['description']


def test_a_secret_that_is_not_there_or_anothers_is_told_by_its_name(ann, eve, clock):
    expiring, foreign, mine = ann.secret(expiration='2030-01-01T12:01'), eve.secret(), ann.secret()
    clock.forward(minutes=2)
    for missing in (expiring, foreign, f'/v1/secrets/{UNKNOWN}',
                    '/v1/secrets/00000000-0000-0000-0000-000000000000'):
        refused = ann.post('/v1/containers', {
            'type': 'generic', 'secret_refs': [ref(mine, 'there'), ref(missing, 'not there')]})
        assert refused.status_int == 404
        assert refused.json['description'] == (
            "Not Found. Secret provided for 'not there' doesn't exist.")
    assert ann.get('/v1/containers').json['total'] == 0


def test_what_a_colleague_keeps_private_may_be_named_but_is_not_shown_by_that(ann, bob):
    private = ann.secret()
    ann.put(private + '/acl', {'read': {'project-access': False}})
    assert members(bob, bob.container({'hers': private})) == {'hers': private}
    assert bob.get(private).status_int == 403
    assert bob.get(private + '/payload').status_int == 403


def test_a_deleted_container_leaves_its_secrets(ann):
    secret = ann.secret()
    path = ann.container({'it': secret})
    ann.put(path + '/acl', {'read': {'users': ['eve']}})
    ann.post(path + '/consumers', {'name': 'lb', 'URL': 'http://lb'})
    gone = ann.delete(path)
    assert (gone.status_int, gone.body) == (204, b'')
    for answer in (ann.get(path), ann.delete(path), ann.get(path + '/consumers'),
                   ann.get(path + '/acl')):
        assert answer.status_int == 404
        assert answer.json['description'] == 'Not Found. Secrets container not found.'
    assert ann.get(secret).status_int == 200


@pytest.mark.parametrize(('path', 'sentence'), [
    (UNKNOWN, 'Secrets container not found.'), ('x', 'Provided container id is invalid.'),
    (UNKNOWN.upper(), 'Provided container id is invalid.')])
def test_a_container_nobody_has_is_not_found(ann, path, sentence):
    for method in ('GET', 'DELETE'):
        refused = ann.ask(method, f'/v1/containers/{path}')
        assert (refused.status_int, refused.json['description']) == (404, f'Not Found. {sentence}')


@pytest.mark.parametrize(('method', 'rest', 'status'), [
    ('PUT', '', 405), ('PATCH', '', 405), ('GET', '/secrets', 405), ('GET', '/nothing', 404),
    ('POST', '/secrets/x', 404), ('GET', '/payload', 404), ('GET', '/metadata', 404)])
def test_there_is_no_other_way_to_a_container(ann, method, rest, status):
    assert ann.ask(method, ann.container() + rest).status_int == status


def test_containers_of_another_project_are_not_there(ann, eve):
    path = ann.container()
    assert eve.get(path).status_int == eve.delete(path).status_int == 403
    assert eve.post(path + '/secrets', ref(eve.secret())).status_int == 403
    assert eve.get('/v1/containers').json == {'containers': [], 'total': 0}


def test_an_acl_of_a_container_lets_read_it_and_not_its_secrets(ann, eve):
    secret = ann.secret()
    path = ann.container({'it': secret})
    assert ann.put(path + '/acl', {'read': {'users': ['eve']}}).json == {
        'acl_ref': f'http://km.test:9311{path}/acl'}
    assert members(eve, path) == {'it': secret}
    assert eve.get(secret).status_int == 403
    assert eve.get(path + '/acl').status_int == 403
    assert eve.delete(path).status_int == 403


def test_a_project_has_no_more_containers_than_its_quota(folder, clock):
    house = a_deployment(folder, {'quotas': {'containers': 1}}, clock=clock)
    ann = Client(house.application)
    path = ann.container()
    refused = ann.post('/v1/containers', {'type': 'generic'})
    assert (refused.status_int, refused.json['description']) == (
        403, 'Container(s) creation issue seen - Creation not allowed because a quota has been reached.')
    ann.delete(path)
    ann.container()
    house.close()
