# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate list|show|renew|revoke``: what they ask of the API, checked by a stand-in."""
import json

import pytest
from osc_lib.exceptions import CommandError

from km.client.certificates import (
    REASONS,
    ListCertificates,
    RenewCertificate,
    RevokeCertificate,
    ShowCertificate,
)
from km.interfaces import REVOCATION_REASONS

BASE = 'https://keys.example.org/v1'
ID, FORMER, ORDER, CONTAINER, SECRET = (
    f'0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a0{digit}' for digit in range(1, 6))
PATH = f'/v1/certificates/{ID}'
VERSIONS = f'/v1/certificates?container_id={CONTAINER}&limit=100&offset=0'
TOLD = {
    'certificate_id': ID, 'created': '2030-01-01T12:00:00', 'updated': '2030-01-01T12:00:00',
    'status': 'ISSUED', 'version': 2, 'is_current': True, 'serial': '1f', 'subject': 'CN=ours',
    'issuer': 'CN=CA', 'names': ['DNS:ours', 'IP:192.0.2.1'], 'sha256_fingerprint': 'ab',
    'not_before': '2030-01-01T12:00:00', 'not_after': '2030-03-01T12:00:00', 'days_left': 59,
    'profile': None, 'renew_at': None, 'renewal_failures': 0, 'revoked': None,
    'revocation_reason': None, 'ca_ref': f'{BASE}/cas/{ID}', 'order_ref': f'{BASE}/orders/{ORDER}',
    'container_ref': f'{BASE}/containers/{CONTAINER}', 'certificate_ref': f'{BASE}/certificates/{ID}',
    'secret_refs': {'certificate': f'{BASE}/secrets/{SECRET}'}}


def page(*found, total=None):
    return 200, {'certificates': list(found), 'total': len(found) if total is None else total}


@pytest.fixture(params=[ID, TOLD['certificate_ref'], TOLD['container_ref']],
                ids=['id', 'reference', 'container'])
def named(request, server):
    """A certificate as somebody names it."""
    former = {**TOLD, 'certificate_id': FORMER, 'is_current': False, 'version': 1}
    server.answers['GET', VERSIONS] = page(former, TOLD)
    server.answers['GET', PATH] = 200, TOLD
    return request.param


def test_those_in_use_are_listed_with_the_days_they_have_left(server, openstack):
    server.answers['GET', '/v1/certificates?limit=100&offset=0'] = page(TOLD)
    (listed,) = json.loads(openstack(ListCertificates, '-f', 'json'))
    assert listed == {
        'ID': ID, 'Names': ['DNS:ours', 'IP:192.0.2.1'], 'Issuer': 'CN=CA', 'Status': 'ISSUED',
        'Version': 2, 'Days left': 59, 'Not after': '2030-03-01T12:00:00',
        'Container href': TOLD['container_ref']}


@pytest.mark.parametrize(('options', 'query'), [
    (('--expires-before', '2030-01-01T00:00+01:00'), 'expires_before=2030-01-01T00%3A00%2B01%3A00&'),
    (('--container', TOLD['container_ref']), f'container_id={CONTAINER}&'),
    (('--container', CONTAINER, '--expires-before', 'x&y'),
     f'expires_before=x%26y&container_id={CONTAINER}&')])
def test_a_list_is_of_those_that_are_asked_for(server, openstack, options, query):
    server.answers['GET', f'/v1/certificates?{query}limit=100&offset=0'] = page()
    assert json.loads(openstack(ListCertificates, *options, '-f', 'json')) == []


def test_all_pages_of_a_list_are_shown(server, openstack):
    server.answers['GET', '/v1/certificates?limit=100&offset=0'] = page(*[TOLD] * 100, total=101)
    server.answers['GET', '/v1/certificates?limit=100&offset=100'] = page(TOLD, total=101)
    assert len(json.loads(openstack(ListCertificates, '-f', 'json'))) == 101


