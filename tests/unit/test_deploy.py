# SPDX-License-Identifier: Apache-2.0
"""Putting the house together."""
import resource

import pytest
from webob import Request

from km.conf.load import load
from km.deploy import WorkerDeployment, database
from km.errors import Misconfigured
from km.plugins.secret_store import key_file
from km.testing.application import a_deployment, write_conf


def test_ciphertext_is_never_put_into_the_metadata_database(folder):
    with pytest.raises(Misconfigured, match=r'\[secret_store:soft\] connection: .*metadata'):
        a_deployment(folder, {'secret_store:soft': {'connection': f'sqlite:///{folder}/km.sqlite'}})


def test_no_core_file_can_hold_a_key(house):
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_an_operator_hears_that_links_come_from_the_host_header(folder, caplog):
    house = a_deployment(folder, {'api': {'host_href': None}})
    house.start()
    house.close()
    assert '[api] host_href is not set' in caplog.text


def test_a_preflight_is_answered_for_the_origins_an_operator_allows(folder):
    house = a_deployment(folder, {'cors': {'allowed_origin': 'https://dashboard.test'}})
    request = Request.blank('/v1/secrets', method='OPTIONS', headers={
        'Origin': 'https://dashboard.test', 'Access-Control-Request-Method': 'POST'})
    answer = request.get_response(house.application)
    house.close()
    assert answer.status_int == 200
    assert answer.headers['Access-Control-Allow-Origin'] == 'https://dashboard.test'


def test_a_proxys_word_counts_only_if_an_operator_says_so(folder):
    for enabled, scheme in (('true', 'https'), ('false', 'http')):
        house = a_deployment(folder, {
            'api': {'host_href': None}, 'oslo_middleware': {'enable_proxy_headers_parsing': enabled}})
        answer = Request.blank('/', headers={
            'X-Forwarded-Proto': 'https', 'Host': 'keys.test'}).get_response(house.application)
        house.close()
        version_1, = answer.json['versions']['values']
        assert version_1['links'][0]['href'] == f'{scheme}://keys.test/v1/'


SPLIT = {'api': {'auth_strategy': 'keystone'}, 'rpc_transport': {'plugin': 'messaging'},
         'DEFAULT': {'transport_url': 'rabbit://127.0.0.1:9/'},
         'keystone_authtoken': {'auth_type': 'none', 'endpoint': 'http://127.0.0.1:9',
                                'www_authenticate_uri': 'http://127.0.0.1:9'}}


@pytest.fixture
def seal_key(folder):
    """Options that name a file with a key for messages."""
    key_file.create(str(folder / 'seal'), key_file.SEAL_KEY)
    return {'worker': {'seal_key_file': folder / 'seal'}}


def test_an_api_apart_from_its_workers_opens_no_store_and_never_sweeps(folder, seal_key):
    nowhere = {'secret_store:soft': {'kek_file': folder / 'nowhere', 'connection': None}}
    house = a_deployment(folder, SPLIT | seal_key | nowhere)
    house.start()
    assert (house.registry.secret_stores, house.registry.works) == ({}, False)
    assert not hasattr(house, 'context')
    house.close()


@pytest.mark.parametrize(('sections', 'said'), [
    ({'api': {'auth_strategy': 'noauth'}}, r'\[rpc_transport\] plugin: .*auth_strategy = keystone'),
    ({'worker': {'seal_key_file': None}}, r'\[worker\] seal_key_file is required'),
    ({'worker': {'seal_key_file': '/nonexistent/seal'}}, 'cannot be read'),
    ({'DEFAULT': {'transport_url': 'carrier-pigeon://x'}}, r'\[DEFAULT\] transport_url')])
def test_what_messages_cannot_do_without_is_named(folder, seal_key, sections, said):
    with pytest.raises(Misconfigured, match=said):
        a_deployment(folder, SPLIT | seal_key | sections)


def test_a_stores_master_key_is_no_key_for_messages(folder):
    with pytest.raises(Misconfigured, match=r'holds no key.*seal-key create'):
        a_deployment(folder, SPLIT | {'worker': {'seal_key_file': folder / 'kek'}})


def test_a_worker_serves_nobody_where_messages_stay_in_the_process(folder):
    a_deployment(folder).close()
    worker = WorkerDeployment(load(files=[str(folder / 'km.conf')]))
    with pytest.raises(Misconfigured, match='km-worker is not needed'):
        worker.far_end()
    worker.close()


def test_a_worker_without_keystone_does_not_start(folder, seal_key):
    conf = load(files=[str(write_conf(folder, SPLIT | seal_key | {'keystone_authtoken': {}}))])
    database(conf).upgrade()
    worker = WorkerDeployment(conf)
    with pytest.raises(Misconfigured, match=r'\[keystone_authtoken\] auth_type is required'):
        worker.far_end()
    worker.close()
