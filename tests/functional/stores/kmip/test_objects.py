# SPDX-License-Identifier: Apache-2.0
"""What a KMIP store has its server keep and make, also as a client sees it that is no kin of ours.

That client is Cyphera's, which shares no code with pykmip: neither its encoding nor its TLS.
"""
import logging
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cyphera_kmip import KmipClient
from cyphera_kmip.operations import build_get_request, parse_response
from cyphera_kmip.tags import Tag
from cyphera_kmip.ttlv import find_child
from kmip.core.enums import CryptographicAlgorithm, KeyFormatType, ObjectType, SecretDataType, Tags

from km.interfaces import (
    CannotOpen,
    KeyRequest,
    NotSupported,
    PairRequest,
    Rejected,
    StoredSecret,
    StoreRequest,
)
from km.plugins.secret_store import kmip as plugin
from km.plugins.secret_store import kmip_labels, kmip_objects
from tests.functional.servers import HOST

KEY = rsa.generate_private_key(65537, 2048)
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def other(server):
    """A client of another make, with the same certificate."""
    options = server.options()
    client = KmipClient(host=HOST, port=server.port, client_cert=options['certificate_file'],
                        client_key=options['key_file'], ca_cert=options['ca_file'])
    yield client
    client.close()


def kept(store, payload, **what):
    secret_id = str(uuid.uuid4())
    reference = store.store(StoreRequest(
        secret_id=secret_id, project_id='alpha', payload=payload, **what))
    return StoredSecret(secret_id=secret_id, project_id='alpha', reference=reference)


def seen(other, stored, *path):
    """What another client gets for our reference: the object's type, and the value at a path in it."""
    answer = parse_response(other._send(build_get_request(stored.reference['id'])))['payload']
    kind = find_child(answer, Tag.ObjectType)['value']
    node = answer
    for tag in path:
        node = find_child(node, tag.value)
    return ObjectType(kind), node['value']


def of_key(kind, last):
    return kind, Tags.KEY_BLOCK, *((Tags.KEY_VALUE, last) if last is Tags.KEY_MATERIAL else (last,))


def test_an_aes_key_is_one_to_others(opened, other):
    stored = kept(opened(), bytes(range(32)), secret_type='symmetric', algorithm='AES', bit_length=256)
    for last, value in ((Tags.KEY_MATERIAL, bytes(range(32))), (Tags.CRYPTOGRAPHIC_LENGTH, 256),
                        (Tags.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES.value),
                        (Tags.KEY_FORMAT_TYPE, KeyFormatType.RAW.value)):
        assert seen(other, stored, *of_key(Tags.SYMMETRIC_KEY, last)) == (
            ObjectType.SYMMETRIC_KEY, value)
    assert opened().retrieve(stored) == bytes(range(32))
    assert other.get(stored.reference['id'])['key_material'] == bytes(range(32))


def test_a_private_and_a_public_key_in_pem_are_keys_in_der_to_others(opened, other):
    store = opened()
    private = kept(store, PRIVATE, secret_type='private')
    public = kept(store, PUBLIC, secret_type='public')
    der = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert seen(other, private, *of_key(Tags.PRIVATE_KEY, Tags.KEY_MATERIAL)) == (
        ObjectType.PRIVATE_KEY, der)
    assert seen(other, private, *of_key(Tags.PRIVATE_KEY, Tags.KEY_FORMAT_TYPE))[1] == (
        KeyFormatType.PKCS_8.value)
    assert seen(other, private, *of_key(Tags.PRIVATE_KEY, Tags.CRYPTOGRAPHIC_LENGTH))[1] == 2048
    der = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert seen(other, public, *of_key(Tags.PUBLIC_KEY, Tags.KEY_MATERIAL)) == (
        ObjectType.PUBLIC_KEY, der)
    assert (store.retrieve(private), store.retrieve(public)) == (PRIVATE, PUBLIC)


def test_a_certificate_in_pem_is_one_in_der_to_others(server, opened, other):
    pem = server.authority.ca_file.read_bytes()
    stored = kept(opened(), pem, secret_type='certificate')
    kind, der = seen(other, stored, Tags.CERTIFICATE, Tags.CERTIFICATE_VALUE)
    assert kind is ObjectType.CERTIFICATE
    assert x509.load_der_x509_certificate(der) == x509.load_pem_x509_certificate(pem)
    assert opened().retrieve(stored) == pem


