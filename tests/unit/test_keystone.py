# SPDX-License-Identifier: Apache-2.0
"""Tokens that come without a request. What a real Keystone says of them is in the functional tests."""
import pytest

from km.conf.load import load
from km.errors import Unauthenticated
from km.keystone import KnownTokens, Tokens
from km.testing.application import write_conf

SECTIONS = {'keystone_authtoken': {'auth_type': 'none', 'endpoint': 'http://127.0.0.1:9',
                                   'www_authenticate_uri': 'http://127.0.0.1:9',
                                   'http_connect_timeout': 1, 'http_request_max_retries': 0}}


@pytest.fixture
def conf(folder):
    return load(files=[str(write_conf(folder, SECTIONS))])


def remembered(known, token):
    """``known``, after Keystone found a token valid."""
    known._validated({
        'HTTP_X_AUTH_TOKEN': token, 'openstack.request_id': 'req-1', 'HTTP_X_PROJECT_ID': 'alpha',
        'HTTP_X_USER_ID': 'ann', 'HTTP_X_ROLES': 'Member', 'keystone.token_info': {
            'token': {'expires_at': '2099-01-01T00:00:00.000000Z'}}}, lambda *_: None)
    return known


def test_a_token_that_was_valid_a_moment_ago_is_still(conf):
    tokens = Tokens(conf)
    remembered(tokens._known, 'a token')
    identity = tokens.identity('a token', None, request_id='req-2')
    assert (identity.user_id, identity.project_id, identity.roles, identity.request_id) == (
        'ann', 'alpha', ('member',), 'req-2')
    assert (identity.token, identity.service_token) == (None, None)


@pytest.mark.parametrize('token', [None, ''])
def test_no_token_is_nobody(conf, token):
    with pytest.raises(Unauthenticated):
        Tokens(conf).identity(token, None, request_id='')


def test_tokens_are_passed_on_only_where_somebody_needs_them(conf):
    for passed_on in (True, False):
        seen = []
        known = KnownTokens(lambda environ, _, seen=seen: seen.append(environ['km.identity']), conf,
                            passed_on=passed_on)
        remembered(known, 'a token')
        known({'HTTP_X_AUTH_TOKEN': 'a token', 'openstack.request_id': 'req-2'}, lambda *_: None)
        assert [identity.token for identity in seen] == ['a token' if passed_on else None] * 2
        assert 'a token' not in repr(seen)
