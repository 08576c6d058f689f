# SPDX-License-Identifier: Apache-2.0
"""``/v1/secrets`` as the contract has it, sections 3.1 to 3.8."""
import base64

import pytest

from km.testing.application import Client, a_deployment

UUID = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
UNKNOWN = '/v1/secrets/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'


def test_a_secret_is_created_with_its_payload(ann):
    made = ann.post('/v1/secrets', {
        'name': 'disk', 'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc',
        'secret_type': 'symmetric', 'expiration': '2031-02-03T04:05:06',
        'payload': base64.b64encode(bytes(32)).decode(),
        'payload_content_type': 'application/octet-stream', 'payload_content_encoding': 'base64'})
    assert made.status_int == 201
    assert made.headers['Location'] == made.json['secret_ref']
    assert list(made.json) == ['secret_ref']
    assert made.json['secret_ref'].startswith('http://km.test:9311/v1/secrets/')
    told = ann.get(made.json['secret_ref']).json
    ref = told.pop('secret_ref')
    assert ref == made.json['secret_ref']
    assert told == {
        'name': 'disk', 'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc',
        'secret_type': 'symmetric', 'expiration': '2031-02-03T04:05:06', 'status': 'ACTIVE',
        'creator_id': 'ann', 'content_types': {'default': 'application/octet-stream'},
        'created': '2030-01-01T12:00:00.123456', 'updated': '2030-01-01T12:00:00.123456'}


def test_a_secret_without_payload_has_every_field_but_its_content_types(ann):
    told = ann.get(ann.secret(None)).json
    assert 'content_types' not in told
    assert told['secret_type'] == 'opaque'
    assert [told[name] for name in ('name', 'algorithm', 'mode', 'bit_length', 'expiration')] == [
        None] * 5


def test_consumers_appear_from_microversion_1_1_on(ann):
    path = ann.secret()
    newer = {'OpenStack_API_Version': 'key-manager 1.1'}
    assert 'consumers' not in ann.get(path).json
    assert ann.get(path, **newer).json['consumers'] == []
    assert ann.get('/v1/secrets', **newer).json['secrets'][0]['consumers'] == []


@pytest.mark.parametrize('payload', ['two  spaces\n', ' \t outside \n\n', 'ä ö ü 😀', '{"json": 1}'])
def test_a_text_payload_comes_back_character_for_character(ann, payload):
    read = ann.get(ann.secret(payload) + '/payload', Accept='text/plain')
    assert read.body.decode() == payload
    assert read.headers['Content-Type'] == 'text/plain; charset=UTF-8'
    assert read.headers['Cache-Control'] == 'no-store'


@pytest.mark.parametrize('kind', [
    'application/octet-stream', 'application/pkcs8', 'application/pkix-cert',
    'application/x-pkcs12', 'APPLICATION/OCTET-STREAM'])
def test_a_binary_payload_comes_back_byte_for_byte_under_the_type_km_reports(ann, kind):
    sent = bytes(range(256))
    made = ann.post('/v1/secrets', {
        'payload': base64.encodebytes(sent).decode(), 'payload_content_type': kind,
        'payload_content_encoding': 'base64'})
    reported = ann.get(made.json['secret_ref']).json['content_types']['default']
    assert reported == kind.lower()
    read = ann.get(made.json['secret_ref'] + '/payload', Accept=reported)
    assert (read.body, read.headers['Content-Type']) == (sent, reported)


@pytest.mark.parametrize('name', [
    'symmetric', 'public', 'private', 'passphrase', 'certificate', 'opaque'])
def test_each_of_the_six_types_is_kept(ann, name):
    assert ann.get(ann.secret(secret_type=name)).json['secret_type'] == name


