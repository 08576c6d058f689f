# SPDX-License-Identifier: Apache-2.0
"""Requests made to do harm, the same in every deployment: each gets a 4xx that says so, no 500."""
import json

import pytest
import requests

from tests.functional.assertions import assert_refused
from tests.functional.km_server import MARK

#: Bodies that are no JSON that km reads, and none that any of its routes takes.
MALFORMED = {
    'nothing': b'',
    'white space': b' \n',
    'no JSON': b'{',
    'text after it': b'{} {}',
    'a list': b'[]',
    'a string': b'"x"',
    'null': b'null',
    'not UTF-8': b'{"name": "\xff"}',
    'UTF-16': '{"name": "x"}'.encode('utf-16'),
    'a byte order mark': b'\xef\xbb\xbf{}',
    'an overlong encoding': b'{"name": "\xc0\x80"}',
    'a raw surrogate': b'{"name": "\xed\xa0\x80"}',
    'half a pair': b'{"name": "\\ud800"}',
    'the other half': b'{"name": "\\udfff\\ud800"}',
    'a half as a key': b'{"\\ud800": 1}',
    'NUL': b'{"name": "a\\u0000b"}',
    'NUL in a key': b'{"a\\u0000b": 1}',
    'NUL in a payload': b'{"payload": "\\u0000", "payload_content_type": "text/plain"}',
    'a raw control character': b'{"name": "a\x01b"}',
    'a key twice': b'{"name": "a", "name": "b"}',
    'a key twice deep down': b'{"x": {"a": 1, "a": 2}}',
    'deep objects': b'{"a":' * 3000 + b'1' + b'}' * 3000,
    'deep lists': b'{"name": ' + b'[' * 11000 + b']' * 11000 + b'}',
    'deep and never closed': b'{"name": ' + b'[' * 20000,
    'NaN': b'{"bit_length": NaN}',
    'Infinity': b'{"bit_length": -Infinity}',
    'a large exponent': b'{"bit_length": 1e999}',
    'a large number': b'{"bit_length": ' + b'9' * 5000 + b'}',
    'single quotes': b"{'name': 'x'}",
    'a comma too many': b'{"name": "x",}',
    'a comment': b'{} // x',
}
#: Fields of a new secret that it cannot have.
UNFIT = [
    {'name': 'x' * 256}, {'name': []}, {'name': {'$ne': 1}}, {'name': True}, {'mode': 1},
    {'algorithm': None}, {'algorithm': 'x' * 20000}, {'bit_length': -1}, {'bit_length': 0},
    {'bit_length': 32768}, {'bit_length': 10 ** 17}, {'bit_length': 10 ** 30}, {'bit_length': 1.5},
    {'bit_length': '256'}, {'bit_length': True}, {'bit_length': []}, {'bit_length': 1e300},
    {'secret_type': 'x'}, {'secret_type': []}, {'secret_type': {}}, {'secret_type': 7},
    {'secret_type': None},
    {'expiration': 'soon'}, {'expiration': '2001-01-01'}, {'expiration': []}, {'expiration': 7},
    {'expiration': '9999-12-31T23:59:59-23:59'}, {'expiration': '0001-01-01T00:00:00+23:59'},
    {'expiration': '2099-02-30'}, {'expiration': '2099-01-01T25:00'}, {'expiration': '-1'},
    {'expiration': '2099-01-01T00:00:00-5:00'}, {'expiration': '\u0662\u0660\u0669\u0669-01-01'},
    {'expiration': '99999-01-01'}, {'expiration': '2099-01-01T00:00:00+99:99'},
    {'payload': ''}, {'payload': None}, {'payload': [MARK]}, {'payload': {MARK: MARK}},
    {'payload': 7}, {'payload': MARK, 'payload_content_type': None},
    {'payload': MARK, 'payload_content_type': 'text/html'},
    {'payload': MARK, 'payload_content_type': 'text/plain\r\nX-Evil: 1'},
    {'payload': MARK, 'payload_content_type': 'text/plain; charset=utf-7'},
    {'payload': MARK, 'payload_content_type': 'x' * 256},
    {'payload': MARK, 'payload_content_type': []},
    {'payload': MARK, 'payload_content_encoding': 'gzip'}, {'payload_content_type': 'text/plain'},
    {'payload_content_encoding': 7}, {'transport_key_needed': True}, {'transport_key_id': 7}]
NO_BASE64 = ['!!!!', 'YQ', 'YQ=', 'Y', '====', 'YQ==YQ==', 'Y-_=', 'ä', ' \n ', 'YWJj!', '=YWJ',
             f'{MARK}!']
OCTETS = {'payload_content_type': 'application/octet-stream', 'payload_content_encoding': 'base64'}