def test_a_passphrase_is_a_password_and_anything_else_opaque_to_others(opened, other):
    store = opened()
    passphrase = kept(store, 'pässword\n'.encode(), secret_type='passphrase')
    assert seen(other, passphrase, *of_key(Tags.SECRET_DATA, Tags.KEY_MATERIAL)) == (
        ObjectType.SECRET_DATA, 'pässword\n'.encode())
    assert seen(other, passphrase, Tags.SECRET_DATA, Tags.SECRET_DATA_TYPE)[1] == (
        SecretDataType.PASSWORD.value)
    opaque = kept(store, b'\x00anything')
    assert seen(other, opaque, Tags.OPAQUE_OBJECT, Tags.OPAQUE_DATA_VALUE) == (
        ObjectType.OPAQUE_DATA, b'\x00anything')
    assert store.retrieve(passphrase) == 'pässword\n'.encode()


def test_an_object_that_somebody_activated_is_destroyed_all_the_same(opened, other):
    store = opened()
    stored = kept(store, bytes(16), secret_type='symmetric', algorithm='aes')
    other.activate(stored.reference['id'])
    assert store.retrieve(stored) == bytes(16)
    store.delete(stored)
    assert store.find(stored.secret_id) is None


def test_what_the_server_does_not_take_is_rejected(opened, monkeypatch):
    usage = kmip_labels.usage
    monkeypatch.setattr(kmip_labels, 'usage', lambda _: usage(kmip_objects.SIGNING))
    with pytest.raises(Rejected, match=r'does not take this \(INVALID_FIELD\)'):
        kept(opened(), b'an opaque object can be used for nothing')


def test_what_another_client_made_is_none_of_ours(opened, other):
    store = opened()
    foreign = other.create('km:not ours', 'AES', 256)['unique_identifier']
    stored = StoredSecret(secret_id=str(uuid.uuid4()), project_id='alpha', reference={'id': foreign})
    with pytest.raises(CannotOpen):
        store.retrieve(stored)
    store.delete(stored)
    assert other.get(foreign)['key_material']
    assert foreign not in [kept.reference['id'] for kept in store.kept(after=None, limit=1000)]


@pytest.mark.parametrize('version', ['1.3', '1.4', '2.0'])
def test_every_version_of_the_protocol_keeps_finds_lists_makes_and_destroys(opened, version):
    store = opened(protocol_version=version, object_group=version)
    for what in ({'secret_type': 'symmetric', 'algorithm': 'aes', 'payload': bytes(16)},
                 {'secret_type': 'private', 'payload': PRIVATE},
                 {'secret_type': 'public', 'payload': PUBLIC},
                 {'secret_type': 'passphrase', 'payload': b'a passphrase'},
                 {'secret_type': 'opaque', 'payload': bytes(1000)}):
        stored = kept(store, **what)
        assert store.retrieve(stored) == what['payload']
        assert store.find(stored.secret_id) == stored.reference
        assert stored.secret_id in [found.secret_id for found in store.kept(after=None, limit=100)]
        store.delete(stored)
        assert store.find(stored.secret_id) is None
    assert made_pair(store)


@pytest.mark.parametrize('bits', [128, 192, 256])
def test_an_aes_key_is_made_on_the_server(opened, other, bits):
    store, secret_id = opened(), str(uuid.uuid4())
    reference = store.generate(KeyRequest(
        secret_id=secret_id, project_id='alpha', algorithm='aes', bit_length=bits))
    stored = StoredSecret(secret_id=secret_id, project_id='alpha', reference=reference)
    key = store.retrieve(stored)
    assert len(key) * 8 == bits
    assert other.get(reference['id'])['key_material'] == key
    assert store.find(secret_id) == reference
    store.delete(stored)
    assert store.find(secret_id) is None


def made_pair(store, bits=2048):
    private_id, public_id = str(uuid.uuid4()), str(uuid.uuid4())
    pair = store.generate_pair(PairRequest(private_id=private_id, public_id=public_id,
                                           project_id='alpha', algorithm='rsa', bit_length=bits))
    return (StoredSecret(secret_id=private_id, project_id='alpha', reference=pair.private),
            StoredSecret(secret_id=public_id, project_id='alpha', reference=pair.public))