@pytest.mark.parametrize(('field', 'value'), [
    ('name', 'x' * 256), ('name', 7), ('algorithm', None), ('algorithm', 'x' * 256),
    ('mode', None), ('bit_length', '256'), ('bit_length', True), ('bit_length', None),
    ('bit_length', 0), ('bit_length', 32768), ('bit_length', 8.5),
    ('expiration', None), ('expiration', 'soon'), ('expiration', '2029-12-31'),
    ('expiration', '2031-01-01T00:00:00-5:00'), ('expiration', '9999-12-31T23:59:59-23:59'),
    ('expiration', '0001-01-01T00:00:00+23:59'), ('secret_type', 'plain'), ('secret_type', None),
    ('payload', None), ('payload', ''), ('payload', 5), ('payload', ['x']),
    ('payload_content_type', None), ('payload_content_type', 'text/html'),
    ('payload_content_type', 'text/plain; charset=latin-1'), ('payload_content_type', ''),
    ('payload_content_encoding', 'base64'), ('payload_content_encoding', 'gzip'),
    ('payload_content_encoding', None), ('transport_key_needed', True), ('transport_key_id', 'x')])
def test_a_field_that_cannot_be_is_refused_in_words_without_its_value(ann, field, value):
    body = {'payload': 'unmistakable', 'payload_content_type': 'text/plain', field: value}
    refused = ann.post('/v1/secrets', body)
    assert refused.status_int == 400
    assert refused.json['title'] == 'Bad Request'
    assert refused.json['description'].startswith('Secret creation issue seen - ')
    assert 'unmistakable' not in refused.text
    assert ann.get('/v1/secrets').json['total'] == 0


def test_the_words_for_a_wrong_shape_are_those_clients_know(ann):
    refused = ann.post('/v1/secrets', {'bit_length': 'many'})
    assert refused.json['description'] == (
        "Secret creation issue seen - Provided object does not match schema 'Secret': "
        "bit_length must be integer. Invalid property: 'bit_length'")


@pytest.mark.parametrize(('value', 'kept'), [
    ('2031-01-01', '2031-01-01T00:00:00'), ('2031-01-01 10:00:00', '2031-01-01T10:00:00'),
    ('2031-01-01T10:00:00.5', '2031-01-01T10:00:00.500000'),
    ('2031-01-01T10:00:00Z', '2031-01-01T10:00:00'),
    ('2031-01-01T10:00:00+02:00', '2031-01-01T08:00:00'), ('', None)])
def test_an_expiration_is_told_in_utc_without_a_zone(ann, value, kept):
    assert ann.get(ann.secret(expiration=value)).json['expiration'] == kept


def test_strings_are_trimmed_but_for_the_payload(ann):
    path = ann.secret(' x ', name='  disk ')
    assert ann.get(path).json['name'] == 'disk'
    assert ann.get(path + '/payload').body == b' x '


def test_whole_floats_are_integers_and_unknown_fields_are_ignored(ann):
    told = ann.get(ann.secret(bit_length=8.0, colour='blue')).json
    assert told['bit_length'] == 8
    assert 'colour' not in told


@pytest.mark.parametrize(('text', 'kind', 'encoding'), [
    ('!!!!', 'application/octet-stream', 'base64'), ('YQ', 'application/octet-stream', 'base64'),
    ('YQ=', 'application/octet-stream', 'base64'), ('   ', 'application/octet-stream', 'base64'),
    ('YQ==', 'application/octet-stream', None), ('YQ==', 'text/plain', 'base64'),
    ('Y-_=', 'application/octet-stream', 'base64'), ('ä', 'application/octet-stream', 'base64')])
def test_base64_is_strict_and_goes_with_binary_types_only(ann, text, kind, encoding):
    body = {'payload': text, 'payload_content_type': kind}
    if encoding:
        body['payload_content_encoding'] = encoding
    assert ann.post('/v1/secrets', body).status_int == 400


def test_a_payload_over_the_limit_is_413_and_one_at_the_limit_is_kept(ann):
    assert ann.get(ann.secret('x' * 20000) + '/payload').body == b'x' * 20000
    refused = ann.post('/v1/secrets', {'payload': 'x' * 20001, 'payload_content_type': 'text/plain'})
    assert refused.status_int == 413
    assert refused.json['description'] == 'Provided information too large to process'


