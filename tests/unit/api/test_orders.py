# SPDX-License-Identifier: Apache-2.0
"""``/v1/orders``, asked over HTTP."""
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from km.testing.application import Client, a_deployment

AES = {'algorithm': 'aes', 'bit_length': 256}


def path_of(ref):
    return '/v1' + ref.partition('/v1')[2]


def placed(who, order_type='key', **meta):
    """The path of a new order."""
    made = who.post('/v1/orders', {'type': order_type, 'meta': meta})
    assert made.status_int == 202, made.text
    assert made.headers['Location'] == made.json['order_ref']
    return path_of(made.json['order_ref'])


def payload(who, ref, accept='application/octet-stream'):
    return who.get(path_of(ref) + '/payload', Accept=accept).body


def pair(who, order):
    """The payloads in an order's container, by name."""
    from_names = who.get(path_of(order['container_ref'])).json['secret_refs']
    return {one['name']: payload(who, one['secret_ref']) for one in from_names}


@pytest.mark.parametrize(('algorithm', 'bits'), [
    ('aes', 128), ('AES', 192), ('aes', 256), ('aes', 512), ('hmacsha1', 160), ('hmacsha256', 256),
    ('HmacSha384', 384), ('hmacsha512', 512)])
def test_a_key_is_there_when_its_order_was_placed(ann, algorithm, bits):
    order = ann.get(placed(ann, algorithm=algorithm, bit_length=bits, name='disk')).json
    assert (order['status'], order['type']) == ('ACTIVE', 'key')
    assert 'error_reason' not in order
    secret = ann.get(path_of(order['secret_ref'])).json
    assert (secret['secret_type'], secret['name'], secret['algorithm'], secret['bit_length']) == (
        'symmetric', 'disk', algorithm, bits)
    assert secret['content_types'] == {'default': 'application/octet-stream'}
    assert len(payload(ann, order['secret_ref'])) == bits // 8


def test_no_two_keys_are_the_same(ann):
    refs = [ann.get(placed(ann, **AES)).json['secret_ref'] for _ in range(3)]
    assert len({payload(ann, ref) for ref in refs}) == 3


def test_an_order_shows_what_was_ordered_and_nothing_that_clients_choke_on(ann):
    order = ann.get(placed(ann, **AES, mode=None, payload_content_type=None, extra='x')).json
    assert order['meta'] == {
        'name': None, 'algorithm': 'aes', 'mode': None, 'bit_length': 256, 'expiration': None,
        'payload_content_type': None}
    assert set(order) == {
        'created', 'updated', 'status', 'type', 'meta', 'creator_id', 'order_ref', 'secret_ref',
        'sub_status', 'sub_status_message'}
    assert (order['sub_status'], order['sub_status_message']) == ('Unknown', 'Unknown')


def test_an_expiration_is_the_secrets_and_is_shown_with_six_digits(ann):
    order = ann.get(placed(ann, **AES, expiration='2040-05-06T07:08:09Z', mode='cbc')).json
    assert order['meta']['expiration'] == '2040-05-06T07:08:09.000000'
    secret = ann.get(path_of(order['secret_ref'])).json
    assert (secret['expiration'], secret['mode']) == ('2040-05-06T07:08:09', 'cbc')


@pytest.mark.parametrize(('algorithm', 'bits', 'kind', 'container_type'), [
    ('rsa', 2048, rsa.RSAPrivateKey, 'rsa'), ('RSA', 3072, rsa.RSAPrivateKey, 'rsa'),
    ('ec', 256, ec.EllipticCurvePrivateKey, 'generic'),
    ('ec', 384, ec.EllipticCurvePrivateKey, 'generic'),
    ('ec', 521, ec.EllipticCurvePrivateKey, 'generic'),
    ('ed25519', 256, ed25519.Ed25519PrivateKey, 'generic')])
