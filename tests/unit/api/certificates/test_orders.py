# SPDX-License-Identifier: Apache-2.0
"""``/v1/orders`` of type certificate: what is asked, what is refused, what comes of it."""
import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.unit.api.certificates.conftest import (
    BASE,
    V1_4,
    contents,
    csr,
    encoded,
    path_of,
    placed,
    said,
)

ISSUE = 'Order creation issue seen - '
NEW = {'request_type': 'new-key', 'subject_dn': 'cn=www.example.org,o=Example'}


def ordered(who, **meta):
    return who.post('/v1/orders', {'type': 'certificate', 'meta': meta})


@pytest.fixture
def pair(ann):
    """The path of a container with a key pair."""
    order = ann.post('/v1/orders', {'type': 'asymmetric', 'meta': {
        'algorithm': 'rsa', 'bit_length': 2048}}).json
    return path_of(ann.get(path_of(order['order_ref'])).json['container_ref'])


def test_a_request_of_the_client_is_certified(ann, ca_id):
    sent = csr()
    order = ann.get(placed(ann, request_type='simple-cmc', request_data=encoded(sent), name='web',
                           ca_id=ca_id, profile='server')).json
    assert (order['status'], order['sub_status'], order['sub_status_message']) == (
        'ACTIVE', 'cert_generated', 'Certificate has been generated')
    assert order['meta'] == {'request_type': 'simple-cmc', 'request_data': order['meta']['request_data'],
                             'name': 'web', 'ca_id': ca_id, 'profile': 'server'}
    assert x509.load_pem_x509_csr(base64.b64decode(
        order['meta']['request_data'])) == x509.load_pem_x509_csr(sent)
    found = contents(ann, order)
    assert set(found) == {'certificate', 'intermediates'}
    certificate = x509.load_pem_x509_certificate(found['certificate'])
    assert certificate.public_key() == x509.load_pem_x509_csr(sent).public_key()


def test_a_stored_key_is_certified_and_is_in_the_container_with_its_certificate(ann, pair):
    order = ann.get(placed(ann, request_type='stored-key', container_ref=BASE + pair,
                           subject_dn='cn=www.example.org')).json
    assert order['meta']['container_ref'] == BASE + pair
    found = contents(ann, order)
    source = {one['name']: one['secret_ref'] for one in ann.get(pair).json['secret_refs']}
    made = {one['name']: one['secret_ref']
            for one in ann.get(path_of(order['container_ref'])).json['secret_refs']}
    assert made['private_key'] == source['private_key']  # the same secret, not a copy
    assert x509.load_pem_x509_certificate(found['certificate']).public_key() == load_pem_private_key(
        found['private_key'], None).public_key()


def test_a_stored_key_under_a_passphrase_comes_with_it(ann):
    made = ann.post('/v1/orders', {'type': 'asymmetric', 'meta': {
        'algorithm': 'rsa', 'bit_length': 2048, 'passphrase': 'unmistakable'}}).json
    pair = ann.get(path_of(made['order_ref'])).json['container_ref']
    order = ann.get(placed(ann, request_type='stored-key', source_container_ref=pair,
                           subject_dn='cn=www.example.org')).json
    found = contents(ann, order)
    assert found['private_key_passphrase'] == b'unmistakable'
    assert load_pem_private_key(found['private_key'], b'unmistakable').public_key() == (
        x509.load_pem_x509_certificate(found['certificate']).public_key())


