# SPDX-License-Identifier: Apache-2.0
"""What Terraform's OpenStack provider asks, call by call, with the statuses that gophercloud insists on.

Contract, section 17.5. Terraform itself is no Python and not here; a test is one of its resources or
data sources, and each call in it is one of the library's, with its headers and body.
"""
import base64
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.functional.km_server import new_text

JSON = 'application/json'
#: What gophercloud parses times with: Go's '2006-01-02T15:04:05', which takes fractions but no zone.
GO_TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?')
DESCRIBED = {'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc', 'secret_type': 'passphrase'}


@pytest.fixture
def go(km):
    return Gophercloud(km)


class Gophercloud:
    """The calls of gophercloud's key manager package: each demands the status that it demands."""

    def __init__(self, km):
        self.km = km

    def ask(self, method, path, *good, json=None, **more):
        answer = self.km.ask(method, path, json=json, Accept=JSON, **more)
        assert answer.status_code in good, (method, path, answer.status_code, answer.text)
        return answer

    def create(self, collection, told, status=201):
        """POST; the last piece of the reference in the answer is the id."""
        made = self.ask('POST', f'/v1/{collection}', status, json=told).json()
        (_, ref), = made.items()
        assert ref.startswith(f'{self.km.url}/v1/{collection}/')
        return f'/v1/{collection}/' + ref.rpartition('/')[2]

    def get(self, path):
        return decoded(self.ask('GET', path, 200).json())

    def wait_until_active(self, path):
        """Terraform polls; with km the first look is enough."""
        told = self.get(path)
        assert told['status'] == 'ACTIVE'
        return told

    def put_payload(self, path, payload, content_type, encoding=None):
        more = {'Content_Encoding': encoding} if encoding else {}
        self.km.hide(payload)
        self.ask('PUT', path, 204, body=payload, Content_Type=content_type, **more)

    def payload(self, path):
        return self.km.get(f'{path}/payload', Accept='text/plain')

    def delete(self, path):
        """Terraform deletes until the thing is not found."""
        self.ask('DELETE', path, 202, 204)
        self.ask('DELETE', path, 404)

    def pages(self, collection, query):
        """All pages, by following ``next`` wherever it leads."""
        told = self.ask('GET', f'/v1/{collection}', 200, params=query).json()
        yield from map(decoded, told[collection])
        while told.get('next'):
            told = self.ask('GET', told['next'], 200).json()
            yield from map(decoded, told[collection])


def decoded(told):
    """An object, if Go's decoder takes it: times and numbers are of their types, or null."""
    for name in ('created', 'updated', 'expiration'):
        for value in (told.get(name), told.get('meta', {}).get(name), told.get('read', {}).get(name)):
            assert value is None or GO_TIME.fullmatch(value), (name, value)
    for holder in (told, told.get('meta', {})):
        assert isinstance(holder.get('bit_length', 0), int | None)
    assert isinstance(told.get('error_status_code', ''), str)
    return told


def in_a_year():
    return (datetime.now(UTC) + timedelta(days=365)).strftime('%Y-%m-%dT%H:%M:%S')


