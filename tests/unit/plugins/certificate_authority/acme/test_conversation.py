# SPDX-License-Identifier: Apache-2.0
"""Messages as they are signed, verified with another library; nonces that are refused."""
import contextlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwcrypto import jwk, jws

from km.interfaces import NotSupported, Unavailable
from km.plugins.certificate_authority.acme.conversation import Conversation, directory, signer_of
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.transport import Transport, tls_context

KEYS = {'ES256': ec.generate_private_key(ec.SECP256R1()),
        'RS256': rsa.generate_private_key(65537, 2048)}


def a_signer(algorithm='ES256'):
    private = KEYS[algorithm]
    return signer_of(private, private.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture
def transport(server):
    with contextlib.closing(Transport(tls_context(server.ca_file), 5)) as transport:
        yield transport


@pytest.fixture
def conversation(server, transport):
    return Conversation(transport, server.directory)


@pytest.mark.parametrize('algorithm', KEYS)
@pytest.mark.parametrize('payload', [None, {}, {'a': 'ä', 'b': [1, {}]}])
def test_a_message_is_verified_by_who_has_the_public_key(algorithm, payload):
    signed = a_signer(algorithm).signed(payload, url='https://a.test/x', nonce=b'once')
    assert set(signed) == {'protected', 'payload', 'signature'}
    for _ in range(20):  # a number in a signature may be short, and must not be written shorter
        signed = a_signer(algorithm).signed(payload, url='https://a.test/x', nonce=b'once')
        verified = jws.JWS()
        verified.deserialize(json.dumps(signed), jwk.JWK.from_pyca(KEYS[algorithm].public_key()))
    assert verified.payload == (b'' if payload is None else json.dumps(payload).encode())
    header = verified.jose_header
    assert (header['alg'], header['url'], header['nonce']) == (algorithm, 'https://a.test/x', 'b25jZQ')
    assert 'kid' not in header
    assert 'd' not in header['jwk']


def test_a_message_of_an_account_names_it_and_no_key():
    signed = a_signer().signed({}, url='https://a.test/x', nonce=b'1', account_url='https://a.test/me')
    message = jws.JWS()
    message.deserialize(json.dumps(signed))
    assert message.jose_header['kid'] == 'https://a.test/me'
    assert 'jwk' not in message.jose_header


@pytest.mark.parametrize('algorithm', KEYS)
def test_a_thumbprint_is_that_of_another_library(algorithm):
    known = jwk.JWK.from_pyca(KEYS[algorithm].public_key()).thumbprint()
    assert a_signer(algorithm).thumbprint() == known


def test_nothing_of_a_private_key_is_shown():
    assert 'private' not in repr(a_signer())


def test_a_message_whose_nonce_is_refused_is_signed_again(server, conversation):
    server.refused_nonces = 10
    server.says('/x', {})
    assert conversation.post(f'{server.url}/x', {}, a_signer()).status == 200
    nonces = [protected['nonce'] for _, path, protected, _ in server.asked if path == '/x']
    assert len(nonces) == len(set(nonces)) == 11
    assert sum(path == '/newNonce' for _, path, *_ in server.asked) == 1


def test_an_authority_that_takes_no_nonce_is_unavailable(server, conversation):
    server.refused_nonces = 1000
    with pytest.raises(Unavailable, match='nonces in a row'):
        conversation.post(f'{server.url}/x', {}, a_signer())
    assert len(server.posted('/x')) < 20


@pytest.mark.parametrize('nonce', ['', 'ä', 'a!', 'abcde'])
def test_an_authority_that_gives_no_nonce_is_unavailable(server, conversation, nonce):
    server.says('/newNonce', (200, b'', {'Replay-Nonce': nonce}))
    with pytest.raises(Unavailable, match='no nonce'):
        conversation.post(f'{server.url}/x', {}, a_signer())


def test_a_redirection_is_a_refusal_that_passes(server, conversation):
    server.says('/x', (307, b'', {'Location': f'{server.url}/y'}))
    with pytest.raises(Refusal) as refused:
        conversation.post(f'{server.url}/x', {}, a_signer())
    assert refused.value.passes
    assert not server.posted('/y')


@pytest.mark.parametrize('answer', [
    b'', b'[]', {}, {'newNonce': 'x', 'newAccount': 'y', 'newOrder': 'z'},
    {'newNonce': 'https://a.test', 'newOrder': 'https://a.test'}])
def test_what_is_no_directory_is_unavailable(server, transport, answer):
    server.says('/dir', answer)
    with pytest.raises(Unavailable, match='no ACME directory'):
        directory(transport, f'{server.url}/dir')


@pytest.mark.parametrize('status', [301, 403, 404])
def test_a_directory_or_a_nonce_that_is_refused_is_no_fault_of_an_order(server, transport, status):
    server.says('/newNonce', (status, b'', {}))
    with pytest.raises(Unavailable, match=str(status)):
        Conversation(transport, server.directory).post(f'{server.url}/x', {}, a_signer())
    server.says('/dir', (status, b'', {}))
    with pytest.raises(Unavailable, match=str(status)):
        directory(transport, f'{server.url}/dir')


def test_what_an_authority_does_not_offer_is_not_supported(server, conversation):
    del server.directory['keyChange']
    with pytest.raises(NotSupported, match='keyChange'):
        conversation.resource('keyChange')


@pytest.mark.parametrize('meta', [None, 7, []])
def test_an_authority_may_say_nothing_of_itself(server, conversation, meta):
    server.directory['meta'] = meta
    assert conversation.meta == {}