def test_key_and_certificate_are_made_in_one_order(ann):
    order = ann.get(placed(ann, **NEW, algorithm='rsa', bit_length=3072, name='web',
                           subject_alt_names=['www.example.org', 'IP:192.0.2.7'])).json
    found = contents(ann, order)
    key = load_pem_private_key(found['private_key'], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072
    names = x509.load_pem_x509_certificate(found['certificate']).extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ['www.example.org']
    assert order['meta']['subject_alt_names'] == ['www.example.org', 'IP:192.0.2.7']


def test_a_custom_order_hands_over_whatever_else_it_says(ann, memory):
    order = ann.get(placed(ann, subject_dn='cn=www.example.org', note='urgent')).json
    assert order['meta'] == {'request_type': 'custom', 'subject_dn': 'cn=www.example.org',
                             'note': 'urgent'}
    assert dict(memory.requests[0].details) == {'note': 'urgent'}


@pytest.mark.parametrize(('meta', 'description'), [
    ({'request_type': 'dogtag'}, ISSUE + 'Invalid Certificate Request Type'),
    ({'request_type': 'simple-cmc'}, ISSUE + 'Missing required metadata field for request_data'),
    ({'request_type': 'full-cmc'}, ISSUE + 'Missing required metadata field for request_data'),
    ({'request_type': 'simple-cmc', 'request_data': '%'}, ISSUE + 'Unable to decode request data.'),
    ({'request_type': 'simple-cmc', 'request_data': encoded(b'nonsense')},
     ISSUE + 'Invalid PKCS10 Data: Bad format'),
    ({'request_type': 'simple-cmc', 'request_data': encoded(csr()), 'profile': 'server'},
     ISSUE + 'Missing required metadata field for ca_id'),
    ({'request_type': 'stored-key', 'subject_dn': 'cn=x'},
     ISSUE + 'Missing required metadata field for container_ref'),
    ({'request_type': 'stored-key', 'container_ref': 'nonsense', 'subject_dn': 'cn=x'},
     ISSUE + 'Invalid container: Bad Container Reference nonsense.'),
    ({'request_type': 'stored-key', 'subject_dn': 'cn=x', 'extensions': 'x'},
     ISSUE + 'Extensions are not yet supported.  Specify a valid profile instead.'),
    ({'request_type': 'stored-key', 'subject_dn': 'cn=x',
      'container_ref': f'{BASE}/v1/containers/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'},
     ISSUE + 'Invalid container: Container Not Found.'),
    ({'request_type': 'new-key'}, ISSUE + 'Missing required metadata field for subject_dn'),
    ({}, ISSUE + 'Missing required metadata field for subject_dn'),
    ({**NEW, 'ca_id': 'nonsense'}, ISSUE + 'The ca_id provided in the request is invalid.'),
    ({**NEW, 'ca_id': '5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'},
     ISSUE + 'The ca_id provided in the request is invalid.'),
])
def test_an_order_that_makes_no_sense_is_refused_in_the_words_clients_know(ann, meta, description):
    assert said(ordered(ann, **meta), 400) == description
    assert ann.get('/v1/orders?type=certificate').json['total'] == 0


@pytest.mark.parametrize(('meta', 'field'), [
    ({**NEW, 'payload': 'x'}, 'meta.payload'), ({**NEW, 'renewal': {'percent': 100}}, 'percent'),
    ({**NEW, 'renewal': {'when': 'never'}}, 'renewal'),
    ({**NEW, 'not_after': '2001-01-01'}, 'expiration'),
    ({**NEW, 'bit_length': 0}, 'bit_length'), ({**NEW, 'subject_alt_names': 'x'}, 'subject_alt_names'),
    ({**NEW, 'subject_alt_names': ['x' * 200] * 30}, 'meta'), ({'subject_dn': 'cn=x', 'n': 1}, 'meta')])
def test_a_field_that_does_not_fit_is_named(ann, meta, field):
    description = said(ordered(ann, **meta), 400)
    assert 'does not match schema' in description
    assert field in description


def test_a_container_that_is_no_key_pair_is_refused(ann):
    empty = ann.container()
    assert said(ordered(ann, request_type='stored-key', subject_dn='cn=x', container_ref=BASE + empty),
                400) == ISSUE + 'Invalid container: Container Wrong Type.'


def test_the_key_of_another_project_cannot_be_used(ann, eve, pair):
    assert ordered(eve, request_type='stored-key', subject_dn='cn=www.example.org',
                   container_ref=BASE + pair).status_int == 403


def test_a_key_that_somebody_keeps_private_cannot_be_used_by_others_of_the_project(ann, bob, pair):
    key = next(path_of(one['secret_ref']) for one in ann.get(pair).json['secret_refs']
               if one['name'] == 'private_key')
    assert ann.put(key + '/acl', {'read': {'project-access': False}}).status_int == 200
    meta = {'request_type': 'stored-key', 'subject_dn': 'cn=www.example.org',
            'container_ref': BASE + pair}
    assert ordered(bob, **meta).status_int == 403
    assert ordered(ann, **meta).status_int == 202


@pytest.mark.parametrize(('subject', 'names'), [
    ('cn=*.*.example.org', []), ('cn=x', ['-bad.example.org']), ('cn=x', ['a..b']),
    ('cn=x', ['www.example.org', 'WWW.example.org']), ('cn=x', ['IP:not-one']),
    ('nonsense', []), ('c=Switzerland,cn=x', [])])
def test_names_that_are_none_fail_the_order_with_a_sentence(ann, memory, subject, names):
    order = ann.get(placed(ann, request_type='new-key', subject_dn=subject,
                           subject_alt_names=names)).json
    assert (order['status'], order['error_status_code']) == ('ERROR', '400')
    assert order['error_reason'].startswith('Problem with data in certificate request - Reason: ')
    assert memory.requests == []


def test_orders_of_certificates_are_listed_for_who_asks_for_them_alone(ann):
    placed(ann, **NEW)
    ann.post('/v1/orders', {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}})
    for query, types in (('', ['key']), ('?type=key', ['key']), ('?type=certificate', ['certificate']),
                         ('?type=nonsense', [])):
        found = ann.get(f'/v1/orders{query}').json
        assert ([order['type'] for order in found['orders']], found['total']) == (types, len(types))


