# SPDX-License-Identifier: Apache-2.0
"""The one place that asks, over HTTP: what is not there, what is forbidden, what is written down."""
import logging
import uuid
from dataclasses import replace

import pytest

PRIVATE = {'read': {'project-access': False}}
UNKNOWN = f'/v1/secrets/{uuid.uuid4()}'
DENIED = ' attempt not allowed - please review your user/project privileges'

#: method, path below a secret, body, operation: everything that one can do to a secret.
READS = [
    ('GET', '', None, 'Secret retrieval'),
    ('GET', '/payload', None, 'Secret payload retrieval'),
    ('GET', '/metadata', None, 'Secret metadata retrieval'),
    ('GET', '/metadata/colour', None, 'Secret metadatum retrieval')]
WRITES = [
    ('DELETE', '', None, 'Secret deletion'),
    ('PUT', '', None, 'Secret update'),
    ('PUT', '/metadata', {'metadata': {}}, 'Secret metadata creation'),
    ('POST', '/metadata', {'key': 'k', 'value': 'v'}, 'Secret metadatum creation'),
    ('PUT', '/metadata/colour', {'key': 'colour', 'value': 'v'}, 'Secret metadatum update'),
    ('POST', '/metadata/colour', {'key': 'colour', 'value': 'v'}, 'Secret metadatum creation'),
    ('DELETE', '/metadata/colour', None, 'Secret metadatum removal'),
    ('GET', '/acl', None, 'SecretACL(s) retrieval'),
    ('PUT', '/acl', {'read': {'users': ['bob', 'eve']}}, 'SecretACL(s) Update'),
    ('PATCH', '/acl', {'read': {'users': ['bob', 'eve']}}, 'SecretACL(s) Update'),
    ('DELETE', '/acl', None, 'SecretACL(s) deletion')]


@pytest.fixture
def shared(ann):
    """A secret of ann's with user metadata, private but for bob's and eve's reading."""
    path = ann.secret('unmistakable')
    ann.put(path + '/metadata', {'metadata': {'colour': 'blue'}})
    ann.put(path + '/acl', {'read': {'project-access': False, 'users': ['bob', 'eve']}})
    return path


@pytest.fixture
def audit(caplog):
    """What the audit log has been told since the last look."""
    caplog.set_level(logging.INFO, logger='km.audit')

    def look():
        told = [record.getMessage() for record in caplog.records if record.name == 'km.audit']
        caplog.clear()
        return told

    return look


def names(response):
    return sorted(secret['name'] for secret in response.json['secrets'])


def carl_of(ann):
    """A member of the project whom no ACL names."""
    return replace(ann, user_id='carl')


@pytest.mark.parametrize('path', [
    '/v1/frobs', '/v1/secrets/x/frob', '/v1/secrets/x/payload/y', '/v1/secrets/x/acl/y',
    '/v1/secrets/x/metadata/k/y', '/v1/SECRETS', '/v1/v1/secrets', '/v1/secrets.json'])
@pytest.mark.parametrize('method', ['GET', 'DELETE', 'FROB'])
def test_what_has_no_rule_does_not_exist(ann, method, path):
    missing = ann.ask(method, path)
    assert missing.status_int == 404
    assert missing.content_type == 'application/json'
    assert missing.json == {'code': 404, 'title': 'Not Found', 'description': ''}


@pytest.mark.parametrize(('path', 'allowed'), [
    ('/v1', 'GET'), ('/v1/secrets', 'GET, POST'), (UNKNOWN, 'DELETE, GET, PUT'),
    (UNKNOWN + '/payload', 'GET'), (UNKNOWN + '/acl', 'DELETE, GET, PATCH, PUT'),
    (UNKNOWN + '/metadata', 'GET, POST, PUT'),
    (UNKNOWN + '/metadata/k', 'DELETE, GET, POST, PUT')])
def test_a_wrong_method_is_told_the_right_ones(ann, path, allowed):
    for method in {'HEAD', 'FROB', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE'} - set(
            allowed.split(', ')):
        refused = ann.ask(method, path)
        assert (refused.status_int, refused.headers['Allow']) == (405, allowed)
        if method != 'HEAD':
            assert refused.json['title'] == 'Method Not Allowed'
            assert refused.json['code'] == 405


def test_a_query_cannot_change_the_method(ann):
    path = ann.secret()
    assert ann.get(path + '?_method=DELETE').status_int == 200
    assert ann.post(path + '?_method=DELETE', {}).status_int == 405
    assert ann.post(path, {}, X_HTTP_Method_Override='DELETE').status_int == 405
    assert ann.get(path).status_int == 200


@pytest.mark.parametrize(('method', 'rest', 'body', 'operation'), READS + WRITES)
def test_a_foreign_secret_is_forbidden_in_the_words_of_the_contract(
        ann, eve, method, rest, body, operation):
    refused = eve.ask(method, ann.secret() + rest, json=body)
    assert refused.status_int == 403
    assert refused.json == {'code': 403, 'title': 'Forbidden', 'description': operation + DENIED}


