# SPDX-License-Identifier: Apache-2.0
"""Who asks: without a proof nobody, whatever a client says of itself."""
import base64

import pytest

from tests.functional.assertions import assert_refused, standalone_only, with_keystone

PATHS = ('/v1', '/v1/', '/v1/secrets', '/v1/secrets/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11',
         '/v1/secrets/x/payload', '/v1/nothing')
CLAIMS = {
    'X_Project_Id': 'standalone', 'X_Tenant_Id': 'standalone', 'X_User_Id': 'admin',
    'X_User': 'admin', 'X_Roles': 'admin,member,reader', 'X_Role': 'admin',
    'X_Identity_Status': 'Confirmed', 'X_Service_Identity_Status': 'Confirmed',
    'X_Service_Roles': 'service', 'X_Is_Admin_Project': 'True', 'OpenStack_System_Scope': 'all'}


@pytest.mark.parametrize('path', PATHS)
def test_without_credentials_everything_below_v1_is_401(km, path):
    for method in ('GET', 'POST', 'PUT', 'DELETE'):
        answer = km.ask(method, path, who=None, json={})
        assert_refused(answer, 401)
        assert answer.headers['WWW-Authenticate']


@pytest.mark.parametrize('path', PATHS)
def test_who_only_claims_to_be_somebody_is_nobody(km, path):
    assert_refused(km.get(path, who=None, **CLAIMS), 401)
    raw = ''.join(f'{name.replace("_", separator)}: {value}\r\n' for name, value in CLAIMS.items()
                  for separator in '-_')
    answer = km.raw(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{raw}\r\n'.encode())
    assert answer.startswith((b'HTTP/1.1 401 ', b'HTTP/1.1 400 '))


@with_keystone
def test_claims_beside_a_token_change_nothing(km):
    path = km.secret()
    victim = {'X_Project_Id': km.session().get_project_id(), 'X_User_Id': km.user_id(),
              'X_Roles': 'admin,member', 'X_Tenant_Id': km.session().get_project_id()}
    for rest in ('', '/payload', '/acl'):
        assert_refused(km.get(path + rest, who='beta-member', **(CLAIMS | victim)), 403)
    assert_refused(km.post('/v1/secrets', {}, who='alpha-reader', **(CLAIMS | victim)), 403)
    made = km.post('/v1/secrets', {}, who='beta-member', **(CLAIMS | victim)).json()
    assert_refused(km.get(made['secret_ref'] + '/acl'), 403)
    told = km.get(made['secret_ref'], who='beta-member').json()
    assert told['creator_id'] == km.user_id('beta-member')


@with_keystone
@pytest.mark.parametrize('token', ['x', 'gAAAAABx', 'a' * 3000, 'ä', '"', '../..', '\x01'])
def test_what_is_no_token_is_401(km, token):
    header = token.encode().decode('latin-1')
    answer = km.raw(f'GET /v1/secrets HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                    f'X-Auth-Token: {header}\r\n\r\n'.encode('latin-1'))
    assert answer.startswith((b'HTTP/1.1 401 ', b'HTTP/1.1 400 '))


@with_keystone
def test_a_token_that_was_revoked_or_is_cut_is_401(km):
    token = km.hide(km.keystone.token('alpha-reader'))
    assert_refused(km.get('/v1/secrets', who=None, X_Auth_Token=token[:-2]), 401)
    km.keystone.session('admin').delete(
        km.keystone.auth_url + '/auth/tokens', headers={'X-Subject-Token': token})
    assert_refused(km.get('/v1/secrets', who=None, X_Auth_Token=token), 401)


@with_keystone
@pytest.mark.parametrize('scope', [{'system': {'all': True}}, 'unscoped'])
def test_a_token_without_a_project_is_401(km, scope):
    admin = km.keystone.user('admin')
    identity = {'methods': ['password'], 'password': {'user': {
        'name': admin.name, 'domain': {'id': 'default'}, 'password': admin.password}}}
    answer = km.post(km.keystone.auth_url + '/auth/tokens', who=None, json={
        'auth': {'identity': identity, 'scope': scope}})
    token = km.hide(answer.headers['X-Subject-Token'])
    assert_refused(km.get('/v1/secrets', who=None, X_Auth_Token=token), 401)


@with_keystone
def test_basic_credentials_are_nothing_to_a_km_behind_keystone(km):
    user = km.keystone.user('alpha-member')
    sent = base64.b64encode(f'{user.name}:{user.password}'.encode()).decode()
    assert_refused(km.get('/v1/secrets', who=None, Authorization=f'Basic {km.hide(sent)}'), 401)


@standalone_only
@pytest.mark.parametrize('sent', [
    'Basic', 'Basic ', 'Basic !!!!', 'Basic YWRtaW4=', 'Basic YWRtaW46', 'Basic ' + 'YQ==' * 2,
    'Basic YWRtaW46d3Jvbmc=', 'Bearer x', 'Basic ' + base64.b64encode(b'admin:' + b'x' * 80).decode(),
    'Basic ' + base64.b64encode(b'admin:\x00').decode(), 'Basic /////w==', 'Basic a b c',
    'Basic ' + base64.b64encode(b':').decode(), 'Basic ' + base64.b64encode(b'a:b:c').decode()])
def test_wrong_basic_credentials_are_401(km, sent):
    answer = km.get('/v1/secrets', who=None, Authorization=sent)
    assert_refused(answer, 401)
    assert answer.headers['WWW-Authenticate'].startswith('Basic realm=')


@standalone_only
def test_a_password_with_something_added_is_wrong(km):
    name, password = (km.openrc()[key] for key in ('OS_USERNAME', 'OS_PASSWORD'))
    for sent in (f'{name}:{password} ', f'{name}:{password}x', f'{name} :{password}',
                 f'{name}:{password[:-1]}', f'{name.upper()}:{password}'):
        header = 'Basic ' + base64.b64encode(sent.encode()).decode()
        assert_refused(km.get('/v1/secrets', who=None, Authorization=header), 401)
