# SPDX-License-Identifier: Apache-2.0
"""Version documents and microversions, contract sections 1.2 and 1.3."""
from importlib.metadata import version

import pytest
from webob import Request


def ask(house, path, method='GET', **headers):
    request = Request.blank(path, method=method, environ={'REMOTE_ADDR': '127.0.0.1'})
    for name, value in headers.items():
        request.headers[name.replace('_', '-')] = value
    return request.get_response(house.application)


def test_old_clients_get_the_old_document_without_any_token(house):
    answer = ask(house, '/')
    assert answer.status_int == 300
    version_1, = answer.json['versions']['values']
    assert (version_1['id'], version_1['status']) == ('v1', 'stable')
    assert version_1['links'][0] == {'rel': 'self', 'href': 'http://km.test:9311/v1/'}
    assert 'min_version' not in version_1


@pytest.mark.parametrize('wanted', ['1.1', '1.2', '1.4', 'latest'])
def test_newer_clients_learn_of_microversions(house, wanted):
    answer = ask(house, '/', OpenStack_API_Version=f'key-manager {wanted}')
    version_1, = answer.json['versions']
    assert {'status': 'CURRENT', 'min_version': '1.0', 'max_version': '1.4'}.items() <= (
        version_1.items())


def test_v1_describes_itself_to_those_who_are_known(ann, house):
    assert ann.get('/v1').json['version']['status'] == 'stable'
    told = ann.get('/v1/', OpenStack_API_Version='key-manager 1.1').json['version']
    assert told['max_version'] == '1.4'
    assert ask(house, '/v1').status_int == 400


def test_the_build_and_json_home(house):
    assert ask(house, '/?build').json == {'build': version('km')}
    home = ask(house, '/', Accept='application/json-home')
    assert (home.status_int, home.headers['Location']) == (302, 'http://km.test:9311/v1/')


@pytest.mark.parametrize(('asked', 'spoken'), [
    (None, '1.0'), ('key-manager 1.0', '1.0'), ('key-manager 1.2', '1.2'),
    ('key-manager latest', '1.4'), ('compute 2.90', '1.0'), ('compute 2.9, key-manager 1.1', '1.1')])
def test_every_answer_says_which_version_was_spoken(ann, asked, spoken):
    headers = {} if asked is None else {'OpenStack_API_Version': asked}
    for path in ('/v1/secrets', '/v1/secrets/x'):
        answer = ann.get(path, **headers)
        assert answer.headers['OpenStack-API-Version'] == f'key-manager {spoken}'
        assert answer.headers['Vary'] == 'OpenStack-API-Version'


@pytest.mark.parametrize(('asked', 'status'), [
    ('key-manager 1.5', 406), ('key-manager 2.0', 406), ('key-manager 0.9', 406),
    ('key-manager', 400), ('key-manager,compute 2.1', 400), ('key-manager x', 400),
    ('key-manager 1', 400), ('key-manager 1.1.1', 400),
    ('key-manager 1.99999999999999', 400), ('key-manager -1.1', 400), ('key-manager 01.1', 406)])
def test_a_version_that_is_none_is_refused(ann, house, asked, status):
    for answer in (ann.get('/v1/secrets', OpenStack_API_Version=asked),
                   ask(house, '/', OpenStack_API_Version=asked)):
        assert answer.status_int == status
        assert answer.json['title']


def test_other_paths_and_methods_lead_nowhere(house):
    assert ask(house, '/v2').json == {'code': 404, 'title': 'Not Found', 'description': ''}
    assert ask(house, '/v1x').status_int == 404
    refused = ask(house, '/', method='POST')
    assert (refused.status_int, refused.headers['Allow']) == (405, 'GET')


def test_healthcheck_is_open_to_everybody(house):
    answer = ask(house, '/healthcheck')
    assert (answer.status_int, answer.text, answer.content_type) == (200, 'OK', 'text/plain')


def test_healthcheck_fails_while_an_operator_wants_it_to(house, folder):
    house.conf.set_override('disable_by_file_path', str(folder / 'down'), group='healthcheck')
    (folder / 'down').touch()
    assert ask(house, '/healthcheck').status_int == 503


def test_a_preflight_of_a_browser_is_answered(house):
    answer = ask(house, '/v1/secrets', method='OPTIONS')
    assert (answer.status_int, answer.body) == (200, b'')


def test_every_answer_names_its_request_and_believes_no_name_sent(ann):
    sent = 'req-5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
    named = ann.get('/v1/secrets', X_OpenStack_Request_Id=sent).headers['x-openstack-request-id']
    assert named.startswith('req-')
    assert named != sent


@pytest.mark.parametrize('path', ['/', '/healthcheck', '/openapi.json'])
@pytest.mark.parametrize('method', ['HEAD', 'POST', 'DELETE'])
def test_what_is_open_to_everybody_is_only_there_to_be_read(house, path, method):
    refused = ask(house, path, method=method)
    assert (refused.status_int, refused.headers['Allow']) == (405, 'GET')