@pytest.mark.parametrize(('method', 'rest', 'body', 'operation'), READS + WRITES)
def test_a_private_secret_is_forbidden_to_other_members(
        ann, shared, method, rest, body, operation):
    refused = carl_of(ann).ask(method, shared + rest, json=body)
    assert (refused.status_int, refused.json['description']) == (403, operation + DENIED)
    assert ann.get(shared + '/payload').body == b'unmistakable'
    assert ann.get(shared + '/acl').json['read']['users'] == ['bob', 'eve']


@pytest.mark.parametrize(('method', 'rest', 'body', '_operation'), READS)
def test_who_is_named_in_the_acl_may_read_whatever_their_project(
        bob, eve, shared, method, rest, body, _operation):
    for reader in (bob, eve, replace(eve, roles='')):
        assert reader.ask(method, shared + rest, json=body).status_int == 200


@pytest.mark.parametrize(('method', 'rest', 'body', 'operation'), WRITES)
def test_who_is_named_in_the_acl_may_not_write_nor_see_the_acl(
        bob, eve, shared, method, rest, body, operation):
    for reader in (bob, eve):
        refused = reader.ask(method, shared + rest, json=body)
        assert (refused.status_int, refused.json['description']) == (403, operation + DENIED)


@pytest.mark.parametrize(('method', 'rest', 'body', '_operation'), [
    call for call in READS + WRITES if call[:2] not in (('PUT', ''), ('DELETE', ''))])
@pytest.mark.parametrize('user', ['ann', 'admin'])
def test_owner_and_project_admin_may_do_everything_to_a_private_secret(
        request, user, shared, method, rest, body, _operation):
    done = request.getfixturevalue(user).ask(method, shared + rest, json=body)
    assert done.status_int in (200, 201, 204)


def test_the_admin_of_another_project_may_see_and_delete_a_secret_and_no_more(eve, shared):
    mallory = replace(eve, user_id='mallory', roles='admin,member,reader')
    for method, rest, body, _ in READS[1:] + WRITES[1:]:
        assert mallory.ask(method, shared + rest, json=body).status_int == 403
    assert mallory.get(shared).status_int == 200
    assert mallory.get(shared, Accept='application/octet-stream').status_int == 403
    assert mallory.delete(shared).status_int == 204


def test_private_secrets_are_listed_for_owner_project_admin_and_acl_users_only(
        ann, bob, admin, eve):
    ann.secret(name='open')
    ann.put(ann.secret(name='private') + '/acl', PRIVATE)
    ann.put(ann.secret(name="bob's too") + '/acl',
            {'read': {'project-access': False, 'users': ['bob']}})
    everything = ["bob's too", 'open', 'private']
    for user, seen in ((ann, everything), (admin, everything), (bob, ["bob's too", 'open']),
                       (carl_of(ann), ['open']), (eve, []),
                       (replace(eve, user_id='ann'), [])):
        listed = user.get('/v1/secrets')
        assert names(listed) == seen
        assert listed.json['total'] == len(seen)


@pytest.mark.parametrize('nobody', [None, '', 'None'])
def test_somebody_without_a_user_sees_no_private_secrets_listed(ann, nobody):
    ann.put(ann.secret(name='private') + '/acl', PRIVATE)
    assert names(replace(ann, user_id=nobody).get('/v1/secrets')) == []


def test_acl_only_lists_what_other_projects_share_and_nothing_else(ann, bob, eve, shared):
    eve.put(eve.secret(name="eve's, for all") + '/acl', {'read': {'users': ['ann', 'bob']}})
    eve.put(eve.secret(name="eve's, for ann") + '/acl',
            {'read': {'users': ['ann'], 'project-access': False}})
    eve.secret(name='not shared')
    assert names(ann.get('/v1/secrets?acl_only=true')) == ["eve's, for all", "eve's, for ann"]
    assert names(bob.get('/v1/secrets?acl_only=true')) == ["eve's, for all"]
    assert [found['secret_ref'] for found in eve.get('/v1/secrets?acl_only=true').json['secrets']
            ] == ['http://km.test:9311' + shared]


@pytest.mark.parametrize('query', [
    'target.secret.read=read', 'target.secret.project_id=beta', 'target.secret.creator_id=eve',
    'target.secret.read_project_access=True', 'enforce_new_defaults=False', 'roles=admin',
    'project_id=alpha&user_id=ann'])
