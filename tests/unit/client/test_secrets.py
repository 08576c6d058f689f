# SPDX-License-Identifier: Apache-2.0
"""``openstack secret show`` against a stand-in; tests/functional has a real km."""
import json

import pytest
from osc_lib.exceptions import CommandError

from km.client.secrets import ShowSecret

ID = '2d6a3b0e-1c3f-4d4e-9d4f-0a4d3b8f7c11'
SECRET = {
    'secret_ref': f'https://keys.example.org/v1/secrets/{ID}', 'name': 'disk', 'status': 'ACTIVE',
    'secret_type': 'symmetric', 'algorithm': 'aes', 'bit_length': 256, 'mode': None,
    'content_types': {'default': 'application/octet-stream'}, 'creator_id': 'ann',
    'created': '2030-01-01T12:00:00', 'updated': '2030-01-01T12:00:00', 'expiration': None,
    'consumers': [{'service': 'cinder', 'resource_type': 'volume', 'resource_id': 'v1'}]}


@pytest.mark.parametrize('named', [
    ID, ID.upper(), SECRET['secret_ref'], f'http://elsewhere:9311/v1/secrets/{ID}/'])
def test_a_secret_is_shown_by_id_or_reference(server, openstack, named):
    server.answers['GET', f'/v1/secrets/{ID}'] = 200, SECRET
    shown = json.loads(openstack(ShowSecret, named, '-f', 'json'))
    assert shown == {
        'Secret href': SECRET['secret_ref'], 'Name': 'disk', 'Status': 'ACTIVE',
        'Secret type': 'symmetric', 'Algorithm': 'aes', 'Bit length': 256, 'Mode': None,
        'Content types': SECRET['content_types'], 'Creator': 'ann', 'Created': SECRET['created'],
        'Updated': SECRET['updated'], 'Expiration': None, 'Consumers': SECRET['consumers']}
    assert server.asked == [('GET', f'/v1/secrets/{ID}', None)]
    assert server.headers[0]['OpenStack-API-Version'] == 'key-manager 1.1'


def test_a_table_shows_consumers_and_content_types_as_words(server, openstack):
    server.answers['GET', f'/v1/secrets/{ID}'] = 200, SECRET
    table = openstack(ShowSecret, ID)
    assert "resource_id='v1', resource_type='volume', service='cinder'" in table
    assert "default='application/octet-stream'" in table


@pytest.mark.parametrize('named', ['list', '', '../quotas', f'{ID}/payload', f'{ID}?x=y'])
def test_what_is_no_reference_is_asked_of_nobody(server, openstack, named):
    with pytest.raises(CommandError, match='neither a reference nor an id'):
        openstack(ShowSecret, named)
    assert server.asked == []


@pytest.mark.parametrize(('answer', 'said'), [
    ((404, {'code': 404, 'title': 'Not Found', 'description': 'Not Found. Secret not found.'}),
     r'Not Found\. Secret not found\. \(HTTP 404\)'),
    ((406, {'code': 406, 'title': 'Not Acceptable', 'description': None}),
     r'Not Acceptable \(HTTP 406\)'),
    ((502, 'a page of a proxy'), r'Bad Gateway \(HTTP 502\)'),
    ((400, ['odd']), r'Bad Request \(HTTP 400\)')])
def test_a_refusal_is_told_in_the_servers_words(server, openstack, answer, said):
    server.answers['GET', f'/v1/secrets/{ID}'] = answer
    with pytest.raises(CommandError, match=said):
        openstack(ShowSecret, ID)