def test_an_order_of_another_project_is_not_there(ann, eve):
    path = placed(ann, **NEW)
    for answer in (eve.get(path), eve.delete(path), eve.post(path + '/cancel', **V1_4),
                   eve.post(path + '/revoke', {}, **V1_4)):
        assert answer.status_int == 404


def test_a_pending_order_can_be_cancelled(ann, memory):
    memory.pending_polls = 10
    path = placed(ann, **NEW)
    assert ann.get(path).json['status'] == 'PENDING'
    assert ann.post(path + '/cancel').status_int == 404  # the microversion knows nothing of it
    assert ann.post(path + '/cancel', **V1_4).status_int == 202
    order = ann.get(path).json
    assert (order['status'], order['error_reason']) == ('ERROR', 'The order was cancelled.')
    assert ann.post(path + '/cancel', **V1_4).status_int == 409


def test_what_an_order_made_can_be_revoked_through_it(ann, memory):
    path = placed(ann, **NEW)
    answer = ann.post(path + '/revoke', {'reason': 'keyCompromise'}, **V1_4)
    assert (answer.status_int, answer.json) == (202, {'revoked': True})
    assert len(memory.revoked) == 1


def test_quotas_hold_for_what_an_order_would_make(ann, admin):
    admin.put('/v1/project-quotas/alpha', {'project_quotas': {'secrets': 2}})
    assert 'quota' in said(ordered(ann, **NEW), 403)


@pytest.mark.parametrize('kind', [{'algorithm': 'rsa', 'bit_length': 2048.0},
                                  {'algorithm': 'ec', 'bit_length': 256.0},
                                  {'renewal': {'percent': 50.0}}])
def test_numbers_that_are_written_with_a_point_are_integers(ann, kind):
    order = ann.get(placed(ann, **NEW, **kind)).json
    assert (order['status'], order['meta'] | kind) == ('ACTIVE', order['meta'])
    assert '.0' not in repr([order['meta'].get('bit_length'), order['meta'].get('renewal')])
