# SPDX-License-Identifier: Apache-2.0
"""Who may do what to whose secrets: roles, projects, ACLs and privacy, with real tokens."""
import pytest

from tests.functional.assertions import assert_refused, with_keystone

OWNER, COLLEAGUE, BOSS, READER = 'alpha-member', 'alpha-other-member', 'alpha-admin', 'alpha-reader'
STRANGER, STRANGE_ADMIN, STRANGE_READER = 'beta-member', 'beta-admin', 'beta-reader'
EVERYBODY = (OWNER, COLLEAGUE, BOSS, READER, STRANGER, STRANGE_ADMIN, STRANGE_READER)
#: What is done to a secret: method, rest of the path, JSON or nothing.
DEEDS = {
    'get': ('GET', '', None),
    'payload': ('GET', '/payload', None),
    'metadata': ('GET', '/metadata', None),
    'acl': ('GET', '/acl', None),
    'change acl': ('PATCH', '/acl', {'read': {}}),
    'change metadata': ('PUT', '/metadata', {'metadata': {}}),
    'delete': ('DELETE', '', None),
}
READING = {'get', 'payload', 'metadata'}
ALL = set(DEEDS)


def allowed(km, path, who):
    """What ``who`` is let do to a secret; what is not answered with success is a 403."""
    found = set()
    for deed, (method, rest, json) in DEEDS.items():
        answer = km.ask(method, path + rest, json=json, who=who)
        if answer.status_code < 300:
            found.add(deed)
        else:
            assert_refused(answer, 403)
    return found


@with_keystone
@pytest.mark.parametrize(('who', 'expected'), [
    (OWNER, ALL), (COLLEAGUE, ALL), (BOSS, ALL), (READER, set()), (STRANGER, set()),
    (STRANGE_READER, set()), (STRANGE_ADMIN, {'get', 'delete'})])
def test_a_secret_is_its_projects(km, who, expected):
    assert allowed(km, km.secret(), who) == expected


@with_keystone
@pytest.mark.parametrize(('who', 'expected'), [
    (OWNER, ALL), (COLLEAGUE, set()), (BOSS, ALL), (READER, set()), (STRANGER, set()),
    (STRANGE_ADMIN, {'get', 'delete'})])
def test_a_private_secret_is_its_owners_and_the_projects_admins(km, who, expected):
    path = km.secret()
    km.put(path + '/acl', {'read': {'project-access': False}})
    assert allowed(km, path, who) == expected


@with_keystone
@pytest.mark.parametrize('who', [READER, STRANGER, STRANGE_READER])
@pytest.mark.parametrize('private', [True, False])
def test_an_acl_lets_anybody_read_and_nothing_else(km, who, private):
    path = km.secret()
    km.put(path + '/acl', {'read': {'users': [km.user_id(who)], 'project-access': not private}})
    assert allowed(km, path, who) == READING
    assert km.get(path, who=who, Accept='application/octet-stream').status_code == 200
    km.delete(path + '/acl')
    assert allowed(km, path, who) == set()


@with_keystone
def test_an_acl_lets_a_colleague_read_a_private_secret_and_no_more(km):
    path = km.secret()
    users = [km.user_id(COLLEAGUE)]
    km.put(path + '/acl', {'read': {'users': users, 'project-access': False}})
    assert allowed(km, path, COLLEAGUE) == READING


@with_keystone
@pytest.mark.parametrize('query', [
    '?target.secret.read=read', '?target.secret.read_project_access=True', '?user_id=x',
    '?target.secret.project_id=x&target.secret.creator_id=x', '?project_id=x', '?_method=DELETE'])
def test_no_query_parameter_opens_a_foreign_secret(km, query):
    path = km.secret()
    assert_refused(km.get(path + '/payload' + query, who=STRANGER), 403)
    assert_refused(km.get(path + query, who=STRANGER), 403)
    assert_refused(km.delete(path + query, who=STRANGER), 403)
    assert km.get(path).status_code == 200


