# SPDX-License-Identifier: Apache-2.0
"""Stock clients of today, which know no certificate orders, in a project that has some."""
import json

import pytest
from barbicanclient.v1.orders import AsymmetricOrder, KeyOrder
from cryptography import x509

from tests.functional.assertions import standalone_only
from tests.functional.certificates.km_with_authorities import assert_belong_together, issued
from tests.functional.test_command_line import shell  # noqa: F401  a fixture
from tests.functional.test_python_clients import barbicanclient, sdk

pytestmark = standalone_only
NEW = {'request_type': 'new-key', 'subject_dn': 'cn=www.example.org', 'name': 'web'}
ASYMMETRIC = {'type': 'asymmetric', 'meta': {'name': 'pair', 'algorithm': 'ec', 'bit_length': 256}}


@pytest.fixture
def client(km):
    return barbicanclient(km, microversion='1.1')


@pytest.fixture
def certificate_order(km):
    """An order of a certificate between two of others, and these two's references."""
    def placed(order):
        return km.post('/v1/orders', order).json()['order_ref']

    before, order = placed(ASYMMETRIC), issued(km, **NEW)
    return order, {before, placed(ASYMMETRIC)}


def test_barbicanclient_lists_orders_of_all_kinds_that_it_knows(km, client, certificate_order):
    order, others = certificate_order
    listed = client.orders.list(limit=100)
    assert {type(one) for one in listed} <= {KeyOrder, AsymmetricOrder}
    assert others <= {one.order_ref for one in listed}
    assert order['order_ref'] not in {one.order_ref for one in listed}
    assert client.orders.total() == len(listed)


def test_barbicanclient_turns_the_pages_of_orders(client, certificate_order):
    total = client.orders.total()
    pages = [client.orders.list(limit=1, offset=offset) for offset in range(total)]
    assert len({page[0].order_ref for page in pages}) == total
    assert client.orders.list(limit=1, offset=total) == []


def test_barbicanclient_reads_the_container_of_a_certificate(km, client, certificate_order):
    order, _ = certificate_order
    container = client.containers.get(order['container_ref'])
    assert (container.name, container.status) == ('web', 'ACTIVE')
    key = container.private_key.payload
    km.hide(key)
    assert_belong_together({'certificate': container.certificate.payload, 'private_key': key,
                            'intermediates': container.intermediates.payload})
    assert order['container_ref'] in {
        one.container_ref for one in client.containers.list(limit=100)}
    assert container.certificate.secret_ref in {
        one.secret_ref for one in client.secrets.list(limit=1000)}


def test_barbicanclient_lists_and_reads_authorities(client):
    authority, = client.cas.list()
    assert (authority.plugin_name, authority.plugin_ca_id, authority.status) == (
        'local', 'issuing', 'ACTIVE')
    assert client.cas.total() == 1
    assert authority.name
    assert authority.expiration
    assert client.cas.list(name='nobody') == []


def test_openstacksdk_lists_orders_and_reads_each(km, certificate_order):
    order, others = certificate_order
    proxy = sdk(km)
    listed = {one.order_ref: one for one in proxy.orders()}
    assert others <= set(listed)
    assert order['order_ref'] not in listed
    assert {one.type for one in listed.values()} <= {'key', 'asymmetric'}
    found = proxy.get_order(order['order_ref'].rpartition('/')[2])
    assert (found.status, found.type, found.sub_status) == ('ACTIVE', 'certificate', 'cert_generated')


def test_openstacksdk_orders_a_certificate_and_finds_it_in_its_container(km):
    proxy = sdk(km)
    placed = proxy.create_order(type='certificate', meta=NEW)
    order = km.get(placed.order_ref).json()
    found = proxy.get_container(order['container_ref'].rpartition('/')[2])
    assert {one['name'] for one in found.secret_refs} == {
        'certificate', 'intermediates', 'private_key'}
    ref, = (one['secret_ref'] for one in found.secret_refs if one['name'] == 'certificate')
    payload = km.get(f'{ref}/payload', Accept='application/octet-stream').content
    assert x509.load_pem_x509_certificate(payload).subject.rfc4514_string() == 'CN=www.example.org'


def test_openstack_lists_orders_and_the_container_of_a_certificate(shell, certificate_order):  # noqa: F811
    order, others = certificate_order
    listed = json.loads(shell('openstack secret order list -l 100 -f json'))
    assert others <= {one['Order href'] for one in listed} - {order['order_ref']}
    shown = shell(f"openstack secret container get {order['container_ref']} -f value -c Name -c Status")
    assert shown.split() == ['web', 'ACTIVE']
