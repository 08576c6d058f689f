# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json``: where it is, and for whom. What is in it is a matter of ``tests/laws``."""
from webob import Request

from km.api import openapi
from km.testing.application import a_deployment


def ask(house, **headers):
    return Request.blank('/openapi.json', headers=headers).get_response(house.application)


def test_the_document_is_open_to_everybody(house):
    told = ask(house)
    assert (told.status_int, told.content_type) == (200, 'application/json')
    assert told.json == openapi.document('http://km.test:9311')


def test_it_need_not_be_sent_twice(house):
    told = ask(house)
    assert told.cache_control.max_age == 3600
    again = ask(house, **{'If-None-Match': told.headers['ETag']})
    assert (again.status_int, again.body) == (304, b'')


def test_without_host_href_paths_are_below_the_root_of_the_host_that_was_asked(folder):
    house = a_deployment(folder, {'api': {'host_href': None}})
    assert ask(house).json['servers'] == [{'url': '/'}]
    house.close()


def test_an_operation_knows_its_query_body_statuses_and_policy():
    told = openapi.document()['paths']['/v1/orders']
    assert [one['name'] for one in told['get']['parameters'] if 'name' in one] == [
        'limit', 'offset', 'meta', 'type']
    assert told['post']['x-openstack-policy'] == ['orders:post']
    assert {'$ref': '#/components/schemas/Order'} in (
        told['post']['requestBody']['content']['application/json']['schema']['anyOf'][0]['allOf'])
    assert '202' in told['post']['responses']


def test_what_secrets_and_containers_have_alike_is_told_of_each():
    paths = openapi.document()['paths']
    for kind, shape in (('secret', 'SecretConsumer'), ('container', 'Consumer')):
        told = paths[f'/v1/{kind}s/{{{kind}_id}}/consumers']['post']
        assert told['requestBody']['content']['application/json']['schema'] == {
            '$ref': f'#/components/schemas/{shape}'}
