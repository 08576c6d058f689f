# SPDX-License-Identifier: Apache-2.0
"""``/v1/transport_keys``, ``/v1/transport_key``, and secrets whose payload comes wrapped."""
import base64
import datetime
import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from jwcrypto import jwe, jwk

from km.testing.application import Client, a_deployment

UNKNOWN = '/v1/transport_keys/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
CLOSED = 'The payload does not open with the transport key.'
TEXT, OCTETS = 'text/plain', 'application/octet-stream'
EC = ec.generate_private_key(ec.SECP256R1())
PUBLIC = EC.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
PRIVATE = EC.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                           serialization.NoEncryption()).decode()


@pytest.fixture
def house(folder, clock):
    """A km whose transport keys are made fast."""
    house = a_deployment(folder, {'transport_keys': {'bits': 2048}}, clock=clock)
    yield house
    house.close()


class Wrapper:
    """A client's side: the current key, and payloads wrapped with it."""

    def __init__(self, client):
        self.told = client.get('/v1/transport_key').json
        self.ref = self.told['transport_key_ref']
        self.key_id = self.ref.rpartition('/')[2]
        self.key = serialization.load_pem_public_key(self.told['transport_key'].encode())

    def block(self, payload, scheme=OAEP):
        return base64.b64encode(self.key.encrypt(payload, scheme)).decode()

    def jwe(self, payload, **header):
        made = jwe.JWE(payload, json.dumps({'alg': 'RSA-OAEP-256', 'enc': 'A256GCM', **header}))
        made.add_recipient(jwk.JWK.from_pyca(self.key))
        return made.serialize(compact=True)


@pytest.fixture
def wrapper(ann):
    return Wrapper(ann)


def post(client, payload, kind=TEXT, **more):
    return client.post('/v1/secrets', {'payload': payload, 'payload_content_type': kind, **more})


