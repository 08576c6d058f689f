# SPDX-License-Identifier: Apache-2.0
"""Containers over HTTP, the same in both deployments."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.assertions import assert_refused, with_keystone
from tests.functional.km_server import new_text

UNKNOWN = '5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'


def a_container(km, members=None, *, who='alpha-member', **fields):
    """A new container's path.

    :param members: the paths of its secrets by their names in it.
    """
    refs = [{'name': name, 'secret_ref': km.url + path} for name, path in (members or {}).items()]
    made = km.post('/v1/containers', {'type': 'generic', 'secret_refs': refs, **fields}, who=who)
    assert made.status_code == 201, made.text
    return made.json()['container_ref'].removeprefix(km.url)


def members(km, path):
    """The paths of the secrets in a container, by name."""
    return {ref['name']: ref['secret_ref'].removeprefix(km.url)
            for ref in km.get(path).json()['secret_refs']}


@pytest.mark.parametrize(('kind', 'names'), [
    ('generic', ''), ('generic', 'anything else'), ('rsa', 'public_key private_key'),
    ('certificate', 'certificate private_key private_key_passphrase intermediates')])
def test_a_container_is_described_as_it_was_made(km, kind, names):
    secrets = {name: km.secret(None) for name in names.split()}
    path = a_container(km, secrets, type=kind, name='tls')
    told = km.get(path).json()
    assert told['created'] == told['updated']
    assert told == {
        'name': 'tls', 'type': kind, 'status': 'ACTIVE', 'creator_id': km.user_id(), 'consumers': [],
        'container_ref': km.url + path, 'created': told['created'], 'updated': told['updated'],
        'secret_refs': [{'name': name, 'secret_ref': km.url + secrets[name]}
                        for name in sorted(secrets)]}


@pytest.mark.parametrize('body', [
    {}, {'type': 'dsa'}, {'type': 'rsa'}, {'type': 'certificate', 'secret_refs': []},
    {'type': 'generic', 'secret_refs': [{'secret_ref': 'x'}]},
    {'type': 'generic', 'secret_refs': [{'secret_ref': UNKNOWN}, {'secret_ref': UNKNOWN, 'name': 'a'}]},
    {'type': 'generic', 'name': 'x\x00'}, {'type': 'generic', 'secret_refs': [None]}])
def test_a_container_that_cannot_be_is_refused(km, body):
    assert_refused(km.post('/v1/containers', body), 400)


def test_a_secret_that_is_not_there_is_in_no_container(km):
    body = {'type': 'generic', 'secret_refs': [{'name': 'it', 'secret_ref': UNKNOWN}]}
    refused = km.post('/v1/containers', body)
    assert_refused(refused, 404)
    assert "Secret provided for 'it' doesn't exist." in refused.json()['description']


def test_a_secret_is_added_removed_and_added_again(km):
    path, secret = a_container(km), km.secret(None)
    ref = {'name': 'it', 'secret_ref': km.url + secret}
    for _ in range(2):
        assert km.post(path + '/secrets', ref).status_code == 201
        assert_refused(km.post(path + '/secrets', ref), 409)
        assert members(km, path) == {'it': secret}
        removed = km.delete(path + '/secrets', json=ref)
        assert (removed.status_code, removed.content) == (204, b'')
        assert_refused(km.delete(path + '/secrets', json=ref), 404)
    assert km.get(secret).status_code == 200


def test_a_typed_container_is_never_changed(km):
    secret = km.secret(None)
    path = a_container(km, {'certificate': secret}, type='certificate')
    ref = {'name': 'certificate', 'secret_ref': km.url + secret}
    assert_refused(km.post(path + '/secrets', ref), 400)
    assert_refused(km.delete(path + '/secrets', json=ref), 400)


def test_deleting_a_secret_takes_it_out_and_deleting_a_container_leaves_its_secrets(km):
    gone, stays = km.secret(), km.secret()
    path = a_container(km, {'gone': gone, 'stays': stays})
    assert km.delete(gone).status_code == 204
    assert members(km, path) == {'stays': stays}
    deleted = km.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b'')
    for answer in (km.get(path), km.delete(path), km.get(path + '/acl'), km.get(path + '/consumers')):
        assert_refused(answer, 404)
    assert km.get(stays + '/payload').status_code == 200


def test_a_list_is_walked_page_by_page_with_all_that_is_in_it(km):
    name, secrets = new_text(), {letter: km.secret(None) for letter in 'abc'}
    made = [a_container(km, secrets, name=name) for _ in range(5)]
    for number in range(4):
        km.post(made[0] + '/consumers', {'name': 'lb', 'URL': f'http://lb/{number}'})
    answer = km.get('/v1/containers', params={'name': name, 'limit': 2}).json()
    found = answer['containers']
    while 'next' in answer:
        answer = km.get(answer['next']).json()
        found += answer['containers']
    assert answer['total'] == 5
    assert [container['container_ref'].removeprefix(km.url) for container in found] == made
    assert all(len(container['secret_refs']) == 3 for container in found)
    assert [len(container['consumers']) for container in found] == [4, 0, 0, 0, 0]
    assert km.get('/v1/containers', params={'name': name, 'type': 'rsa'}).json()['total'] == 0


@with_keystone
def test_a_container_is_its_projects(km):
    path = a_container(km, {'it': km.secret(None)})
    ref = {'secret_ref': km.url + km.secret(None, who='beta-member')}
    for answer in (km.get(path, who='beta-member'), km.get(path, who='beta-admin'),
                   km.delete(path, who='beta-admin'), km.get(path, who='alpha-reader'),
                   km.post(path + '/secrets', ref, who='beta-member')):
        assert_refused(answer, 403)
    assert_refused(km.post(path + '/secrets', ref), 404)
    assert km.get(path, who='alpha-other-member').status_code == 200


@with_keystone
def test_an_acl_of_a_container_opens_it_and_not_its_secrets(km):
    secret = km.secret()
    path = a_container(km, {'it': secret}, name=new_text())
    acl = {'read': {'users': [km.user_id('beta-member')], 'project-access': False}}
    assert km.put(path + '/acl', acl).json() == {'acl_ref': f'{km.url}{path}/acl'}
    assert km.get(path, who='beta-member').json()['secret_refs'] == [
        {'name': 'it', 'secret_ref': km.url + secret}]
    assert_refused(km.get(secret + '/payload', who='beta-member'), 403)
    assert_refused(km.get(path, who='alpha-other-member'), 403)
    query = {'name': km.get(path).json()['name']}
    listed = {who: km.get('/v1/containers', params=query, who=who).json()['total']
              for who in ('alpha-member', 'alpha-admin', 'alpha-other-member', 'beta-member')}
    assert listed == {'alpha-member': 1, 'alpha-admin': 1, 'alpha-other-member': 0, 'beta-member': 0}
    gone = km.delete(path + '/acl')
    assert (gone.status_code, gone.json()) == (200, None)
    assert_refused(km.get(path, who='beta-member'), 403)


def test_no_container_keeps_a_secret_that_is_deleted_while_it_is_made(km):
    for _ in range(8):
        stays, goes = km.secret(None), km.secret(None)
        refs = [{'name': name, 'secret_ref': km.url + path}
                for name, path in (('stays', stays), ('goes', goes))]
        with ThreadPoolExecutor(2) as threads:
            making = threads.submit(km.post, '/v1/containers', {'type': 'generic', 'secret_refs': refs})
            assert threads.submit(km.delete, goes).result().status_code == 204
        if making.result().status_code == 201:
            path = making.result().json()['container_ref']
            assert members(km, path) == {'stays': stays}
        else:
            assert_refused(making.result(), 404)
