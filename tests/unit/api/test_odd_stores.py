# SPDX-License-Identifier: Apache-2.0
"""What clients see of a store that does what no store may."""
import pytest

from km.hosting.deadlines import Deadlines
from km.interfaces import NotSupported
from km.lifecycle import upkeep
from km.testing.application import Client, a_deployment
from tests import misbehaving
from tests.misbehaving import Hangs, Misbehaving, Raises, Returns


@pytest.fixture
def guest(house):
    """The store of ``house``."""
    odd = Misbehaving('soft', None)
    odd.open()
    house.registry.secret_stores['soft'].guest = odd
    house.registry.secret_stores['soft']._deadlines = Deadlines('soft', seconds=0.1, most=8)
    return odd


PAYLOAD = {'payload': 'unmistakable', 'payload_content_type': 'text/plain'}


def test_a_store_that_hangs_is_a_503_and_leaves_nothing_behind(house, ann, guest, clock):
    guest.instead['store'] = hanging = Hangs()
    answer = ann.post('/v1/secrets', PAYLOAD)
    assert (answer.status_int, answer.headers['Retry-After']) == (503, '5')
    order = ann.post('/v1/orders', {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}})
    assert order.status_int == 202
    hanging.go_on.set()
    guest.instead = {}
    clock.forward(hours=1)
    assert upkeep.sweep(house.context).failed == 0
    assert len(guest.payloads) == 1, 'the order was tried again; nothing else is kept'
    assert [secret['secret_type'] for secret in ann.get('/v1/secrets').json['secrets']] == ['symmetric']


def test_a_store_that_hangs_in_a_read_is_a_503(ann, guest):
    path = ann.secret()
    guest.instead['retrieve'] = Hangs()
    assert ann.get(path + '/payload').status_int == 503
    assert ann.get(path).status_int == 200
    guest.instead['retrieve'].go_on.set()


@pytest.mark.parametrize('error', misbehaving.NONSENSE_RAISED.values(), ids=misbehaving.NONSENSE_RAISED)
def test_an_error_nobody_knows_is_an_opaque_500_and_nothing_is_half_done(
        ann, guest, caplog, error, clock, house):
    guest.instead['store'] = Raises(error, effect=True)
    answer = ann.post('/v1/secrets', PAYLOAD)
    assert answer.status_int == 500
    assert answer.json['description'] == (
        'Secret creation failure seen - please contact site administrator.')
    assert 'unmistakable' not in caplog.text + answer.text
    assert 'failed in store' in caplog.text
    assert (ann.get('/v1/secrets').json['total'], guest.payloads) == (0, {})


def test_a_reference_that_is_none_is_a_500_and_nothing_is_half_done(ann, guest):
    guest.instead['store'] = Returns({'nested': []})
    assert ann.post('/v1/secrets', PAYLOAD).status_int == 500
    assert ann.get('/v1/secrets').json['total'] == 0


def test_an_ability_it_does_not_have_after_all_is_a_400(ann, guest):
    guest.instead['store'] = Raises(lambda *_: NotSupported('It keeps no such things.'))
    assert ann.post('/v1/secrets', PAYLOAD).status_int == 400


def test_a_store_that_is_down_leaves_the_others_serving(folder):
    (folder / 'kek').unlink(missing_ok=True)
    house = a_deployment(folder, {
        'secret_store': {'enabled': 'soft, gone'},
        'secret_store:gone': {
            'plugin': 'simple_crypto', 'kek_file': folder / 'kek',
            'connection': 'postgresql+psycopg://km@127.0.0.1:1/km'}})
    ann = Client(house.application)
    admin = Client(house.application, project_id='beta', roles='admin,member,reader')
    gone, = ann.get('/v1/secret-stores?name=gone').json['secret_stores']
    path = gone['secret_store_ref'].removeprefix('http://km.test:9311')
    assert admin.post(f'{path}/preferred').status_int == 204
    assert admin.post('/v1/secrets', PAYLOAD).status_int == 503
    assert ann.get(ann.secret('here') + '/payload').text == 'here'
    ready = ann.get('/readiness')
    assert (ready.status_int, ready.json['secret_stores']) == (200, {'soft': 'ok', 'gone': 'failed'})
    house.close()