def test_no_query_gets_into_a_decision(ann, eve, shared, query):
    """(CVE-2022-3100) query parameters overwrote what the database says of a secret."""
    for method, rest, body, operation in READS + WRITES:
        refused = carl_of(ann).ask(method, f'{shared}{rest}?{query}', json=body)
        assert (refused.status_int, refused.json['description']) == (403, operation + DENIED)
    assert eve.get(f'{ann.secret()}/payload?{query}').status_int == 403
    assert replace(ann, roles='reader').post(f'/v1/secrets?{query}', {}).status_int == 403


@pytest.mark.parametrize('header', ['target.secret.read', 'X_Is_Admin_Project', 'X_Service_Roles',
                                    'X_Domain_Id', 'X_Identity_Status', 'OpenStack_System_Scope'])
def test_no_header_gets_into_a_decision(ann, eve, header):
    assert eve.get(ann.secret() + '/payload', **{header: 'read'}).status_int == 403


def test_an_unknown_id_is_not_found_even_for_who_may_do_nothing(ann):
    nobody = replace(ann, roles='')
    assert nobody.get(UNKNOWN).json['description'] == 'Not Found. Secret not found.'
    assert nobody.get('/v1/secrets').status_int == 403


def test_forbidden_comes_before_anything_that_is_wrong_with_the_body(ann, eve):
    path = ann.secret(None)
    assert eve.put(path, body=b'{', Content_Type='no/type').status_int == 403
    assert replace(ann, roles='reader').post('/v1/secrets', body=b'{').status_int == 403


@pytest.mark.parametrize(('method', 'rest', 'body', 'action', 'status'), [
    ('GET', '/payload', None, 'secret:decrypt "Secret payload retrieval"', 200),
    ('DELETE', '', None, 'secret:delete "Secret deletion"', 204),
    ('PUT', '/acl', PRIVATE, 'secret_acls:put_patch "SecretACL(s) Update"', 200),
    ('PATCH', '/acl', PRIVATE, 'secret_acls:put_patch "SecretACL(s) Update"', 200),
    ('DELETE', '/acl', None, 'secret_acls:delete "SecretACL(s) deletion"', 200)])
def test_what_matters_is_in_the_audit_record_once(ann, audit, method, rest, body, action, status):
    path = ann.secret('unmistakable')
    audit()
    done = ann.ask(method, path + rest, json=body)
    secret_id = path.rpartition('/')[2]
    assert audit() == [f'{action} secret={secret_id} owner=alpha user=ann project=alpha '
                       f'outcome={status} request={done.headers["X-OpenStack-Request-ID"]}']


def test_a_new_secret_is_in_the_audit_record_by_its_id_and_not_its_payload(ann, audit):
    made = ann.post('/v1/secrets', {'payload': 'unmistakable', 'name': 'disk',
                                    'payload_content_type': 'text/plain'})
    told = audit()
    assert told == [
        f'secrets:post "Secret creation" secret={made.json["secret_ref"].rpartition("/")[2]} '
        f'owner=alpha user=ann project=alpha outcome=201 '
        f'request={made.headers["X-OpenStack-Request-ID"]}']


def test_other_things_are_in_the_audit_record_by_their_kind(ann, admin, audit):
    made = ann.post('/v1/orders', {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}})
    path = ann.container()
    ann.delete(path)
    admin.put('/v1/project-quotas/gamma owner=x', {'project_quotas': {'secrets': 1}})
    ordered, deleted, limited = audit()
    assert f' order={made.json["order_ref"].rpartition("/")[2]} owner=alpha ' in ordered
    assert f' container={path.rpartition("/")[2]} owner=alpha ' in deleted
    assert " project='gamma owner=x' owner=alpha " in limited


def test_a_payload_put_or_read_the_deprecated_way_is_in_the_audit_record(ann, audit):
    path = ann.secret(None)
    audit()
    ann.put(path, body=b'unmistakable', Content_Type='text/plain')
    ann.get(path, Accept='text/plain')
    told = audit()
    assert [line.partition(' ')[0] for line in told] == ['secret:put', 'secret:decrypt']
    assert 'unmistakable' not in ''.join(told)


def test_an_audited_request_that_fails_is_recorded_as_failed(ann, audit):
    ann.post('/v1/secrets', {'payload': ''})
    assert ['outcome=400' in line for line in audit()] == [True]


@pytest.mark.parametrize(('method', 'rest', 'body', 'operation'), READS + WRITES)
def test_every_denial_is_in_the_audit_record(ann, eve, audit, method, rest, body, operation):
    path = ann.secret()
    audit()
    eve.ask(method, path + rest, json=body)
    [told] = audit()
    secret_id = path.rpartition('/')[2]
    assert (f'"{operation}" secret={secret_id} owner=alpha user=eve project=beta outcome=denied '
            'request=req-') in told


def test_lists_and_reads_of_metadata_are_not_in_the_audit_record(ann, audit, shared):
    audit()
    for path in ('/v1', '/v1/secrets', shared, shared + '/metadata', shared + '/acl', UNKNOWN):
        ann.get(path)
    assert audit() == []
