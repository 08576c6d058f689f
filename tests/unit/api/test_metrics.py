# SPDX-License-Identifier: Apache-2.0
"""Numbers for Prometheus."""
import re
import socket
import urllib.request
import uuid

import pytest
from prometheus_client.parser import text_string_to_metric_families
from webob import Request

from km.api.metrics import Metrics
from km.errors import Unavailable
from km.plugins.rpc_transport.embedded import Embedded
from km.testing.application import Client, a_deployment


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def watched(folder, port, **options):
    house = a_deployment(folder, {'metrics': {'enabled': 'true', 'bind_port': port, 'ports': 2,
                                              **options}})
    house.start()
    return house


@pytest.fixture
def house(folder, port):
    house = watched(folder, port)
    yield house
    house.close()


def scraped(port):
    """Every sample: its name and labels, to its value."""
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10) as answer:
        text = answer.read().decode()
    return {(sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}, text


def test_requests_are_counted_by_method_route_and_status(house, port):
    ann = Client(house.application)
    for _ in range(3):
        ann.get(ann.secret())
    ann.get(f'/v1/secrets/{uuid.uuid4()}')
    found, text = scraped(port)
    assert found['km_requests_total', '/v1/secrets', '201', 'POST'] == 3
    assert found['km_requests_total', '/v1/secrets/{secret_id}', '200', 'GET'] == 3
    assert found['km_requests_total', '/v1/secrets/{secret_id}', '404', 'GET'] == 1
    assert found['km_request_seconds_count', '/v1/secrets/{secret_id}', 'GET'] == 4
    assert not re.search(r'[0-9a-f]{8}-', text), 'there are ids'


def test_calls_of_a_store_are_counted_by_operation_and_outcome(house, port):
    ann = Client(house.application)
    path = ann.secret()
    ann.get(path + '/payload')
    with house.context.statement() as connection:
        connection.exec_driver_sql("UPDATE secrets SET reference = '{}'")
    ann.get(path + '/payload')
    found, _ = scraped(port)
    assert found['km_secret_store_calls_total', 'ok', 'soft', 'store'] == 1
    assert found['km_secret_store_calls_total', 'ok', 'retrieve', 'soft'] == 1
    assert found['km_secret_store_calls_total', 'NotFound', 'retrieve', 'soft'] == 1
    assert found['km_secret_store_call_seconds_count', 'retrieve', 'soft'] == 2


def test_no_client_can_make_series_at_will(house, port):
    for number in range(50):
        Request.blank(f'/nothing-{number}', method=f'X{number}').get_response(house.application)
        Request.blank(f'/v1/nothing-{number}').get_response(house.application)
    found, _ = scraped(port)
    assert {labels for name, *labels in map(list, found) if name == 'km_requests_total'
            for labels in [tuple(labels)]} <= {('404', 'other', 'other'), ('404', 'GET', 'other'),
                                               ('400', 'GET', 'other')}


def test_parts_stores_and_orders_are_told(house, port):
    ann = Client(house.application)
    assert ann.post('/v1/orders', {'type': 'key', 'meta': {
        'algorithm': 'aes', 'bit_length': 256}}).status_int == 202
    found, _ = scraped(port)
    assert found['km_part_up', 'database'] == found['km_secret_store_up', 'soft'] == 1
    assert found['km_orders', 'ACTIVE'] == 1
    assert not [name for name, *_ in found if name == 'km_queue_messages']
    assert not [name for name, *_ in found if name == 'km_secrets']


class Queue(Embedded):
    """A transport with a queue."""

    def waiting(self):
        return 7


def test_the_length_of_the_queue_is_told_by_a_transport_that_has_one(house, port):
    metrics = Metrics(house.conf.metrics)
    metrics.tell_of(house.health, database=house.database, transport=Queue('x', None),
                    clock=house.clock)
    metrics.start()
    found, _ = scraped(port + 1)
    metrics.stop()
    assert found['km_queue_messages',] == 7


def test_a_part_that_fails_is_0_and_the_others_are_told(house, port):
    def broken(*_):
        raise Unavailable('Gone.')

    house.registry.secret_stores['soft'].check = broken
    found, _ = scraped(port)
    assert found['km_secret_store_up', 'soft'] == 0
    assert found['km_part_up', 'database'] == 1


def test_secrets_are_counted_by_project_if_an_operator_wants_it(folder, port):
    house = watched(folder, port, secrets_by_project='true')
    for project in ('alpha', 'alpha', 'beta'):
        Client(house.application, project_id=project).secret()
    found, _ = scraped(port)
    house.close()
    assert (found['km_secrets', 'alpha'], found['km_secrets', 'beta']) == (2, 1)


def test_the_database_counts_once_however_often_somebody_scrapes(house, port):
    scraped(port)
    Client(house.application).post('/v1/orders', {'type': 'key', 'meta': {
        'algorithm': 'aes', 'bit_length': 256}})
    found, _ = scraped(port)
    assert not [name for name, *_ in found if name == 'km_orders']


def test_each_process_takes_a_port_and_one_too_many_works_without(house, folder, port, caplog):
    second, third = watched(folder, port), watched(folder, port)
    assert scraped(port + 1)
    assert '[metrics] bind_port, ports' in caplog.text
    assert Client(third.application).secret()
    second.close()
    third.close()


def test_the_port_of_the_api_serves_no_numbers(house):
    assert Request.blank('/metrics').get_response(house.application).status_int == 404