def certificate():
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'drm')])
    begin = datetime.datetime(2030, 1, 1)
    return x509.CertificateBuilder(
        name, name, EC.public_key(), 1, begin, begin + datetime.timedelta(days=1),
    ).sign(EC, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_the_current_key_is_made_when_the_first_client_asks(ann, wrapper):
    assert wrapper.told.pop('transport_key').startswith('-----BEGIN PUBLIC KEY-----\n')
    assert wrapper.told == {'plugin_name': 'km', 'status': 'ACTIVE', 'transport_key_ref': wrapper.ref}
    assert re.fullmatch(r'http://km.test:9311/v1/transport_keys/[0-9a-f-]{36}', wrapper.ref)
    assert ann.get('/v1/transport_key').json['transport_key_ref'] == wrapper.ref


def test_a_key_is_shown_as_the_row_that_older_clients_know(ann, wrapper):
    assert ann.get(wrapper.ref).json == {
        'id': wrapper.key_id, 'plugin_name': 'km', 'status': 'ACTIVE', 'deleted': False,
        'transport_key': wrapper.told['transport_key'], 'deleted_at': None,
        'created_at': '2030-01-01 12:00:00.123456', 'updated_at': '2030-01-01 12:00:00.123456'}


def test_keys_are_listed_by_reference_in_pages_and_by_plugin(ann, admin, wrapper, clock):
    refs = [wrapper.ref]
    for _ in range(2):
        clock.forward(seconds=1)
        refs.append(admin.post('/v1/transport_keys', {
            'plugin_name': 'dogtag', 'transport_key': PUBLIC}).json['transport_key_ref'])
    assert ann.get('/v1/transport_keys').json == {'transport_keys': refs, 'total': 3}
    page = ann.get('/v1/transport_keys?plugin_name=dogtag&limit=1').json
    assert (page['transport_keys'], page['total']) == (refs[1:2], 2)
    assert ann.get(page['next']).json['transport_keys'] == refs[2:]
    assert 'plugin_name=dogtag' in page['next']


@pytest.mark.parametrize('text', [PUBLIC, certificate(), 'a form of its own'])
def test_a_key_of_another_service_is_registered_and_shown_in_whatever_form_it_has(ann, admin, text):
    made = admin.post('/v1/transport_keys', {'plugin_name': 'dogtag', 'transport_key': text})
    assert (made.status_int, list(made.json)) == (201, ['transport_key_ref'])
    assert made.headers['Location'] == made.json['transport_key_ref']
    told = ann.get(made.json['transport_key_ref']).json
    assert (told['plugin_name'], told['transport_key']) == ('dogtag', text.strip())


@pytest.mark.parametrize('body', [
    {}, {'plugin_name': 'dogtag'}, {'transport_key': PUBLIC},
    {'plugin_name': '', 'transport_key': PUBLIC},
    {'plugin_name': ' ', 'transport_key': PUBLIC}, {'plugin_name': 'dogtag', 'transport_key': ''},
    {'plugin_name': 'dogtag', 'transport_key': None}, {'plugin_name': 5, 'transport_key': PUBLIC},
    {'plugin_name': 'dogtag', 'transport_key': PRIVATE},
    {'plugin_name': 'dogtag', 'transport_key': PUBLIC + PRIVATE},
    {'plugin_name': 'dogtag', 'transport_key': PUBLIC + 'x' * 4096},
    {'plugin_name': 'km', 'transport_key': PUBLIC}, {'plugin_name': 'x' * 256, 'transport_key': PUBLIC}])
def test_a_key_that_cannot_be_is_refused(admin, body):
    refused = admin.post('/v1/transport_keys', body)
    assert refused.status_int == 400
    assert refused.json['description'].startswith('Transport Key Creation issue seen - ')
    assert PRIVATE[30:60] not in refused.text
    assert admin.get('/v1/transport_keys').json['total'] == 0


def test_a_key_is_deleted_with_what_the_store_has_of_it(ann, admin, wrapper, house):
    assert admin.delete(wrapper.ref).status_int == 204
    for answer in (admin.delete(wrapper.ref), ann.get(wrapper.ref), admin.delete(UNKNOWN),
                   ann.get(UNKNOWN)):
        assert answer.status_int == 404
        assert answer.json['description'] == 'Not Found. Transport key not found.'
    assert house.registry.secret_stores['soft'].find(wrapper.key_id) is None
    assert ann.get('/v1/transport_key').json['transport_key_ref'] != wrapper.ref


def test_only_an_admin_adds_and_removes_keys_and_whoever_reads_may_look(ann, house, wrapper):
    refused = ann.post('/v1/transport_keys', {'plugin_name': 'x', 'transport_key': PUBLIC})
    assert refused.status_int == 403
    assert ann.delete(wrapper.ref).status_int == 403
    reader = Client(house.application, roles='reader')
    stranger = Client(house.application, roles='other')
    for path in ('/v1/transport_key', '/v1/transport_keys', wrapper.ref):
        assert (reader.get(path).status_int, stranger.get(path).status_int) == (200, 403)


@pytest.mark.parametrize('field', ['transport_key_id', 'transport_key_ref'])
@pytest.mark.parametrize(('kind', 'payload'), [
    (TEXT, 'ä payload'.encode()), (OCTETS, bytes(range(190))), ('application/pkcs8', b'\x30\x82')])
@pytest.mark.parametrize('form', ['block', 'jwe'])
@pytest.mark.parametrize('more', [{}, {'payload_content_encoding': 'base64'}])
def test_a_wrapped_payload_is_kept_as_what_it_is(ann, wrapper, field, kind, payload, form, more):
    named = {'transport_key_id': wrapper.key_id, 'transport_key_ref': wrapper.ref}[field]
    made = post(ann, getattr(wrapper, form)(payload), kind, **{field: named}, **more)
    assert (made.status_int, list(made.json)) == (201, ['secret_ref'])
    ref = made.json['secret_ref']
    assert ann.get(ref).json['content_types'] == {'default': kind}
    assert ann.get(ref + '/payload', Accept=kind).body == payload


@pytest.mark.parametrize('kind', [TEXT, OCTETS])
def test_a_wrapped_payload_is_put(ann, wrapper, kind):
    block = wrapper.block(b'later').encode()
    token = wrapper.jwe(b'later').encode()
    for body, headers in (
            (base64.b64decode(block), {}), (block, {'Content_Encoding': 'base64'}), (token, {}),
            (token + b'\n', {}), (token, {'Content_Encoding': 'base64'})):
        path = ann.secret(None)
        put = ann.put(f'{path}?transport_key_id={wrapper.key_id}', body=body, Content_Type=kind,
                      **headers)
        assert put.status_int == 204, put.text
        assert ann.get(path + '/payload', Accept=kind).body == b'later'


def test_the_older_padding_must_be_asked_for(ann, wrapper):
    block = wrapper.block(b'legacy', padding.PKCS1v15())
    refused = post(ann, block, transport_key_ref=wrapper.ref)
    assert (refused.status_int, CLOSED in refused.json['description']) == (400, True)
    made = post(ann, block, transport_key_ref=wrapper.ref, transport_key_padding='pkcs1')
    assert ann.get(made.json['secret_ref'] + '/payload').body == b'legacy'
    path = ann.secret(None)
    put = f'{path}?transport_key_id={wrapper.key_id}&transport_key_padding='
    body = base64.b64decode(block)
    assert ann.put(put + 'none', body=body, Content_Type=TEXT).status_int == 400
    assert ann.put(f'{path}?transport_key_padding=none', body=body,
                   Content_Type=TEXT).status_int == 400
    assert ann.put(put + 'pkcs1', body=body, Content_Type=TEXT).status_int == 204
    assert ann.get(path + '/payload').body == b'legacy'


@pytest.mark.parametrize('form', ['block', 'jwe'])
def test_what_does_not_open_is_refused_in_one_sentence_and_nothing_is_kept(ann, wrapper, form):
    sent = getattr(wrapper, form)(b'a payload')
    changed = sent[:-9] + ('A' if sent[-9] != 'A' else 'B') + sent[-8:]
    for wrapped in (changed, base64.b64encode(bytes(256)).decode(), 'YQ=='):
        refused = post(ann, wrapped, transport_key_id=wrapper.key_id)
        assert refused.status_int == 400
        assert refused.json['description'] == f'Secret creation issue seen - {CLOSED}'
    assert ann.get('/v1/secrets').json['total'] == 0


def test_a_secret_that_was_sent_what_does_not_open_can_still_be_given_its_payload(ann, wrapper):
    path = ann.secret(None)
    put = f'{path}?transport_key_id={wrapper.key_id}'
    assert ann.put(put, body=bytes(256), Content_Type=OCTETS).status_int == 400
    assert ann.put(put, body=wrapper.jwe(b'later').encode(), Content_Type=OCTETS).status_int == 204


@pytest.mark.parametrize('named', [
    {'transport_key_id': UNKNOWN[-36:]}, {'transport_key_id': 'x'}, {'transport_key_id': ''},
    {'transport_key_ref': f'http://km.test:9311{UNKNOWN}'}, {'transport_key_ref': 'x' * 1000}])
def test_an_unknown_key_is_refused(ann, wrapper, named):
    assert post(ann, wrapper.block(b'x'), **named).status_int == 400
    assert ann.get('/v1/secrets').json['total'] == 0


def test_two_names_must_be_of_one_key(ann, wrapper):
    both = {'transport_key_id': wrapper.key_id, 'transport_key_ref': wrapper.ref}
    assert post(ann, wrapper.block(b'x'), **both).status_int == 201
    both['transport_key_id'] = UNKNOWN[-36:]
    assert post(ann, wrapper.block(b'x'), **both).status_int == 400


def test_a_registered_key_cannot_unwrap(ann, admin, wrapper):
    made = admin.post('/v1/transport_keys', {'plugin_name': 'dogtag', 'transport_key': PUBLIC})
    refused = post(ann, wrapper.block(b'x'), transport_key_ref=made.json['transport_key_ref'])
    assert refused.status_int == 400
    assert 'public half' in refused.json['description']


def test_the_limits_of_a_payload_hold_for_what_is_sent_and_for_what_is_in_it(ann, wrapper):
    kept = post(ann, wrapper.jwe(b'x' * 14000), transport_key_id=wrapper.key_id)
    assert len(ann.get(kept.json['secret_ref'] + '/payload').body) == 14000
    assert post(ann, wrapper.jwe(b'x' * 15000), transport_key_id=wrapper.key_id).status_int == 413
    assert post(ann, wrapper.jwe(b''), transport_key_id=wrapper.key_id).status_int == 400


def test_a_jwe_for_one_project_is_not_kept_for_another(ann, eve, wrapper):
    wrapped = wrapper.jwe(b'x', project_id='alpha')
    assert post(eve, wrapped, transport_key_id=wrapper.key_id).status_int == 400
    assert post(ann, wrapped, transport_key_id=wrapper.key_id).status_int == 201


def test_a_key_without_payload_is_ignored(ann):
    assert ann.post('/v1/secrets', {'transport_key_id': 'x'}).status_int == 201


def test_whoever_needs_a_transport_key_is_told_of_it_when_a_secret_is_made_or_read(ann, wrapper):
    made = ann.post('/v1/secrets', {'transport_key_needed': 'true'})
    assert made.json['transport_key_ref'] == wrapper.ref
    path = made.json['secret_ref']
    assert ann.get(path + '?transport_key_needed=true').json['transport_key_ref'] == wrapper.ref
    for query in ('', '?transport_key_needed=false'):
        assert 'transport_key_ref' not in ann.get(path + query).json
    refused = ann.post('/v1/secrets', {'transport_key_needed': 'false'})
    assert list(refused.json) == ['secret_ref']


def test_a_payload_is_not_given_out_wrapped(ann, wrapper):
    query = f'trans_wrapped_session_key=x&transport_key_id={wrapper.key_id}'
    refused = ann.get(f'{ann.secret()}/payload?{query}')
    assert refused.status_int == 400
    assert 'wrapped' in refused.json['description']


def test_where_there_are_no_transport_keys_it_is_said(folder, clock):
    house = a_deployment(folder, {'transport_keys': {'enabled': 'false'}}, clock=clock)
    ann = Client(house.application)
    assert ann.get('/v1/transport_key').status_int == 404
    assert ann.get('/v1/transport_keys').json == {'transport_keys': [], 'total': 0}
    for body in ({'transport_key_needed': 'true'}, {
            'payload': 'eA==', 'payload_content_type': TEXT, 'transport_key_id': UNKNOWN[-36:]}):
        refused = ann.post('/v1/secrets', body)
        assert refused.status_int == 400
        assert 'not enabled' in refused.json['description']
    assert ann.get('/v1/secrets').json['total'] == 0
    house.close()
