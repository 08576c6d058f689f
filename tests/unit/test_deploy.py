# SPDX-License-Identifier: Apache-2.0
"""Putting the house together."""
import resource

import pytest
from webob import Request

from km.errors import Misconfigured
from km.testing.application import a_deployment


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
