# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate issue`` and ``certificate order``: what they ask of the API, and waiting."""
import base64
import json

import pytest
from osc_lib.exceptions import CommandError

from km.client.certificate_orders import CancelOrder, IssueCertificate, ListOrders, ShowOrder

BASE = 'https://keys.example.org/v1'
ID, CERTIFICATE, CONTAINER, CA, OTHER = (
    f'0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a0{digit}' for digit in range(1, 6))
REF, CONTAINER_REF, PATH = f'{BASE}/orders/{ID}', f'{BASE}/containers/{CONTAINER}', f'/v1/orders/{ID}'
PENDING = {'status': 'PENDING', 'type': 'certificate', 'order_ref': REF,
           'meta': {'request_type': 'new-key', 'subject_dn': 'CN=ours', 'subject_alt_names': ['ours']},
           'created': '2030-01-01T12:00:00', 'sub_status': 'x', 'sub_status_message': 'not yet'}
ACTIVE = {**PENDING, 'status': 'ACTIVE', 'sub_status_message': 'there', 'container_ref': CONTAINER_REF}
FAILED = {**PENDING, 'status': 'ERROR', 'error_status_code': '400', 'error_reason': 'No such name.'}
NEW = {'request_type': 'new-key'}
OURS = {'subject_dn': 'CN=ours.example', 'subject_alt_names': ['ours.example']}


class InTurn(dict):
    """Answers, of which one that is a list is given element by element; the last one for ever."""

    def get(self, key, default=None):
        found = super().get(key, default)
        if not isinstance(found, list):
            return found
        return found.pop(0) if len(found) > 1 else found[0]


@pytest.fixture
def orders(server):
    """The stand-in, that takes orders and has not issued anything."""
    server.answers = InTurn({
        ('POST', '/v1/orders'): (202, {'order_ref': REF}), ('GET', PATH): (200, PENDING),
        ('GET', f'/v1/certificates?container_id={CONTAINER}&limit=100&offset=0'): (200, {
            'total': 2, 'certificates': [
                {'certificate_id': OTHER, 'order_ref': f'{BASE}/orders/{OTHER}'},
                {'certificate_id': CERTIFICATE, 'order_ref': REF}]})})
    return server


def metas(server):
    return [body['meta'] for method, _, body in server.asked if method == 'POST']


@pytest.mark.parametrize(('arguments', 'meta'), [
    ('ours.example', {**NEW, **OURS}),
    ('ours.example --subject CN=Ours,O=Us', {**NEW, **OURS, 'subject_dn': 'CN=Ours,O=Us'}),
    ('CN=Ours,O=Us', {**NEW, 'subject_dn': 'CN=Ours,O=Us'}),
    ('--subject CN=Ours', {**NEW, 'subject_dn': 'CN=Ours'}),
    (f'{"a" * 60}.example', {**NEW, 'subject_alt_names': [f'{"a" * 60}.example']}),
    ('--dns a --dns b --ip 192.0.2.1 --email e@x --uri u:v', {**NEW, 'subject_alt_names': [
        'DNS:a', 'DNS:b', 'IP:192.0.2.1', 'email:e@x', 'URI:u:v']}),
    ('ours.example --dns b', {**NEW, **OURS, 'subject_alt_names': ['ours.example', 'DNS:b']}),
    ('ours.example --algorithm rsa --bit-length 3072',
     {**NEW, **OURS, 'algorithm': 'rsa', 'bit_length': 3072}),
    (f'ours.example --key-container {CONTAINER_REF}',
     {**OURS, 'request_type': 'stored-key', 'container_ref': CONTAINER}),
    (f'ours.example --name web --ca {BASE}/cas/{CA} --profile short --not-after 2030-01-01',
     {**NEW, **OURS, 'name': 'web', 'ca_id': CA, 'profile': 'short', 'not_after': '2030-01-01'}),
    ('ours.example --renew', {**NEW, **OURS, 'renewal': {'new_key': True}}),
    ('ours.example --renew-at 50', {**NEW, **OURS, 'renewal': {'new_key': True, 'percent': 50}}),
    ('ours.example --same-key', {**NEW, **OURS, 'renewal': {'new_key': False}}),
])
def test_what_is_said_is_ordered(orders, openstack, arguments, meta):
    made = json.loads(openstack(IssueCertificate, *arguments.split(), '-f', 'json'))
    assert made == {'Order ID': ID, 'Status': 'PENDING', 'Message': 'not yet', 'Certificate ID': None,
                    'Container href': None}
    assert metas(orders) == [meta]
    assert orders.asked[0][2]['type'] == 'certificate'


