# SPDX-License-Identifier: Apache-2.0
"""What km says of itself: version documents, microversions, health, CORS."""
import pytest

from tests.functional.assertions import assert_refused

OLD = {'id': 'v1', 'status': 'stable', 'media-types': [{
    'base': 'application/json', 'type': 'application/vnd.openstack.key-manager-v1+json'}]}
NEW = {'id': 'v1', 'status': 'CURRENT', 'min_version': '1.0', 'max_version': '1.4'}


def spoken(answer):
    """The microversion an answer says it is in."""
    assert 'OpenStack-API-Version' in answer.headers['Vary']
    return answer.headers['OpenStack-API-Version']


@pytest.mark.parametrize('who', [None, 'alpha-member'])
def test_the_list_of_versions_is_open_to_everybody(km, who):
    old = km.get('/', who=who)
    assert (old.status_code, spoken(old)) == (300, 'key-manager 1.0')
    (version,) = old.json()['versions']['values']
    assert OLD.items() <= version.items()
    assert {'rel': 'self', 'href': f'{km.url}/v1/'} in version['links']
    new = km.get('/', who=who, OpenStack_API_Version='key-manager 1.1')
    assert (new.status_code, spoken(new)) == (300, 'key-manager 1.1')
    (version,) = new.json()['versions']
    assert NEW.items() <= version.items()


@pytest.mark.parametrize('path', ['/v1', '/v1/'])
def test_the_document_of_version_1_is_for_those_known(km, path):
    assert_refused(km.get(path, who=None), 401)
    for asked, expected in (('key-manager 1.0', OLD), ('key-manager latest', NEW)):
        answer = km.get(path, OpenStack_API_Version=asked)
        assert answer.status_code == 200
        assert expected.items() <= answer.json()['version'].items()


@pytest.mark.parametrize(('asked', 'expected'), [
    (None, '1.0'), ('key-manager 1.0', '1.0'), ('key-manager 1.1', '1.1'), ('compute 2.90', '1.0'),
    ('key-manager 1.2', '1.2'), ('key-manager latest', '1.4'),
    ('compute 2.90, key-manager 1.1', '1.1'), (',,,', '1.0'), ('x' * 3000, '1.0')])
def test_the_microversion_asked_for_is_spoken(km, asked, expected):
    path = km.secret()
    answer = km.get(path, OpenStack_API_Version=asked)
    assert spoken(answer) == f'key-manager {expected}'
    assert ('consumers' in answer.json()) == (expected != '1.0')
    listed = km.get('/v1/secrets', OpenStack_API_Version=asked).json()
    assert all(('consumers' in secret) == (expected != '1.0') for secret in listed['secrets'])


@pytest.mark.parametrize(('asked', 'status'), [
    ('key-manager 0.9', 406), ('key-manager 1.5', 406), ('key-manager 2.0', 406),
    ('key-manager x', 400), ('key-manager 1', 400), ('key-manager', 400), ('key-manager 1.2.3', 400),
    ('key-manager -1.0', 400), ('key-manager 1.' + '9' * 40, 400)])
def test_a_microversion_there_is_not_is_refused(km, asked, status):
    for path in ('/', '/v1/secrets'):
        assert_refused(km.get(path, OpenStack_API_Version=asked), status)


def test_it_tells_its_build_and_where_home_is(km):
    assert km.get('/?build', who=None).json()['build']
    home = km.get('/', who=None, Accept='application/json-home')
    assert (home.status_code, home.headers['Location']) == (302, f'{km.url}/v1/')


@pytest.mark.parametrize('path', ['/healthcheck', '/healthcheck/'])
def test_it_is_healthy_and_says_so_to_everybody(km, path):
    answer = km.get(path, who=None)
    assert (answer.status_code, answer.text) == (200, 'OK')
    assert answer.headers['Content-Type'].startswith('text/plain')


@pytest.mark.parametrize('path', ['/v1/secrets', '/v1', '/'])
def test_options_are_answered_and_tell_nothing(km, path):
    answer = km.ask('OPTIONS', path, who=None, Origin='https://evil.example.org',
                    Access_Control_Request_Method='GET')
    assert (answer.status_code, answer.content) == (200, b'')
    assert 'Access-Control-Allow-Origin' not in answer.headers


@pytest.mark.parametrize('path', ['/v1/secrets', '/v1', '/'])
@pytest.mark.parametrize('method', ['HEAD', 'TRACE', 'PATCH', 'PROPFIND', 'XYZ'])
def test_other_methods_are_not_allowed_and_the_answer_says_which_are(km, path, method):
    answer = km.ask(method, path)
    assert answer.status_code == 405
    assert 'GET' in answer.headers['Allow']
