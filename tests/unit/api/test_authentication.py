# SPDX-License-Identifier: Apache-2.0
"""Who asks, by each strategy. Keystone itself is in the functional tests."""
import base64

import bcrypt
import pytest
from webob import Request

from km.api.authentication import authenticated
from km.conf.load import load, new
from km.errors import Forbidden, Invalid, Misconfigured, Unauthenticated
from km.keystone import KnownTokens
from km.testing.application import a_deployment, write_conf

FORGED = {'X-User-Id': 'eve', 'X-Project-Id': 'beta', 'X-Roles': 'admin', 'X-Role': 'admin',
          'X-User': 'eve', 'X-User-Name': 'eve', 'X-Tenant-Id': 'beta', 'X-Tenant': 'beta',
          'X-Project-Name': 'beta', 'X-Domain-Id': 'd', 'X-Identity-Status': 'Confirmed',
          'X-Service-Identity-Status': 'Confirmed', 'X-Service-Roles': 'service',
          'X-Service-User-Id': 's', 'X-Service-Project-Id': 's', 'X-Is-Admin-Project': 'True',
          'X-Service-Catalog': '[]', 'OpenStack-System-Scope': 'all', 'X-User-Domain-Id': 'd'}


class Seen:
    """An app that remembers the environ it was given."""

    def __call__(self, environ, start_response):
        self.environ = environ
        start_response('200 OK', [])
        return []


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def conf(folder):
    conf = new()
    conf.set_override('connection', 'sqlite://', group='database')
    conf([], default_config_files=[])
    return conf


def ask(app, address='127.0.0.1', **headers):
    request = Request.blank('/v1', environ={'REMOTE_ADDR': address})
    for name, value in headers.items():
        request.headers[name.replace('_', '-')] = value
    request.environ['openstack.request_id'] = 'req-1'
    return request.call_application(app)


@pytest.fixture
def basic(conf, seen, folder):
    """The http_basic strategy with the user ann, whose password is 'pass:word'."""
    users = folder / 'users'
    users.write_text(f'ann:{bcrypt.hashpw(b"pass:word", bcrypt.gensalt(4)).decode()}\n')
    conf.set_override('auth_strategy', 'http_basic', group='api')
    conf.set_override('http_basic_user_file', str(users), group='api')
    return authenticated(seen, conf)


def credentials(text):
    return 'Basic ' + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def test_basic_knows_a_user_by_name_and_password_and_believes_no_header(basic, seen):
    ask(basic, Authorization=credentials('ann:pass:word'), **FORGED)
    identity = seen.environ['km.identity']
    assert (identity.user_id, identity.project_id, identity.roles, identity.request_id) == (
        'ann', 'standalone', ('admin', 'member', 'reader'), 'req-1')
    assert not [name for name in seen.environ if name.startswith(('HTTP_X_', 'HTTP_OPENSTACK'))]
    assert 'HTTP_AUTHORIZATION' not in seen.environ


@pytest.mark.parametrize('authorization', [
    None, '', 'Basic', 'Basic !!!!', 'Bearer x', credentials('ann'), credentials('ann:wrong'),
    credentials('bob:pass:word'), credentials(':'), credentials('ann:' + 'x' * 100),
    credentials('ann:pass:word\0'), credentials(b'\xff:x'), credentials('an:n:pass:word'),
    credentials('ann:$2b$04$'), credentials('x\nINFO km.audit forged:y'), 'Basic ' + 'A' * 5000])
def test_basic_refuses_everything_else_with_a_challenge(basic, authorization):
    headers = {} if authorization is None else {'Authorization': authorization}
    with pytest.raises(Unauthenticated) as refused:
        ask(basic, **headers, **FORGED)
    assert refused.value.challenge.startswith('Basic realm=')


def test_a_refusal_is_a_401_with_its_challenge(folder):
    (folder / 'users').write_text('')
    house = a_deployment(folder, {'api': {
        'auth_strategy': 'http_basic', 'http_basic_user_file': folder / 'users'}})
    answer = Request.blank('/v1/secrets').get_response(house.application)
    house.close()
    assert (answer.status_int, answer.json['title']) == (401, 'Unauthorized')
    assert answer.headers['WWW-Authenticate'].startswith('Basic realm=')


@pytest.mark.parametrize(('text', 'said'), [
    (None, 'is required'), ('ann:plain\n', 'without a bcrypt hash'), ('', 'cannot be read')])
def test_a_user_file_that_cannot_be_is_named_at_start(conf, seen, folder, text, said):
    conf.set_override('auth_strategy', 'http_basic', group='api')
    if text is not None:
        conf.set_override('http_basic_user_file', str(folder / 'users'), group='api')
    if text:
        (folder / 'users').write_text(text)
    with pytest.raises(Misconfigured, match=rf'\[api\] http_basic_user_file.*{said}'):
        authenticated(seen, conf)


@pytest.fixture
def noauth(conf, seen):
    conf.set_override('auth_strategy', 'noauth', group='api')
    return authenticated(seen, conf)