@with_keystone
@pytest.mark.parametrize('who', EVERYBODY)
def test_a_secret_nobody_has_is_unknown_to_everybody(km, who):
    path = '/v1/secrets/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
    for rest in ('', '/payload', '/acl', '/metadata'):
        assert_refused(km.get(path + rest, who=who), 404)


@with_keystone
@pytest.mark.parametrize(('who', 'status'), [
    (OWNER, 201), (BOSS, 201), (STRANGE_ADMIN, 201), (READER, 403), (STRANGE_READER, 403)])
def test_members_make_secrets_and_readers_do_not(km, who, status):
    assert km.post('/v1/secrets', {}, who=who).status_code == status
    assert km.get('/v1/secrets', who=who).status_code == (403 if status == 403 else 200)


@with_keystone
def test_a_list_shows_no_other_project_and_nobody_elses_private_secrets(km):
    open_, private = km.secret(name='in the open'), km.secret(name='private')
    km.put(private + '/acl', {'read': {'project-access': False}})

    def seen(who):
        answer = km.get('/v1/secrets?sort=created:desc&limit=100', who=who).json()
        refs = {secret['secret_ref'].removeprefix(km.url) for secret in answer['secrets']}
        return {open_, private} & refs

    assert seen(OWNER) == seen(BOSS) == {open_, private}
    assert seen(COLLEAGUE) == {open_}
    assert seen(STRANGER) == seen(STRANGE_ADMIN) == set()


@with_keystone
def test_what_acls_share_is_listed_on_demand(km):
    path = km.secret(name='shared')
    km.put(path + '/acl', {'read': {'users': [km.user_id(STRANGER)]}})

    def shared_with(who):
        answer = km.get('/v1/secrets?acl_only=true&limit=100', who=who).json()
        return path in {secret['secret_ref'].removeprefix(km.url) for secret in answer['secrets']}

    assert shared_with(STRANGER)
    assert not shared_with(OWNER)
    assert not shared_with(STRANGE_ADMIN)
    km.delete(path)
    assert not shared_with(STRANGER)


def test_an_acl_is_set_changed_and_removed(km):
    path = km.secret() + '/acl'
    assert km.get(path).json() == {'read': {'project-access': True}}
    ref = {'acl_ref': km.url + path}
    for method, sent, users, access in (
            ('PUT', {'users': ['b', 'a']}, ['a', 'b'], True),
            ('PATCH', {'project-access': False}, ['a', 'b'], False),
            ('PATCH', {'users': ['c']}, ['c'], False),
            ('PUT', {'users': ['d', 'd']}, ['d'], True)):
        answer = km.ask(method, path, json={'read': sent})
        assert (answer.status_code, answer.json()) == (200, ref)
        read = km.get(path).json()['read']
        assert (sorted(read['users']), read['project-access']) == (users, access)
        assert read['updated'] >= read['created']
    gone = km.delete(path)
    assert (gone.status_code, gone.json()) == (200, None)
    assert km.delete(path).status_code == 200
    assert km.get(path).json() == {'read': {'project-access': True}}


@pytest.mark.parametrize('body', [
    {'write': {}}, {'read': {'more': 1}}, {'read': []}, {'read': None}, {'read': {'users': 'a'}},
    {'read': {'users': ['a', 7]}}, {'read': {'users': [None]}}, {'read': {'users': ['x' * 256]}},
    {'read': {'project-access': 'no'}}, {'read': {'project-access': 0}}, {'read': {'users': ['']}},
    {'read': {'users': ['a\x00']}}, {'read': {'users': None}}])
def test_an_acl_that_cannot_be_is_refused(km, body):
    path = km.secret() + '/acl'
    assert_refused(km.put(path, body), 400)
    assert_refused(km.patch(path, body), 400)
    assert km.get(path).json() == {'read': {'project-access': True}}


def test_an_acl_cannot_be_posted(km):
    assert_refused(km.post(km.secret() + '/acl', {'read': {}}), 405)
