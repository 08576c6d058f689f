# SPDX-License-Identifier: Apache-2.0
"""Secrets in containers: added, removed, and gone; contract section 7."""
import pytest

from tests.unit.api.test_containers import UNKNOWN, members, ref


def test_a_secret_is_added_removed_and_added_again(ann, clock):
    path, secret = ann.container(name='box'), ann.secret()
    clock.forward(seconds=1)
    for _ in range(2):
        added = ann.post(path + '/secrets', ref(secret, 'it'))
        assert (added.status_int, added.json) == (
            201, {'container_ref': f'http://km.test:9311{path}'})
        assert added.headers['Location'] == added.json['container_ref']
        assert members(ann, path) == {'it': secret}
        assert ann.get(path).json['updated'] == '2030-01-01T12:00:01.123456'
        removed = ann.delete(path + '/secrets', json=ref(secret, 'it'))
        assert (removed.status_int, removed.body) == (204, b'')
        assert members(ann, path) == {}
    assert ann.get(secret).status_int == 200


def test_a_secret_and_a_name_are_added_once(ann):
    secret, other = ann.secret(), ann.secret()
    path = ann.container({'it': secret})
    for wrong in (ref(secret), ref(secret, 'other'), ref(other, 'it')):
        assert ann.post(path + '/secrets', wrong).status_int == 409
    assert members(ann, path) == {'it': secret}


def test_any_number_of_secrets_can_be_added_without_a_name(ann):
    path, secrets = ann.container(), [ann.secret() for _ in range(3)]
    for secret in secrets:
        assert ann.post(path + '/secrets', ref(secret)).status_int == 201
    held = ann.get(path).json['secret_refs']
    assert [one['name'] for one in held] == [None] * 3
    assert {'/v1' + one['secret_ref'].partition('/v1')[2] for one in held} == set(secrets)
    assert ann.delete(path + '/secrets', json=ref(secrets[0], '')).status_int == 204
    assert ann.delete(path + '/secrets', json=ref(secrets[1], 'it')).status_int == 404


def test_a_secret_that_is_not_there_cannot_be_added(ann, eve):
    path = ann.container()
    for missing in (eve.secret(), f'/v1/secrets/{UNKNOWN}'):
        refused = ann.post(path + '/secrets', ref(missing, 'x'))
        assert (refused.status_int, refused.json['description']) == (
            404, "Not Found. Secret provided doesn't exist.")


def test_only_what_is_in_a_container_can_be_removed(ann):
    secret = ann.secret()
    path = ann.container({'it': secret})
    for wrong in (ref(ann.secret()), ref(secret, 'other'), ref(f'/v1/secrets/{UNKNOWN}')):
        refused = ann.delete(path + '/secrets', json=wrong)
        assert refused.status_int == 404
        assert 'Secret provided is not in the container' in refused.json['description']
    assert ann.delete(path + '/secrets', json=ref(secret)).status_int == 204


@pytest.mark.parametrize('method', ['POST', 'DELETE'])
def test_a_typed_container_is_never_changed(ann, method):
    certificate = ann.secret()
    path = ann.container({'certificate': certificate}, type='certificate')
    refused = ann.ask(method, path + '/secrets', json=ref(certificate, 'certificate'))
    assert refused.status_int == 400
    assert "Only 'generic' containers can be modified." in refused.json['description']
    assert members(ann, path) == {'certificate': certificate}


@pytest.mark.parametrize('body', [{}, {'secret_ref': None}, {'secret_ref': UNKNOWN, 'name': 5}])
@pytest.mark.parametrize('method', ['POST', 'DELETE'])
def test_a_change_that_cannot_be_is_refused(ann, method, body):
    refused = ann.ask(method, ann.container() + '/secrets', json=body)
    assert refused.status_int == 400
    assert "schema 'ContainerSecret'" in refused.json['description']


def test_what_is_to_be_removed_is_said_in_json(ann):
    assert ann.delete(ann.container() + '/secrets').status_int == 415


def test_a_deleted_secret_is_in_no_container_any_more(ann):
    gone, stays = ann.secret(), ann.secret()
    path = ann.container({'public_key': gone, 'private_key': stays}, type='rsa')
    assert ann.delete(gone).status_int == 204
    assert members(ann, path) == {'private_key': stays}
    assert len(ann.get('/v1/containers').json['containers'][0]['secret_refs']) == 1


def test_an_expired_secret_is_in_no_container_and_its_name_is_free_before_any_sweep(ann, clock):
    path = ann.container({'it': ann.secret(expiration='2030-01-01T12:01')})
    clock.forward(minutes=2)
    assert members(ann, path) == {}
    assert ann.get('/v1/containers').json['containers'][0]['secret_refs'] == []
    follower = ann.secret()
    assert ann.post(path + '/secrets', ref(follower, 'it')).status_int == 201
    assert members(ann, path) == {'it': follower}