def test_a_body_over_the_limit_is_413(ann):
    refused = ann.post('/v1/secrets', {'payload': 'x' * 1000000})
    assert refused.status_int == 413
    assert refused.json['title'] == 'Request Entity Too Large'


@pytest.mark.parametrize(('accept', 'answered'), [
    (None, 'application/octet-stream'), ('', 'application/octet-stream'), ('*/*', 'text/plain'),
    ('text/plain', 'text/plain'), ('TEXT/PLAIN', 'text/plain'),
    ('text/plain; charset=utf-8', 'text/plain'),
    ('application/octet-stream', 'application/octet-stream'),
    ('application/pkcs8', 'application/pkcs8')])
def test_a_payload_is_read_in_the_type_asked_for(ann, accept, answered):
    headers = {} if accept is None else {'Accept': accept}
    read = ann.get(ann.secret() + '/payload', **headers)
    assert (read.status_int, read.content_type, read.body) == (200, answered, b'a payload')


@pytest.mark.parametrize('accept', [
    'application/json', 'text/html', 'text/plain, application/octet-stream', 'x', ';;', 'a/b;c="'])
def test_a_payload_cannot_be_had_in_another_type(ann, accept):
    refused = ann.get(ann.secret() + '/payload', Accept=accept)
    assert refused.status_int == 406
    assert 'Wrong payload content-type' in refused.json['description']


def test_bytes_that_are_no_text_cannot_be_had_as_text(ann):
    path = ann.secret(None)
    assert ann.put(path, body=b'\xff\xfe', Content_Type='application/octet-stream').status_int == 204
    assert ann.get(path + '/payload', Accept='text/plain').status_int == 406


def test_the_deprecated_way_gives_ceph_its_key(ann):
    path = ann.secret(None)
    ann.put(path, body=bytes(32), Content_Type='application/octet-stream')
    read = ann.get(path, Accept='application/octet-stream')
    assert (read.status_int, read.body) == (200, bytes(32))
    assert read.headers['Cache-Control'] == 'no-store'


@pytest.mark.parametrize('accept', [
    '*/*', 'application/json', 'application/json;q=0.9', 'application/json, text/plain',
    'text/plain, */*;q=0.1'])
def test_wherever_json_is_acceptable_a_secret_is_its_metadata(ann, accept):
    assert ann.get(ann.secret(name='x'), Accept=accept).json['name'] == 'x'


def test_a_secret_gets_its_payload_later_and_only_once(ann, clock):
    path = ann.secret(None)
    assert ann.get(path + '/payload').status_int == 404
    assert ann.get(path + '/payload').json['description'] == (
        'Not Found. Sorry but your secret has no payload.')
    clock.forward(seconds=5)
    put = ann.put(path, body=b' raw \n', Content_Type='text/plain')
    assert (put.status_int, put.body) == (204, b'')
    assert ann.get(path + '/payload').body == b' raw \n'
    told = ann.get(path).json
    assert told['content_types'] == {'default': 'text/plain'}
    assert told['updated'] > told['created']
    again = ann.put(path, body=b'other', Content_Type='text/plain')
    assert again.status_int == 409
    assert again.json['description'] == 'Secret already has data, cannot modify it.'


@pytest.mark.parametrize(('content_type', 'encoding', 'body', 'status'), [
    ('application/octet-stream', 'base64', b'YWJj', 204), ('application/pkcs8', None, b'abc', 204),
    ('application/octet-stream', 'base64', b'!!!!', 400),
    ('application/octet-stream', 'gzip', b'YWJj', 400), ('text/plain', 'base64', b'YWJj', 400),
    ('text/plain', None, b'\xff', 400), ('text/plain', None, b'', 400),
    ('application/octet-stream', 'base64', b'', 400), ('application/json', None, b'{}', 415),
    ('', None, b'abc', 415), ('text/plain;charset=latin-1', None, b'abc', 415),
    ('text/plain', None, b'x' * 20001, 413), ('text/plain', None, b'x' * 50000, 413)])
