# SPDX-License-Identifier: Apache-2.0
"""``GET /readiness``."""
import pytest
from webob import Request

from km.api.health import Health, Readiness
from km.errors import Unavailable
from km.plugins.rpc_transport.embedded import Embedded


def asked(house, method='GET'):
    return Request.blank('/readiness', method=method).get_response(house.application)


def broken(*_):
    raise Unavailable('db.internal:5432 refused km with password hunter2.')


def test_a_km_that_works_is_ready_and_says_so_to_anybody(house):
    answer = asked(house)
    assert answer.status_int == 200
    assert answer.json == {'ready': True, 'database': 'ok', 'transport': 'ok', 'worker': 'ok',
                           'secret_stores': {'soft': 'ok'}}
    assert answer.headers['Cache-Control'] == 'no-store'


class Broken(Embedded):
    """A transport without a broker."""

    check = broken


def test_a_transport_that_does_not_work_is_named(house):
    health = Health(database=house.database, transport=Broken('x', None), worker=house.worker)
    answer = Request.blank('/readiness').get_response(Readiness(health))
    assert answer.status_int == 503
    assert answer.json == {'ready': False, 'database': 'ok', 'transport': 'failed', 'worker': 'ok',
                           'secret_stores': {'soft': 'ok'}}


@pytest.mark.parametrize(('part', 'failed'), [
    ('database', {'database': 'failed'}), ('store', {'secret_stores': {'soft': 'failed'}}),
    ('worker', {'worker': 'failed', 'secret_stores': {}})])
def test_a_part_that_does_not_work_is_named_and_why_is_not_told(house, part, failed):
    place, method = {
        'database': (house.database, 'statement'),
        'store': (house.registry.secret_stores['soft'], 'check'),
        'worker': (house.registry.transport, 'call')}[part]
    setattr(place, method, broken)
    answer = asked(house)
    assert answer.status_int == 503
    assert answer.json == {'ready': False, 'database': 'ok', 'transport': 'ok', 'worker': 'ok',
                           'secret_stores': {'soft': 'ok'}} | failed


def test_a_client_that_asks_and_asks_does_not_wear_a_store_out(house):
    store, times = house.registry.secret_stores['soft'], []
    store.check = lambda: times.append(1) or 'ok'
    assert {asked(house).status_int for _ in range(100)} == {200}
    assert len(times) == 1


def test_liveness_asks_nothing_of_anybody(house):
    house.database.statement = house.registry.transport.call = broken
    answer = Request.blank('/healthcheck').get_response(house.application)
    assert (answer.status_int, answer.text) == (200, 'OK')


def test_readiness_can_only_be_read(house):
    assert asked(house, 'POST').status_int == 405