def test_a_pair_is_a_container_of_two_keys_that_belong_together(
        ann, algorithm, bits, kind, container_type):
    order = ann.get(placed(ann, 'asymmetric', algorithm=algorithm, bit_length=bits, name='tls')).json
    assert order['status'] == 'ACTIVE'
    container = ann.get(path_of(order['container_ref'])).json
    assert (container['type'], container['name']) == (container_type, 'tls')
    found = pair(ann, order)
    private = load_pem_private_key(found['private_key'], None)
    assert isinstance(private, kind)
    assert getattr(private, 'key_size', bits) == bits
    assert load_pem_public_key(found['public_key']) == private.public_key()


@pytest.mark.parametrize('name', ['passphrase', 'pass_phrase'])
def test_a_passphrase_encrypts_the_private_key_and_is_seen_nowhere_else(ann, house, name):
    order = ann.get(placed(ann, 'asymmetric', algorithm='ec', bit_length=256, **{name: 'open sesame'}))
    assert 'sesame' not in order.text
    found = pair(ann, order.json)
    assert found['private_key_passphrase'] == b'open sesame'
    assert load_pem_private_key(found['private_key'], b'open sesame')
    with pytest.raises(TypeError):
        load_pem_private_key(found['private_key'], None)
    with house.database.statement() as connection:
        rows = connection.exec_driver_sql('SELECT * FROM orders').all()
    assert 'sesame' not in repr(rows)


@pytest.mark.parametrize(('order_type', 'algorithm', 'bits'), [
    ('key', 'aes', 64), ('key', 'rot13', 128), ('key', '3des', 192), ('key', 'des', 64),
    ('asymmetric', 'rsa', 1024), ('asymmetric', 'rsa', 2056), ('asymmetric', 'dsa', 2048),
    ('asymmetric', 'ed25519', 512)])
def test_what_km_does_not_make_fails_the_order_and_not_the_request(ann, order_type, algorithm, bits):
    order = ann.get(placed(ann, order_type, algorithm=algorithm, bit_length=bits)).json
    assert (order['status'], order['error_status_code']) == ('ERROR', '400')
    assert algorithm in order['error_reason']
    assert not {'secret_ref', 'container_ref'} & order.keys()


@pytest.mark.parametrize(('order_type', 'algorithm', 'bits'), [
    ('key', '3DES', 128), ('key', 'DESede', 192), ('key', 'des', 64), ('asymmetric', 'rsa', 1024)])
def test_an_operator_may_let_km_make_keys_that_were_withdrawn(folder, order_type, algorithm, bits):
    house = a_deployment(folder, {'orders': {'legacy_algorithms': 'true'}})
    ann = Client(house.application)
    assert ann.get(placed(ann, order_type, algorithm=algorithm, bit_length=bits)).json[
        'status'] == 'ACTIVE'
    house.close()


@pytest.mark.parametrize(('told', 'field'), [
    ({}, 'type'), ({'type': 'key'}, 'meta'), ({'type': 'Key', 'meta': AES}, 'type'),
    ({'type': 'certificates', 'meta': {}}, 'type'), ({'type': 'key', 'meta': None}, 'meta'),
    ({'type': 'key', 'meta': {'bit_length': 256}}, 'meta'),
    ({'type': 'key', 'meta': {'algorithm': 'aes'}}, 'meta'),
    ({'type': 'key', 'meta': {'algorithm': '', 'bit_length': 256}}, 'meta.algorithm'),
    ({'type': 'key', 'meta': {**AES, 'bit_length': 7}}, 'meta.bit_length'),
    ({'type': 'key', 'meta': {**AES, 'bit_length': '256'}}, 'meta.bit_length'),
    ({'type': 'key', 'meta': {**AES, 'bit_length': 0}}, 'meta.bit_length'),
    ({'type': 'key', 'meta': {**AES, 'bit_length': True}}, 'meta.bit_length'),
    ({'type': 'key', 'meta': {**AES, 'name': 'n' * 256}}, 'meta.name'),
    ({'type': 'key', 'meta': {**AES, 'payload': 'unmistakable'}}, 'meta.payload'),
    ({'type': 'key', 'meta': {**AES, 'payload_content_type': 'x/y'}}, 'meta.payload_content_type'),
    ({'type': 'key', 'meta': {**AES, 'expiration': '2001-01-01'}}, 'expiration'),
    ({'type': 'key', 'meta': {**AES, 'expiration': 'soon'}}, 'expiration'),
    ({'type': 'key', 'meta': {**AES, 'passphrase': 'x'}}, 'meta.passphrase'),
    ({'type': 'asymmetric', 'meta': {'algorithm': 'ec', 'bit_length': 192}}, 'meta.bit_length'),
    ({'type': 'asymmetric', 'meta': {'algorithm': 'ec', 'bit_length': 256, 'passphrase': 'x',
                                     'pass_phrase': 'y'}}, 'meta.passphrase')])
