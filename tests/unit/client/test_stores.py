# SPDX-License-Identifier: Apache-2.0
"""``openstack secret store`` with words after it: what it asks of the API, checked by a stand-in."""
import json

import pytest
from osc_lib.exceptions import CommandError

from km.client.stores import GetPreferred, ListStores, MoveSecret, SetPreferred, UnsetPreferred

IDS = ('0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a01', '0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a02',
       '0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a03')
SOFT, HARD, TWIN = (
    {'secret_store_ref': f'https://keys.example.org/v1/secret-stores/{store_id}', 'name': name,
     'status': 'ACTIVE', 'global_default': name == 'soft', 'secret_store_plugin': 'store_crypto',
     'crypto_plugin': plugin, 'created': '2030-01-01T12:00:00', 'updated': '2030-01-01T12:00:00'}
    for store_id, name, plugin in zip(
        IDS, ('soft', 'hard', 'hard'), ('simple_crypto', 'p11_crypto', 'p11_crypto'), strict=True))
SHOWN = {'Store href': HARD['secret_store_ref'], 'Name': 'hard', 'Status': 'ACTIVE',
         'Global default': False, 'Secret store plugin': 'store_crypto',
         'Crypto plugin': 'p11_crypto'}
PREFERRED = '/v1/secret-stores/preferred'


@pytest.fixture
def stores(server):
    """The stores the stand-in lists; a test may add to them."""
    stores = [SOFT, HARD]
    server.answers['GET', '/v1/secret-stores'] = 200, {'secret_stores': stores}
    return stores


def test_stores_are_listed(stores, openstack):
    listed = json.loads(openstack(ListStores, '-f', 'json'))
    assert [store['Name'] for store in listed] == ['soft', 'hard']
    assert listed[1] == SHOWN


def test_the_preferred_store_is_shown(server, openstack):
    server.answers['GET', PREFERRED] = 200, HARD
    assert json.loads(openstack(GetPreferred, '-f', 'json')) == SHOWN


def test_the_preferred_store_of_another_project_is_asked_for_by_its_id(server, openstack):
    server.answers['GET', f'{PREFERRED}/be%20ta'] = 200, HARD
    assert json.loads(openstack(GetPreferred, '--project', 'be ta', '-f', 'json')) == SHOWN


@pytest.mark.parametrize('named', ['hard', IDS[1], HARD['secret_store_ref']])
def test_a_store_is_preferred_by_name_id_or_reference(server, stores, openstack, named):
    server.answers['POST', f'/v1/secret-stores/{IDS[1]}/preferred'] = 204, ''
    assert openstack(SetPreferred, named) == ''
    assert server.asked[-1] == ('POST', f'/v1/secret-stores/{IDS[1]}/preferred', None)


def test_a_store_is_preferred_for_another_project(server, stores, openstack):
    path = f'/v1/secret-stores/{IDS[1]}/preferred/beta'
    server.answers['POST', path] = 204, ''
    openstack(SetPreferred, 'hard', '--project', 'beta')
    assert server.asked[-1] == ('POST', path, None)


def test_a_store_that_is_not_there_is_not_asked_for(server, stores, openstack):
    with pytest.raises(CommandError, match="no secret store 'none'"):
        openstack(SetPreferred, 'none')
    assert [method for method, *_ in server.asked] == ['GET']


def test_one_name_of_two_stores_is_an_error(server, stores, openstack):
    stores.append(TWIN)
    with pytest.raises(CommandError, match='Several'):
        openstack(SetPreferred, 'hard')


@pytest.mark.parametrize(('arguments', 'whose'), [
    ((), ''), (('--project', 'beta'), '/beta')])
def test_what_is_preferred_is_unset(server, openstack, arguments, whose):
    server.answers['GET', PREFERRED + whose] = 200, HARD
    path = f'/v1/secret-stores/{IDS[1]}/preferred{whose}'
    server.answers['DELETE', path] = 204, ''
    assert openstack(UnsetPreferred, *arguments) == ''
    assert server.asked[-1] == ('DELETE', path, None)


def test_a_secret_is_moved_to_a_store_by_its_name(server, stores, openstack):
    path = f'/v1/secrets/{IDS[0]}/secret-store/{IDS[1]}'
    server.answers['PUT', path] = 204, ''
    assert openstack(MoveSecret, f'https://keys.example.org/v1/secrets/{IDS[0]}', 'hard') == ''
    assert server.asked[-1] == ('PUT', path, None)
    assert server.headers[-1]['OpenStack-API-Version'] == 'key-manager 1.3'
