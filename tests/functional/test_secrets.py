# SPDX-License-Identifier: Apache-2.0
"""Secrets over HTTP, from their making to their end, the same in every deployment."""
import base64
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.functional.assertions import assert_refused, with_keystone
from tests.functional.km_server import MARK, new_text

UNKNOWN = '/v1/secrets/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?')


def test_a_secret_is_described_as_it_was_made(km):
    made = km.post('/v1/secrets', {
        'name': 'disk', 'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc',
        'secret_type': 'symmetric', 'expiration': '2099-02-03T04:05:06+01:00',
        'payload': base64.b64encode(os.urandom(32)).decode(),
        'payload_content_type': 'application/octet-stream', 'payload_content_encoding': 'base64'})
    assert made.status_code == 201
    ref = made.json()['secret_ref']
    assert made.headers['Location'] == ref
    assert ref.startswith(f'{km.url}/v1/secrets/')
    told = km.get(ref).json()
    assert TIME.fullmatch(told.pop('created'))
    assert TIME.fullmatch(told.pop('updated'))
    assert told == {
        'secret_ref': ref, 'name': 'disk', 'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc',
        'secret_type': 'symmetric', 'expiration': '2099-02-03T03:05:06', 'status': 'ACTIVE',
        'creator_id': km.user_id(), 'content_types': {'default': 'application/octet-stream'}}


@pytest.mark.parametrize('payload', [
    f'{MARK} two  spaces\n', f' \t {MARK} \n\n', f'{MARK} ä ö ü 😀', f'{{"json": "{MARK}"}}'])
def test_text_comes_back_character_for_character(km, payload):
    read = km.get(km.secret(payload) + '/payload', Accept='text/plain')
    assert read.content.decode() == payload
    assert read.headers['Content-Type'] == 'text/plain; charset=UTF-8'
    assert read.headers['Cache-Control'] == 'no-store'


@pytest.mark.parametrize('size', [1, 32, 15000])
def test_bytes_come_back_byte_for_byte(km, size):
    payload = os.urandom(size)
    read = km.get(km.secret(payload) + '/payload', Accept='application/octet-stream')
    assert read.content == payload
    assert read.headers['Content-Type'] == 'application/octet-stream'


def test_cephs_gateway_gets_exactly_its_32_bytes(km):
    key = os.urandom(32)
    read = km.get(km.secret(key), Accept='application/octet-stream')
    assert (read.status_code, read.content) == (200, key)


@pytest.mark.parametrize('kind', [
    'symmetric', 'public', 'private', 'passphrase', 'certificate', 'opaque'])
def test_each_of_the_six_types_is_kept(km, kind):
    assert km.get(km.secret(secret_type=kind)).json()['secret_type'] == kind


@pytest.mark.parametrize(('content_type', 'encoding'), [
    ('text/plain', None), ('application/octet-stream', None),
    ('application/octet-stream', 'base64'), ('application/pkcs8', None)])
def test_a_secret_gets_its_payload_later_and_only_once(km, content_type, encoding):
    path, payload = km.secret(None), new_text().encode()
    assert_refused(km.get(path + '/payload'), 404)
    body = base64.b64encode(payload) if encoding else payload
    put = km.put(path, body=body, Content_Type=content_type, Content_Encoding=encoding)
    assert (put.status_code, put.content) == (204, b'')
    assert km.get(path + '/payload').content == payload
    assert km.get(path).json()['content_types'] == {'default': content_type}
    assert_refused(km.put(path, body=b'another one', Content_Type='text/plain'), 409)
    assert km.get(path + '/payload').content == payload


def test_a_deleted_secret_is_gone_with_all_it_had(km):
    path = km.secret()
    assert km.put(path + '/metadata', {'metadata': {'k': 'v'}}).status_code == 201
    assert km.put(path + '/acl', {'read': {'users': ['bob']}}).status_code == 200
    gone = km.delete(path)
    assert (gone.status_code, gone.content) == (204, b'')
    for rest in ('', '/payload', '/metadata', '/acl'):
        assert_refused(km.get(path + rest), 404)
    assert_refused(km.delete(path), 404)
    assert left_of(km, path) == [0, 0]


@with_keystone
def test_an_expired_secret_is_not_found_and_soon_erased(km):
    expiration = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1.5)
    path = km.secret(expiration=expiration.isoformat())
    assert km.get(path).status_code == 200
    time.sleep(1.6)
    for rest in ('', '/payload', '/metadata', '/acl'):
        assert_refused(km.get(path + rest), 404)
    assert_refused(km.delete(path), 404)
    deadline = time.monotonic() + 10
    while left_of(km, path) != [0, 0] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_of(km, path) == [0, 0]


@pytest.mark.parametrize('path', [
    UNKNOWN, UNKNOWN + '/payload', UNKNOWN + '/acl', UNKNOWN + '/metadata',
    '/v1/secrets/00000000-0000-0000-0000-000000000000', '/v1/secrets/x', '/v1/nothing', '/v2',
    '/nothing'])
def test_what_is_not_there_is_not_found(km, path):
    assert_refused(km.get(path), 404)


def test_links_are_host_hrefs_whatever_host_a_client_names(km):
    made = km.post('/v1/secrets', {}, Host='evil.example.org', X_Forwarded_Host='evil.example.org')
    assert made.json()['secret_ref'].startswith(km.url + '/v1/secrets/')


def test_every_answer_names_its_request_and_never_by_the_clients_word(km):
    wanted = 'req-00000000-0000-4000-8000-000000000000'
    answers = [km.get(path, who=who, X_Openstack_Request_Id=wanted) for path, who in (
        ('/', None), ('/healthcheck', None), ('/v1/secrets', 'alpha-member'), ('/v1', None),
        (UNKNOWN, 'alpha-member'))]
    ids = {answer.headers['x-openstack-request-id'] for answer in answers}
    assert len(ids) == len(answers)
    assert wanted not in ids


def test_many_secrets_made_at_once_are_all_there(km):
    payloads = [new_text() for _ in range(40)]
    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(km.secret, payloads))
        read = threads.map(lambda path: km.get(path + '/payload').text, paths)
        assert list(read) == payloads


def test_of_many_who_give_a_payload_at_once_one_succeeds(km):
    path, payloads = km.secret(None), [new_text().encode() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(
            lambda payload: km.put(path, body=payload, Content_Type='text/plain').status_code,
            payloads))
    assert sorted(statuses) == [204] + [409] * 7
    assert km.get(path + '/payload').content == payloads[statuses.index(204)]


def test_of_many_who_delete_at_once_one_succeeds(km):
    path = km.secret()
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: km.delete(path).status_code, range(8)))
    assert sorted(statuses) == [204] + [404] * 7
    assert left_of(km, path) == [0, 0]


def left_of(km, path):
    """How many rows the metadata have of a secret, and how many payloads the store."""
    secret_id = path.rpartition('/')[2]
    with km.metadata.connect() as connection:
        rows = connection.scalar(
            sa.text('SELECT count(*) FROM secrets WHERE id = :id'), {'id': secret_id})
    return [rows, km.kept(secret_id)]