@pytest.mark.parametrize('body', MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_is_refused_wherever_json_is_read(km, body):
    path = km.secret()
    for method, route in (('POST', '/v1/secrets'), ('PUT', path + '/acl'), ('PATCH', path + '/acl'),
                          ('PUT', path + '/metadata'), ('POST', path + '/metadata'),
                          ('PUT', path + '/metadata/k'), ('POST', path + '/metadata/k')):
        assert_refused(km.ask(method, route, body=body, Content_Type='application/json'), 400)


@pytest.mark.parametrize('fields', UNFIT, ids=lambda fields: json.dumps(fields)[:60])
def test_a_field_that_cannot_be_is_refused(km, fields):
    assert_refused(km.post('/v1/secrets', fields), 400)


@pytest.mark.parametrize('payload', NO_BASE64)
def test_what_is_no_base64_is_refused(km, payload):
    assert_refused(km.post('/v1/secrets', {'payload': payload, **OCTETS}), 400)
    path = km.secret(None)
    assert_refused(km.put(path, body=payload.encode(), Content_Type='application/octet-stream',
                          Content_Encoding='base64'), 400)
    assert_refused(km.get(path + '/payload'), 404)


@pytest.mark.parametrize('content_type', [
    None, '', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x',
    'application/json2', 'json', '*/*', ';', 'application/xml', 'application/JSON/x'])
def test_json_under_another_name_is_415(km, content_type):
    body = f'{{"name": "{MARK}"}}'.encode()
    path = km.secret()
    for method, route in (('POST', '/v1/secrets'), ('PUT', path + '/acl'),
                          ('PUT', path + '/metadata')):
        assert_refused(km.ask(method, route, body=body, Content_Type=content_type), 415)


@pytest.mark.parametrize('size', [25001, 60000])
def test_a_body_over_the_limit_is_413(km, size):
    body = b'{"name": "' + b'x' * size + b'"}'
    path = km.secret(None)
    for method, route, kind in (
            ('POST', '/v1/secrets', 'application/json'), ('PUT', path, 'text/plain'),
            ('PUT', path + '/acl', 'application/json'), ('PUT', '/v1/nothing', 'text/plain')):
        assert_refused(km.ask(method, route, body=body, Content_Type=kind), 413)


def test_a_body_far_over_the_limit_is_413(km):
    # Each on a connection of its own, which the server does not go on with.
    for _ in range(5):
        assert_refused(requests.post(
            km.url + '/v1/secrets', b'x' * 10 ** 6, timeout=30,
            headers={'Content-Type': 'application/json', **km.credentials()}), 413)


def test_a_payload_over_the_limit_is_413_and_one_at_the_limit_is_kept(km):
    path = km.secret(None)
    text = {'payload_content_type': 'text/plain'}
    assert_refused(km.post('/v1/secrets', {'payload': 'x' * 20001, **text}), 413)
    assert_refused(km.post('/v1/secrets', {'payload': 'QUFB' * 5001, **OCTETS}), 413)
    assert_refused(km.put(path, body=b'x' * 20001, Content_Type='text/plain'), 413)
    for largest in ('x' * 20000, 'ä' * 10000):
        body = json.dumps({'payload': largest, **text}, ensure_ascii=False).encode()
        made = km.post('/v1/secrets', body=body, Content_Type='application/json')
        read = km.get(made.json()['secret_ref'] + '/payload')
        assert read.content.decode() == largest
    assert km.put(path, body=b'x' * 20000, Content_Type='text/plain').status_code == 204


@pytest.mark.parametrize('wrong', [
    '{}/', '{}%00', '%00', '{}.json', '{}%0a', '..%2f{}', '*', '%25', '%f0%9f%98%80', '%ff', "' OR 1=1",
    'x' * 3000, '{{{}}}', '-1', '0', '{};x', '{}%20', '%20{}', '{}%2fpayload', 'A{}'])
def test_what_is_no_id_is_not_found(km, wrong):
    id_ = km.secret().rpartition('/')[2]
    path = '/v1/secrets/' + wrong.format(id_)
    if wrong in ('{}/', '{}%2fpayload'):
        assert km.get(path).status_code == 200  # a trailing slash is taken, and %2f is a slash
    else:
        for rest in ('', '/payload', '/acl', '/metadata'):
            assert_refused(km.get(path + rest), 404)


def test_an_id_in_another_case_is_not_found(km):
    collection, _, id_ = km.secret().rpartition('/')
    for shouted in (id_.upper(), id_.title(), id_.replace('-', ''), '{' + id_ + '}'):
        if shouted != id_:
            assert_refused(km.get(f'{collection}/{shouted}'), 404)


@pytest.mark.parametrize('query', [
    'target.secret.read=read', '_method=DELETE', 'inst=', 'force=maybe', '%', '%00=%00', 'a=%ff', '&&&',
    '=', 'a' * 4000, '&'.join(['a=1'] * 200), 'limit=%00', 'acl_only=maybe'])
def test_a_query_does_no_harm_to_any_route(km, query):
    path = km.secret()
    for route in ('/', '/v1', '/v1/secrets', path, path + '/payload', path + '/acl',
                  path + '/metadata', '/healthcheck'):
        answer = km.get(f'{route}?{query}')
        if answer.status_code >= 400:
            assert_refused(answer, 400)
    assert km.get(path).status_code == 200


@pytest.mark.parametrize('accept', [
    'text/html', 'x', ';;;', 'a/b;c="', ',', 'application/json;q=0', 'application/xml',
    'text/plain;q=nan', '*', '*/json', ', '.join(['a/b'] * 500)])
def test_an_accept_header_that_means_nothing_does_no_harm(km, accept):
    path = km.secret()
    for route in ('/', '/v1', '/v1/secrets', path, path + '/payload', path + '/acl',
                  path + '/metadata', '/v1/nothing'):
        answer = km.get(route, Accept=accept)
        if answer.status_code >= 400:
            assert_refused(answer, 400, 404, 406)


@pytest.mark.parametrize('key', ['%00', '%ff', 'a%20b', '..', 'x' * 4000, '%2e%2e', "'", 'ä'])
def test_a_metadata_key_that_cannot_be_is_refused(km, key):
    path = f'{km.secret()}/metadata/{key}'
    assert_refused(km.put(path, {'key': 'k', 'value': 'v'}))
    assert_refused(km.post(path, {'key': 'k', 'value': 'v'}))
    for method in ('GET', 'DELETE'):
        answer = km.ask(method, path)
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert_refused(answer)