def test_an_order_that_makes_no_sense_is_refused_by_field(ann, told, field):
    refused = ann.post('/v1/orders', told)
    assert refused.status_int == 400
    assert refused.json['description'].startswith('Order creation issue seen - ')
    assert field.rpartition('.')[2] in refused.json['description']
    assert 'unmistakable' not in refused.text
    assert ann.get('/v1/orders').json['total'] == 0


def test_a_deleted_order_leaves_what_it_made(ann):
    path = placed(ann, **AES)
    ref = ann.get(path).json['secret_ref']
    assert ann.delete(path).status_int == 204
    assert ann.get(path).status_int == ann.delete(path).status_int == 404
    assert ann.get(path_of(ref)).status_int == 200


def test_an_order_of_another_project_does_not_exist(ann, eve, bob):
    path = placed(ann, **AES)
    assert bob.get(path).json['status'] == 'ACTIVE'
    for refused in (eve.get(path), eve.delete(path)):
        assert (refused.status_int, refused.json['description']) == (404, 'Not Found. Order not found.')
    assert eve.get('/v1/orders').json == {'orders': [], 'total': 0}


@pytest.mark.parametrize('order_id', ['x', '00000000-0000-0000-0000-000000000000', 'a' * 300])
def test_an_id_that_is_none_is_not_found(ann, order_id):
    assert ann.get(f'/v1/orders/{order_id}').status_int == 404


def test_orders_are_listed_page_by_page_oldest_first(ann, clock):
    names = [f'n{number}' for number in range(5)]
    for name in names:
        placed(ann, **AES, name=name)
        clock.forward(seconds=1)
    first = ann.get('/v1/orders?limit=3').json
    assert [order['meta']['name'] for order in first['orders']] == names[:3]
    assert (first['total'], 'previous' in first) == (5, False)
    rest = ann.get(path_of(first['next'])).json
    assert [order['meta']['name'] for order in rest['orders']] == names[3:]
    assert 'next' not in rest


@pytest.mark.parametrize(('wanted', 'found'), [
    ('disk', ['disk']), ('100%', ['100%']), ('%', ['100%']), ('a_b', ['a_b']), ('none', [])])
def test_orders_can_be_sought_by_a_part_of_their_meta(ann, wanted, found):
    for name in ('disk', '100%', 'a b', 'a_b'):
        placed(ann, **AES, name=name)
    listed = ann.get('/v1/orders?meta=' + wanted.replace('%', '%25')).json
    assert [order['meta']['name'] for order in listed['orders']] == found


def test_only_members_order(house, ann):
    reader = Client(house.application, roles='reader')
    path = placed(ann, **AES)
    for refused in (reader.post('/v1/orders', {'type': 'key', 'meta': AES}), reader.get('/v1/orders'),
                    reader.get(path), reader.delete(path)):
        assert refused.status_int == 403


def test_an_order_cannot_be_updated(ann):
    refused = ann.put('/v1/orders', {})
    assert (refused.status_int, refused.headers['Allow']) == (405, 'GET, POST')