def test_what_may_be_put_as_a_payload(ann, content_type, encoding, body, status):
    path = ann.secret(None)
    headers = {'Content_Encoding': encoding} if encoding else {}
    put = ann.put(path, body=body, Content_Type=content_type, **headers)
    assert put.status_int == status
    if status == 204:
        assert ann.get(path + '/payload').body == b'abc'
    else:
        assert put.json['title']
        assert ann.get(path + '/payload').status_int == 404


def test_a_deleted_secret_is_gone_with_all_it_had(ann, house):
    path = ann.secret()
    ann.put(path + '/metadata', {'metadata': {'k': 'v'}})
    ann.put(path + '/acl', {'read': {'users': ['bob']}})
    gone = ann.delete(path)
    assert (gone.status_int, gone.body) == (204, b'')
    for rest in ('', '/payload', '/metadata', '/acl'):
        assert ann.get(path + rest).status_int == 404
    assert ann.delete(path).status_int == 404
    with house.database.statement() as connection:
        for table in ('secrets', 'secret_metadata', 'acl_users'):
            assert connection.exec_driver_sql(f'SELECT count(*) FROM {table}').scalar() == 0


@pytest.mark.parametrize(('force', 'status'), [
    ('1', 204), ('true', 204), ('False', 204), ('maybe', 400), ('', 400)])
def test_force_is_a_boolean(ann, force, status):
    assert ann.delete(f'{ann.secret()}?force={force}').status_int == status


def test_an_expired_secret_is_as_good_as_deleted(ann, clock):
    path = ann.secret(expiration='2030-01-01T13:00:00')
    ann.secret(name='stays')
    assert ann.get(path).status_int == 200
    clock.forward(hours=1)
    for rest in ('', '/payload', '/metadata', '/acl'):
        assert ann.get(path + rest).status_int == 404
    listed = ann.get('/v1/secrets').json
    assert [secret['name'] for secret in listed['secrets']] == ['stays']
    assert listed['total'] == 1


@pytest.mark.parametrize('path', [
    '/v1/secrets/x', '/v1/secrets/' + 'a' * 300,
    '/v1/secrets/00000000-0000-0000-0000-000000000000'])
def test_what_is_no_id_of_km_is_not_found(ann, path):
    refused = ann.get(path)
    assert refused.status_int == 404
    assert refused.json['description'] == 'Not Found. Provided secret id is invalid.'


def test_an_id_in_another_case_is_another_id(ann):
    path = ann.secret()
    shouted = path.upper().replace('/V1/SECRETS', '/v1/secrets')
    assert ann.get(shouted).status_int == 404


def test_an_unknown_secret_is_not_found_and_a_foreign_one_forbidden(ann, eve):
    unknown = eve.get(UNKNOWN)
    assert unknown.status_int == 404
    assert unknown.json == {'code': 404, 'title': 'Not Found',
                            'description': 'Not Found. Secret not found.'}
    foreign = eve.get(ann.secret())
    assert foreign.status_int == 403
    assert foreign.json['description'] == (
        'Secret retrieval attempt not allowed - please review your user/project privileges')


def test_every_route_takes_a_trailing_slash(ann):
    path = ann.secret()
    for rest in ('', '/payload', '/metadata', '/acl'):
        assert ann.get(f'{path}{rest}/').status_int == 200


def test_links_come_from_the_request_when_host_href_is_not_set(folder):
    house = a_deployment(folder, {'api': {'host_href': None}})
    asked = Client(house.application, headers={'Host': 'keys.example.org:1234'})
    assert asked.post('/v1/secrets', {}).json['secret_ref'].startswith(
        'http://keys.example.org:1234/v1/secrets/')
    house.close()


@pytest.mark.parametrize('accept', ['foo', ';;', 'text/html', 'application/xml;q=1'])
def test_what_json_is_not_acceptable_to_is_406_or_the_deprecated_read(ann, accept):
    path = ann.secret()
    for rest in ('', '/acl', '/metadata', '/payload'):
        assert ann.get(path + rest, Accept=accept).status_int == 406
    assert ann.get('/v1/secrets', Accept=accept).status_int == 406
