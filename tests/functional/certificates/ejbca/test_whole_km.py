# SPDX-License-Identifier: Apache-2.0
"""A whole km with an EJBCA: an order over HTTP, and what becomes of it."""
import base64
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from km.testing.application import Client, a_deployment
from tests.functional.certificates.ejbca_orders import csr

_WAIT_SECONDS = 10


@pytest.fixture
def ann(server, folder):
    options = server.options()
    options['profiles'] = ','.join(f'{known}:{names}' for known, names in options['profiles'].items())
    house = a_deployment(folder, {
        'certificate_authority': {'enabled': 'company'},
        'certificate_authority:company': {'plugin': 'ejbca', **options}})
    yield Client(house.application)
    house.close()


def test_an_order_has_its_certificate_from_ejbca(server, ann):
    pem = x509.load_der_x509_csr(csr()).public_bytes(Encoding.PEM)
    placed = ann.ask('POST', '/v1/orders', json={'type': 'certificate', 'meta': {
        'request_type': 'custom', 'request_data': base64.b64encode(pem).decode()}}).json['order_ref']
    order = settled(ann, '/v1' + placed.partition('/v1')[2])
    assert order['status'] == 'ACTIVE'
    container = ann.ask('GET', '/v1' + order['container_ref'].partition('/v1')[2]).json
    parts = {one['name']: payload(ann, one['secret_ref']) for one in container['secret_refs']}
    kept, = server.certificates
    made, = x509.load_pem_x509_certificates(parts['certificate'])
    assert made == x509.load_pem_x509_certificate(kept['pem'].encode())
    assert set(parts) == {'certificate', 'intermediates'}


def settled(client, path):
    """An order that is not pending any more."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while (order := client.ask('GET', path).json)['status'] == 'PENDING':
        assert time.monotonic() < deadline, order
        time.sleep(0.05)
    return order


def payload(client, reference):
    return client.ask('GET', '/v1' + reference.partition('/v1')[2] + '/payload',
                      Accept='application/octet-stream').body