@pytest.mark.parametrize('content', [b'-----BEGIN CERTIFICATE REQUEST-----\n...', bytes(range(256))])
def test_a_request_is_sent_as_it_is(orders, openstack, tmp_path, content):
    path = tmp_path / 'request'
    path.write_bytes(content)
    openstack(IssueCertificate, '--csr', str(path))
    assert metas(orders) == [{'request_type': 'simple-cmc',
                              'request_data': base64.b64encode(content).decode()}]


@pytest.mark.parametrize(('arguments', 'said'), [
    ('', 'Name what'),
    ('CN=a --subject CN=b', 'one distinguished name'),
    ('--csr no.such.file', 'cannot be read'),
    ('--csr a.csr a.example', 'those of the request'),
    ('--csr a.csr --ip 192.0.2.1', 'those of the request'),
    ('--csr a.csr --bit-length 2048', 'of a new key'),
    (f'--key-container {CONTAINER} a.example --algorithm ec', 'of a new key'),
    ('--key-container web a.example', "'web' is neither"),
    ('a.example --profile short', '--ca'),
    ('a.example --ca issuing', "'issuing' is neither"),
])
def test_what_does_not_go_together_is_told_before_anything_is_asked(server, openstack, arguments, said):
    with pytest.raises(CommandError, match=said):
        openstack(IssueCertificate, *arguments.split())
    assert server.asked == []


def test_who_waits_is_shown_the_certificate(orders, openstack):
    orders.answers['GET', PATH] = [(200, PENDING), (200, PENDING), (200, ACTIVE)]
    made = json.loads(openstack(IssueCertificate, 'a.example', '--wait', '-f', 'json'))
    assert made == {'Order ID': ID, 'Status': 'ACTIVE', 'Message': 'there',
                    'Certificate ID': CERTIFICATE, 'Container href': CONTAINER_REF}
    assert [path for _, path, _ in orders.asked].count(PATH) == 3


def test_who_waits_is_told_why_there_is_no_certificate(orders, openstack):
    orders.answers['GET', PATH] = [(200, PENDING), (200, FAILED)]
    with pytest.raises(CommandError, match=rf'{ID} failed: No such name\. \(400\)'):
        openstack(IssueCertificate, 'a.example', '--wait')


def test_who_waits_waits_no_longer_than_was_said(orders, openstack):
    with pytest.raises(CommandError, match=f'{ID} is pending still after 0 seconds: not yet'):
        openstack(IssueCertificate, 'a.example', '--wait', '--timeout', '0')


@pytest.mark.parametrize(('before', 'options'), [([], ()), ([(200, PENDING)], ('--wait',))])
def test_the_order_is_told_when_the_service_fails_after_it(orders, openstack, before, options):
    orders.answers['GET', PATH] = [*before, (503, {'title': 'Unavailable', 'description': 'No.'})]
    with pytest.raises(CommandError, match=rf'{ID} was placed, and .*: No\. \(HTTP 503\)'):
        openstack(IssueCertificate, 'a.example', *options)


def test_an_order_that_is_not_taken_is_told(server, openstack):
    server.answers['POST', '/v1/orders'] = 400, {'title': 'Bad Request', 'description': 'No such CA.'}
    with pytest.raises(CommandError, match=r'No such CA\. \(HTTP 400\)'):
        openstack(IssueCertificate, 'a.example', '--wait')


@pytest.mark.parametrize('named', [ID, REF])
def test_an_order_is_shown_with_what_came_of_it(orders, openstack, named):
    orders.answers['GET', PATH] = 200, FAILED
    shown = json.loads(openstack(ShowOrder, named, '-f', 'json'))
    assert (shown['Status'], shown['Message'], shown['Certificate ID']) == (
        'ERROR', 'No such name.', None)
    orders.answers['GET', PATH] = 200, ACTIVE
    assert json.loads(openstack(ShowOrder, named, '-f', 'json'))['Certificate ID'] == CERTIFICATE


def test_orders_of_certificates_are_listed(server, openstack):
    server.answers['GET', '/v1/orders?type=certificate&limit=100&offset=0'] = 200, {
        'orders': [ACTIVE, {**FAILED, 'meta': {'request_type': 'simple-cmc'}}], 'total': 2}
    assert json.loads(openstack(ListOrders, '-f', 'json')) == [
        {'ID': ID, 'Created': '2030-01-01T12:00:00', 'Subject': 'CN=ours', 'Names': ['ours'],
         'Status': 'ACTIVE', 'Message': 'there', 'Container href': CONTAINER_REF},
        {'ID': ID, 'Created': '2030-01-01T12:00:00', 'Subject': None, 'Names': [],
         'Status': 'ERROR', 'Message': 'No such name.', 'Container href': None}]


@pytest.mark.parametrize('named', [ID, REF])
def test_an_order_is_cancelled(server, openstack, named):
    server.answers['POST', f'{PATH}/cancel'] = 202, {'order_ref': REF}
    assert openstack(CancelOrder, named) == ''
    assert server.asked == [('POST', f'{PATH}/cancel', None)]
