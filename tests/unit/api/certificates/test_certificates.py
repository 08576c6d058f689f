# SPDX-License-Identifier: Apache-2.0
"""``/v1/certificates``: what was issued, renewed and revoked, asked over HTTP."""
import uuid

import pytest
from cryptography import x509

from km.errors import Rejected, Unavailable
from tests.unit.api.certificates.conftest import BASE, V1_4, contents, path_of, placed, said

NEW = {'request_type': 'new-key', 'subject_dn': 'cn=www.example.org', 'name': 'web'}


@pytest.fixture
def asked(ann):
    """What ann is told of certificates, with the microversion that knows them."""
    def ask(method, path, **more):
        return ann.ask(method, path, **more, **V1_4)
    return ask


@pytest.fixture
def issued(ann, asked):
    """The path of a certificate."""
    placed(ann, **NEW, renewal={})
    return path_of(asked('GET', '/v1/certificates').json['certificates'][0]['certificate_ref'])


def test_a_certificate_says_what_it_says_and_where_it_is(ann, asked, issued):
    told = asked('GET', issued).json
    order = ann.get(path_of(told['order_ref'])).json
    assert order['container_ref'] == told['container_ref']
    certificate = x509.load_pem_x509_certificate(contents(ann, order)['certificate'])
    assert int(told['serial'], 16) == certificate.serial_number
    assert (told['subject'], told['names']) == ('CN=www.example.org', ['DNS:www.example.org'])
    assert (told['status'], told['version'], told['is_current'], told['days_left']) == (
        'ISSUED', 1, True, 89)
    assert set(told['secret_refs']) == {'certificate', 'intermediates', 'private_key'}
    assert told['ca_ref'] in ann.get('/v1/cas').json['cas']


def test_those_that_end_first_come_first(ann, asked, memory):
    for days in (90, 30, 60):
        placed(ann, **NEW, not_after=f'2030-0{days // 30}-15')
    ends = [one['not_after'] for one in asked('GET', '/v1/certificates').json['certificates']]
    assert len(ends) == 3
    assert ends == sorted(ends)
    found = asked('GET', '/v1/certificates?limit=1&offset=1').json
    assert (len(found['certificates']), found['total']) == (1, 3)
    assert found['next'].startswith(BASE + '/v1/certificates?')
    soon = asked('GET', '/v1/certificates?expires_before=2030-02-20').json
    assert [one['not_after'] for one in soon['certificates']] == ends[:2]
    assert said(asked('GET', '/v1/certificates?expires_before=soon'), 400)


def test_renewing_puts_another_version_behind_the_same_container(ann, asked, issued):
    first = asked('GET', issued).json
    answer = asked('POST', issued + '/renew')
    assert answer.status_int == 202
    order = ann.get(path_of(answer.json['order_ref'])).json
    assert (order['status'], order['container_ref']) == ('ACTIVE', first['container_ref'])
    assert order['meta']['renews'] == first['certificate_id']
    second, = asked('GET', '/v1/certificates').json['certificates']
    assert (second['version'], second['container_ref']) == (2, first['container_ref'])
    container_id = first['container_ref'].rpartition('/')[2]
    both = asked('GET', f'/v1/certificates?container_id={container_id}').json['certificates']
    assert sorted(one['is_current'] for one in both) == [False, True]
    former = ann.get(path_of(first['secret_refs']['certificate']) + '/payload',
                     Accept='application/octet-stream')
    assert former.status_int == 200
    assert asked('POST', issued + '/renew').status_int == 409


def test_a_renewal_that_waits_is_shown(asked, issued, memory):
    memory.pending_polls = 5
    order = asked('POST', issued + '/renew').json['order_ref']
    assert asked('GET', issued).json['renewal_order_ref'] == order


def test_a_certificate_is_revoked_with_a_reason(ann, asked, issued, memory):
    answer = asked('POST', issued + '/revoke', json={
        'reason': 'keyCompromise', 'invalidity_date': '2029-12-24T18:00:00Z'})
    assert (answer.status_int, answer.json) == (202, {'revoked': True})
    told = asked('GET', issued).json
    assert (told['status'], told['revocation_reason'], told['renew_at']) == (
        'REVOKED', 'keyCompromise', None)
    request, = memory.revoked.values()
    assert request.invalidity_date.isoformat() == '2029-12-24T18:00:00'
    assert said(asked('POST', issued + '/revoke', json={}), 409) == 'The certificate is revoked already.'


def test_what_is_on_hold_says_so_and_can_be_taken_back(asked, issued):
    asked('POST', issued + '/revoke', json={'reason': 'certificateHold'})
    assert asked('GET', issued).json['status'] == 'ON_HOLD'
    asked('POST', issued + '/revoke', json={'reason': 'removeFromCRL'})
    assert asked('GET', issued).json['status'] == 'ISSUED'


def test_while_its_authority_is_down_a_revocation_is_accepted_and_under_way(asked, issued, memory):
    memory.fail('revoke', Unavailable('Down.'))
    assert asked('POST', issued + '/revoke', json={}).json == {'revoked': False}
    assert asked('GET', issued).json['status'] == 'REVOKING'


def test_what_an_authority_refuses_to_revoke_is_told(asked, issued, memory):
    memory.fail('revoke', Rejected('Not for that reason.'))
    assert said(asked('POST', issued + '/revoke', json={'reason': 'superseded'}), 400) == (
        'Certificate revocation issue seen - Not for that reason.')
    assert asked('GET', issued).json['status'] == 'ISSUED'


def test_one_that_has_ended_says_so(asked, issued, clock):
    clock.forward(days=91)
    assert (asked('GET', issued).json['status'], asked('GET', issued).json['days_left']) == ('ENDED', 0)


@pytest.mark.parametrize('body', [
    {'reason': 'boredom'}, {'reason': 7}, {'why': 'x'}, {'invalidity_date': 'soon'}])
def test_a_revocation_that_makes_no_sense_is_refused(asked, issued, body):
    assert 'Revocation' in said(asked('POST', issued + '/revoke', json=body), 400)


def test_before_the_microversion_there_are_none(ann, issued):
    for method, path in (('GET', '/v1/certificates'), ('GET', issued), ('POST', issued + '/renew'),
                         ('POST', issued + '/revoke')):
        body = {'json': {}} if path.endswith('revoke') else {}
        assert ann.ask(method, path, **body, OpenStack_API_Version='key-manager 1.3').status_int == 404


def test_another_project_sees_and_does_nothing(eve, issued):
    assert eve.get('/v1/certificates', **V1_4).json['certificates'] == []
    for method, path in (('GET', issued), ('POST', issued + '/renew'), ('POST', issued + '/revoke')):
        body = {'json': {}} if path.endswith('revoke') else {}
        assert eve.ask(method, path, **body, **V1_4).status_int == 404


def test_one_that_is_not_there_is_a_404(asked):
    for unknown in (uuid.uuid4(), 'nonsense'):
        assert said(asked('GET', f'/v1/certificates/{unknown}'), 404) == (
            'Not Found. Certificate not found.')