def test_noauth_takes_three_headers_at_their_word_and_no_other(noauth, seen):
    ask(noauth, **FORGED)
    identity = seen.environ['km.identity']
    assert (identity.user_id, identity.project_id, identity.roles) == ('eve', 'beta', ('admin',))
    assert sorted(name for name in seen.environ if name.startswith('HTTP_X_')) == [
        'HTTP_X_PROJECT_ID', 'HTTP_X_ROLES', 'HTTP_X_USER_ID']


def test_noauth_makes_an_admin_of_whoever_names_no_role(noauth, seen):
    ask(noauth, X_Project_Id='alpha')
    assert seen.environ['km.identity'].roles == ('admin', 'member', 'reader')


def test_noauth_needs_a_project(noauth):
    with pytest.raises(Invalid, match='X-Project-Id'):
        ask(noauth)


@pytest.mark.parametrize('name', ['X_Project_Id', 'X_User_Id', 'X_Roles'])
def test_noauth_takes_no_name_that_a_row_could_not_hold(noauth, name):
    with pytest.raises(Invalid, match='255 characters'):
        ask(noauth, **{'X_Project_Id': 'alpha', name: 'x' * 256})


def test_noauth_answers_the_loopback_interface_only_unless_told_twice(noauth, conf, seen):
    for address in ('127.0.0.1', '127.8.8.8', '::1', '', 'localhost'):
        ask(noauth, address, X_Project_Id='alpha')
    for address in ('192.0.2.1', '::ffff:192.0.2.1', '0.0.0.0', 'nonsense'):
        with pytest.raises(Forbidden):
            ask(noauth, address, X_Project_Id='alpha')
    conf.set_override('noauth_for_everyone', True, group='api')
    ask(authenticated(seen, conf), '192.0.2.1', X_Project_Id='alpha')


@pytest.fixture
def known(folder, seen):
    """The keystone strategy, before anybody has asked a Keystone."""
    return behind_keystone(folder, seen)


def behind_keystone(folder, app, **options):
    return KnownTokens(app, load(files=[str(write_conf(folder, {
        'api': options, 'keystone_authtoken': {
            'auth_type': 'none', 'endpoint': 'http://127.0.0.1:9',
            'www_authenticate_uri': 'http://127.0.0.1:9'}}))]))


def validated(known, token=None, **headers):
    """What ``auth_token`` passes on for a token it found valid."""
    environ = {'HTTP_X_AUTH_TOKEN': 'a token', 'openstack.request_id': 'req-1',
               'HTTP_X_PROJECT_ID': 'alpha', 'HTTP_X_USER_ID': 'ann', 'HTTP_X_ROLES': 'Member,reader',
               'keystone.token_info': {'token': {
                   'expires_at': '2099-01-01T00:00:00.000000Z', **(token or {})}}, **headers}
    known._validated(environ, lambda *_: None)
    return environ['km.identity']


def asked_again(known, seen, **headers):
    """The identity a later request with that token gets without anybody being asked, or None."""
    environ = {'HTTP_X_AUTH_TOKEN': 'a token', 'openstack.request_id': 'req-2', **headers}
    known._auth_token = lambda environ, start_response: None
    known(environ, lambda *_: None)
    return environ.get('km.identity')


def test_a_token_is_remembered_with_whom_it_is_and_each_request_keeps_its_name(known, seen):
    first = validated(known)
    assert (first.user_id, first.project_id, first.roles) == ('ann', 'alpha', ('member', 'reader'))
    again = asked_again(known, seen)
    assert (again.user_id, again.roles, again.request_id) == ('ann', ('member', 'reader'), 'req-2')


@pytest.mark.parametrize('token', [
    {'bind': {'kerberos': 'ann'}}, {'application_credential': {'access_rules': []}},
    {'expires_at': '2020-01-01T00:00:00.000000Z'}])
def test_a_token_that_means_something_else_to_another_request_is_not_remembered(known, seen, token):
    validated(known, token)
    assert asked_again(known, seen) is None


def test_nothing_is_remembered_of_or_for_a_request_with_a_service_token(known, seen):
    validated(known, HTTP_X_SERVICE_TOKEN='service')
    assert asked_again(known, seen) is None
    validated(known)
    assert asked_again(known, seen, HTTP_X_SERVICE_TOKEN='service') is None


def test_another_token_is_another_token(known, seen):
    validated(known)
    assert asked_again(known, seen, HTTP_X_AUTH_TOKEN='a token.') is None
    assert asked_again(known, seen, HTTP_X_AUTH_TOKEN='') is None


def test_a_token_is_remembered_for_as_long_as_an_operator_wants(folder, seen):
    known = behind_keystone(folder, seen, token_memory_seconds=0)
    validated(known)
    assert asked_again(known, seen) is None


def test_a_token_without_a_project_is_nobodys(known):
    with pytest.raises(Unauthenticated, match='not scoped to a project'):
        validated(known, HTTP_X_PROJECT_ID='')


def test_behind_keystone_its_options_are_required(conf, seen):
    with pytest.raises(Misconfigured, match=r'\[keystone_authtoken\] auth_type is required'):
        KnownTokens(seen, conf)