def test_an_rsa_pair_is_made_on_the_server_and_given_as_pkcs8_and_spki(opened):
    store = opened()
    private, public = made_pair(store)
    private_pem, public_pem = store.retrieve(private), store.retrieve(public)
    assert private_pem.startswith(b'-----BEGIN PRIVATE KEY-----\n')
    assert public_pem.startswith(b'-----BEGIN PUBLIC KEY-----\n')
    key = load_pem_private_key(private_pem, None)
    load_pem_public_key(public_pem).verify(
        key.sign(b'signed', padding.PKCS1v15(), SHA256()), b'signed', padding.PKCS1v15(), SHA256())
    assert key.key_size == 2048
    for half in (private, public):
        assert store.find(half.secret_id) == half.reference
        store.delete(half)
        assert store.find(half.secret_id) is None


@pytest.mark.parametrize(('algorithm', 'bits'), [
    ('aes', 512), ('hmacsha256', 256), ('3des', 192), ('AES-256', 256)])
def test_keys_that_the_server_does_not_make_are_left_to_km(opened, algorithm, bits):
    with pytest.raises(NotSupported):
        opened().generate(KeyRequest(
            secret_id=str(uuid.uuid4()), project_id='alpha', algorithm=algorithm, bit_length=bits))


@pytest.mark.parametrize(('algorithm', 'bits'), [('ec', 256), ('ed25519', 256), ('rsa', 1024)])
def test_pairs_that_the_server_does_not_make_are_left_to_km(opened, algorithm, bits):
    with pytest.raises(NotSupported):
        opened().generate_pair(PairRequest(
            private_id=str(uuid.uuid4()), public_id=str(uuid.uuid4()), project_id='alpha',
            algorithm=algorithm, bit_length=bits))


def test_a_key_that_this_very_server_does_not_make_is_left_to_km(opened, monkeypatch):
    monkeypatch.setattr(plugin, '_AES_BITS', (72,))
    with pytest.raises(NotSupported, match='does not take this'):
        opened().generate(KeyRequest(
            secret_id=str(uuid.uuid4()), project_id='alpha', algorithm='aes', bit_length=72))


def test_an_inventory_goes_on_where_it_was_after_a_restart_and_while_others_store_and_delete(
        opened, monkeypatch):
    monkeypatch.setattr(plugin, '_LOCATED_AT_ONCE', 2)
    store = opened(object_group='an inventory')
    here = [kept(store, b'here') for _ in range(7)]
    first = store.kept(after=None, limit=3)
    told = {found.secret_id for found in first}
    left = [stored for stored in here if stored.secret_id not in told]
    for stored in left[:3]:
        store.delete(stored)
    after_restart = opened(object_group='an inventory')
    for looked in (store, after_restart):
        told, last = set(), first[-1]
        while page := looked.kept(after=last, limit=3):
            told |= {found.secret_id for found in page}
            last = page[-1]
        assert told == {left[3].secret_id}


def test_a_project_id_may_be_any_text(opened):
    store, secret_id = opened(), str(uuid.uuid4())
    for project_id in ('', ':', 'km:a:b:c:d', 'プロジェクト', 'x' * 255):
        reference = store.store(StoreRequest(
            secret_id=secret_id, project_id=project_id, payload=b'a payload'))
        stored = StoredSecret(secret_id=secret_id, project_id=project_id, reference=reference)
        assert store.retrieve(stored) == b'a payload'


def test_two_stores_of_one_client_are_kept_apart_by_their_groups(opened):
    blue, green = opened(object_group='blue'), opened(object_group='green')
    stored = kept(blue, b'blue')
    assert green.find(stored.secret_id) is None
    assert green.kept(after=None, limit=10) == []
    assert [found.secret_id for found in blue.kept(after=None, limit=10)] == [stored.secret_id]


def test_no_log_tells_a_payload_at_any_level(opened, caplog):
    for name in list(logging.Logger.manager.loggerDict):
        if name.startswith('kmip'):
            caplog.set_level('DEBUG', logger=name)
    caplog.set_level('DEBUG')
    store = opened(username='km', password='unmistakable password')
    stored = kept(store, b'unmistakable', secret_type='passphrase')
    assert store.retrieve(stored) == b'unmistakable'
    kept(store, PRIVATE, secret_type='private')
    store.delete(stored)
    with pytest.raises(Exception, match='not in its store'):
        store.retrieve(stored)
    for telling in (b'unmistakable', PRIVATE[40:80]):
        assert telling.decode() not in caplog.text
        assert telling.hex() not in caplog.text