def test_a_limit_is_over_all_pages(server, openstack):
    server.answers['GET', '/v1/certificates?limit=100&offset=0'] = page(*[TOLD] * 100, total=500)
    server.answers['GET', '/v1/certificates?limit=20&offset=100'] = page(*[TOLD] * 20, total=500)
    assert len(json.loads(openstack(ListCertificates, '--limit', '120', '-f', 'json'))) == 120


def test_one_is_shown_by_id_by_reference_or_by_its_container(openstack, named):
    shown = json.loads(openstack(ShowCertificate, named, '-f', 'json'))
    assert (shown['Certificate ID'], shown['Version'], shown['Days left']) == (ID, 2, 59)
    assert shown['Names'] == ['DNS:ours', 'IP:192.0.2.1']
    assert shown['Certificate secret'] == TOLD['secret_refs']['certificate']
    assert (shown['Private key secret'], shown['Renewal order href']) == (None, None)
    assert 'Chain' not in shown


def test_a_container_that_has_none_is_told(server, openstack):
    server.answers['GET', VERSIONS] = page()
    with pytest.raises(CommandError, match=f'no certificate of an order in .*{CONTAINER}'):
        openstack(ShowCertificate, TOLD['container_ref'])


def test_a_chain_that_is_none_is_told(server, openstack):
    server.answers['GET', PATH] = 200, TOLD
    server.answers['GET', f'/v1/secrets/{SECRET}/payload'] = 200, 'no certificate'
    with pytest.raises(CommandError, match='not certificates'):
        openstack(ShowCertificate, ID, '--chain')


def test_each_request_is_of_the_version_that_has_certificates(server, openstack, named):
    server.answers['POST', f'{PATH}/revoke'] = 202, {'revoked': True}
    openstack(RevokeCertificate, named)
    assert {headers['OpenStack-API-Version'] for headers in server.headers} == {'key-manager 1.4'}


@pytest.mark.parametrize('status', [404, 406])
def test_a_service_that_does_not_speak_it_is_told_apart(server, openstack, status):
    server.answers['GET', PATH] = status, {'code': status, 'title': 'No', 'description': ''}
    with pytest.raises(CommandError, match=r'does not speak version 1\.4'):
        openstack(ShowCertificate, ID)


def test_one_is_renewed_and_the_order_that_does_is_shown(server, openstack, named):
    server.answers['POST', f'{PATH}/renew'] = 202, {'order_ref': f'{BASE}/orders/{ORDER}'}
    server.answers['GET', f'/v1/orders/{ORDER}'] = 200, {
        'status': 'PENDING', 'sub_status_message': 'not yet', 'order_ref': f'{BASE}/orders/{ORDER}'}
    assert json.loads(openstack(RenewCertificate, named, '-f', 'json')) == {
        'Order ID': ORDER, 'Status': 'PENDING', 'Message': 'not yet', 'Certificate ID': None,
        'Container href': None}


@pytest.mark.parametrize(('options', 'body'), [
    ((), {'reason': 'unspecified'}),
    (('--reason', 'keyCompromise', '--invalidity-date', '2029-01-01'),
     {'reason': 'keyCompromise', 'invalidity_date': '2029-01-01'})])
def test_one_is_revoked_and_how_it_stands_then_is_shown(server, openstack, named, options, body):
    server.answers['POST', f'{PATH}/revoke'] = 202, {'revoked': False}
    server.answers['GET', PATH] = 200, {
        **TOLD, 'status': 'REVOKING', 'revocation_reason': body['reason']}
    assert json.loads(openstack(RevokeCertificate, named, *options, '-f', 'json')) == {
        'Certificate ID': ID, 'Status': 'REVOKING', 'Revoked': None,
        'Revocation reason': body['reason']}
    assert server.asked[-2] == ('POST', f'{PATH}/revoke', body)


def test_the_reasons_are_those_that_the_service_takes():
    assert REASONS == REVOCATION_REASONS


def test_what_the_server_says_is_told(server, openstack, named):
    server.answers['POST', f'{PATH}/revoke'] = 409, {
        'code': 409, 'title': 'Conflict', 'description': 'The certificate is revoked already.'}
    with pytest.raises(CommandError, match='is revoked already'):
        openstack(RevokeCertificate, named)