@pytest.mark.parametrize(('payload', 'content_type', 'encoding', 'kept_as'), [
    (b'unmistakable text', 'text/plain', None, 'text/plain'),
    (b'unmistakable text', 'text/plain;charset=utf-8', None, 'text/plain'),
    (base64.b64encode(b'unmistakable bytes'), 'application/octet-stream', 'base64',
     'application/octet-stream'),
    (base64.b64encode(b'unmistakable key'), 'application/pkcs8', 'base64', 'application/pkcs8'),
])
def test_a_secret_is_created_read_changed_and_destroyed(
        km, go, payload, content_type, encoding, kept_as):
    expiration = in_a_year()
    path = go.create('secrets', {'name': 'db', 'expiration': expiration, **DESCRIBED})
    go.wait_until_active(path)
    go.ask('PUT', f'{path}/acl', 200, json={'read': {'project-access': True, 'users': ['u1']}})
    go.put_payload(path, payload, content_type, encoding)
    go.ask('PUT', f'{path}/metadata', 201, json={'metadata': {'kept': '1', 'changed': '1', 'gone': '1'}})

    told = go.get(path)
    assert {key: told[key] for key in DESCRIBED} == DESCRIBED
    assert (told['name'], told['expiration']) == ('db', expiration)
    assert told['content_types'] == {'default': kept_as}
    assert told['secret_ref'] == km.url + path
    sent = base64.b64decode(payload) if encoding else payload
    assert (go.payload(path).status_code, go.payload(path).content) == (200, sent)
    assert go.get(f'{path}/metadata')['metadata'] == {'kept': '1', 'changed': '1', 'gone': '1'}
    read = go.get(f'{path}/acl')['read']
    assert (read['project-access'], read['users']) == (True, ['u1'])

    go.ask('PATCH', f'{path}/acl', 200, json={'read': {'project-access': False, 'users': ['u2']}})
    go.ask('DELETE', f'{path}/metadata/gone', 202, 204)
    go.ask('PUT', f'{path}/metadata/changed', 200, json={'key': 'changed', 'value': '2'})
    go.ask('POST', f'{path}/metadata', 201, json={'key': 'new', 'value': '2'})
    assert go.get(f'{path}/metadata')['metadata'] == {'kept': '1', 'changed': '2', 'new': '2'}
    read = go.get(f'{path}/acl')['read']
    assert (read['project-access'], read['users']) == (False, ['u2'])
    go.ask('DELETE', f'{path}/acl', 200)
    go.delete(path)


def test_a_secret_without_payload_metadata_and_acl_reads_as_terraform_expects(go):
    path = go.create('secrets', {})
    told = go.wait_until_active(path)
    assert (told['name'], told['expiration'], told['bit_length']) == (None, None, None)
    assert 'content_types' not in told
    assert go.payload(path).status_code == 404  # which Terraform ignores
    assert go.get(f'{path}/metadata') == {'metadata': {}}
    assert go.get(f'{path}/acl') == {'read': {'project-access': True}}
    go.delete(path)


def test_binary_bytes_cannot_be_read_back_as_text_and_terraform_goes_on(go):
    path = go.create('secrets', {'name': 'binary'})
    go.put_payload(path, base64.b64encode(b'\xff\xfe' + bytes(16)), 'application/octet-stream', 'base64')
    assert go.payload(path).status_code == 406
    go.delete(path)


def test_a_container_is_created_changed_and_destroyed(km, go):
    secrets = {name: km.secret() for name in ('certificate', 'private_key', 'intermediates')}
    refs = [{'name': name, 'secret_ref': km.url + path} for name, path in secrets.items()]
    path = go.create('containers', {'name': '', 'type': 'generic', 'secret_refs': refs[:2]})
    assert go.wait_until_active(path)['name'] == ''
    go.ask('PUT', f'{path}/acl', 200, json={'read': {'project-access': False, 'users': ['u1']}})

    told = go.get(path)
    assert (told['type'], told['container_ref'], told['consumers']) == ('generic', km.url + path, [])
    assert sorted(told['secret_refs'], key=str) == sorted(refs[:2], key=str)
    read = go.get(f'{path}/acl')['read']
    assert (read['project-access'], read['users']) == (False, ['u1'])

    go.ask('PATCH', f'{path}/acl', 200, json={'read': {'project-access': True, 'users': ['u1', 'u2']}})
    go.ask('DELETE', f'{path}/secrets', 204, json=refs[0])
    go.ask('DELETE', f'{path}/secrets', 404, json=refs[0])  # which Terraform takes for done
    go.ask('POST', f'{path}/secrets', 201, json=refs[2])
    go.ask('POST', f'{path}/secrets', 201, json=refs[0])
    assert {ref['name'] for ref in go.get(path)['secret_refs']} == set(secrets)
    go.delete(path)
    for secret in secrets.values():
        go.delete(secret)


def test_a_certificate_container_is_created_with_consumers(km, go):
    secret = km.secret()
    path = go.create('containers', {'name': 'tls', 'type': 'certificate', 'secret_refs': [
        {'name': 'certificate', 'secret_ref': km.url + secret}]})
    consumer = {'name': 'load balancer', 'URL': 'http://lb.test/1'}
    added = go.ask('POST', f'{path}/consumers', 200, json=consumer).json()
    assert added['consumers'] == [consumer]
    assert added['container_ref'] == km.url + path
    listed, = go.get(f'{path}/consumers')['consumers']
    assert decoded(listed)['name'] == consumer['name']
    assert go.ask('DELETE', f'{path}/consumers', 200, json=consumer).json()['consumers'] == []
    go.delete(path)


@pytest.mark.parametrize(('kind', 'meta', 'made'), [
    ('key', {'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc'}, 'secret_ref'),
    ('asymmetric', {'algorithm': 'rsa', 'bit_length': 2048}, 'container_ref'),
])
def test_an_order_is_placed_waited_for_and_destroyed(km, go, kind, meta, made):
    meta |= {'name': 'ordered', 'expiration': in_a_year(),
             'payload_content_type': 'application/octet-stream'}
    path = go.create('orders', {'type': kind, 'meta': meta}, status=202)
    told = go.wait_until_active(path)
    assert told['order_ref'] == km.url + path
    assert {'created', 'updated', 'creator_id', 'sub_status', 'sub_status_message'} <= told.keys()
    assert {key: told['meta'][key] for key in ('algorithm', 'bit_length', 'name')} == {
        key: meta[key] for key in ('algorithm', 'bit_length', 'name')}
    assert told['meta']['expiration'] == meta['expiration'] + '.000000'
    assert go.get(told[made].removeprefix(km.url))['name'] == 'ordered'
    go.delete(path)


def test_an_order_that_failed_can_be_decoded(go):
    path = go.create('orders', {
        'type': 'key', 'meta': {'algorithm': 'nonesuch', 'bit_length': 256}}, status=202)
    told = go.get(path)
    assert told['status'] == 'ERROR'
    assert told['error_reason']
    go.delete(path)


def test_a_data_source_finds_the_one_secret_that_its_filters_leave(km, go):
    name = new_text()
    paths = [go.create('secrets', {'name': name, **DESCRIBED, 'bit_length': bits})
             for bits in (128, 192, 256)]
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec='seconds')
    query = {'name': name, 'alg': 'aes', 'mode': 'cbc', 'secret_type': 'passphrase',
             'acl_only': 'false', 'created': f'gt:{an_hour_ago}',
             'updated': 'gte:' + an_hour_ago.replace('+00:00', 'Z'), 'sort': 'created:desc'}
    found, = go.pages('secrets', {**query, 'bits': 192})
    assert found['secret_ref'] == km.url + paths[1]
    assert list(go.pages('secrets', {**query, 'created': f'lt:{an_hour_ago}'})) == []
    assert [found['secret_ref'] for found in go.pages('secrets', {**query, 'limit': 1})] == [
        km.url + path for path in reversed(paths)]


def test_a_data_source_finds_the_one_container_of_its_name(km, go):
    names = [new_text() for _ in range(2)]
    paths = {name: [go.create('containers', {'name': name, 'type': 'generic', 'secret_refs': []})
                    for _ in range(count)] for name, count in zip(names, (1, 3), strict=True)}
    found, = go.pages('containers', {'name': names[0]})
    assert found['container_ref'] == km.url + paths[names[0]][0]
    found = [found['container_ref'] for found in go.pages('containers', {'name': names[1], 'limit': 1})]
    assert found == [km.url + path for path in paths[names[1]]]


def test_a_data_source_of_more_secrets_than_a_page_has_them_all(go):
    name = new_text()
    paths = {go.create('secrets', {'name': name}) for _ in range(12)}
    found = {'/v1' + found['secret_ref'].partition('/v1')[2]
             for found in go.pages('secrets', {'name': name})}
    assert found == paths


def test_quotas_are_updated_read_and_reset(km, go):
    who, project = ('alpha-admin', km.session('alpha-admin').get_project_id()) if km.keystone else (
        'alpha-member', 'standalone')
    path, told = f'/v1/project-quotas/{project}', {
        'secrets': 1000, 'orders': None, 'containers': -1, 'consumers': None, 'cas': None}
    go.ask('PUT', path, 204, json={'project_quotas': told}, who=who)
    assert go.ask('GET', path, 200, who=who).json()['project_quotas'] == told
    assert go.ask('GET', '/v1/quotas', 200, who=who).json()['quotas']['secrets'] == 1000
    go.ask('DELETE', path, 204, who=who)
