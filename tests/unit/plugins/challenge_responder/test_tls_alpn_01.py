# SPDX-License-Identifier: Apache-2.0
"""Certificates for tls-alpn-01: the files, whose turn it is, and the listener before strangers."""
import contextlib
import hashlib
import os
import socket
import ssl
import stat
import time

import pytest
from cryptography import x509

from km.interfaces import Challenge, Misconfigured, Rejected
from km.plugins.challenge_responder import listening, tls_alpn_01
from km.plugins.challenge_responder.proof_folder import OLD_SECONDS
from km.plugins.challenge_responder.tls_alpn_01 import TlsAlpn01
from km.testing import open_plugin

HOST = '127.0.0.1'
ACME_TLS = 'acme-tls/1'
ACME_IDENTIFIER = x509.ObjectIdentifier('1.3.6.1.5.5.7.1.31')
PROOF = 'token.one'


def a_challenge(identifier='a.test', proof=PROOF):
    return Challenge(identifier=identifier, token='token', key_authorization=proof)


@pytest.fixture
def opened(folder):
    """Opens responders of one folder."""
    (folder / 'proofs').mkdir(mode=0o700)
    with contextlib.ExitStack() as opened:
        def open_for(**options):
            responder = open_plugin(TlsAlpn01, **{'path': str(folder / 'proofs'), **options})
            opened.callback(responder.close)
            return responder

        yield open_for


def shown(port, name, protocols=(ACME_TLS,), version=ssl.TLSVersion.TLSv1_3):
    """The certificate that is shown to who asks for a name, and the protocol that was agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection((HOST, port), timeout=10) as connection, context.wrap_socket(
            connection, server_hostname=name and name.encode()) as client:
        certificate = x509.load_der_x509_certificate(client.getpeercert(binary_form=True))
        assert client.recv(100) == b''
        return certificate, client.selected_alpn_protocol()


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(('identifier', 'name'), [
    ('a.test', 'a.test'), ('a.test', 'A.Test'), ('xn--bcher-kva.test', 'xn--bcher-kva.test'),
    ('127.0.0.1', '1.0.0.127.in-addr.arpa'),
    ('2001:db8::1', '1.' + '0.' * 23 + '8.b.d.0.1.0.0.2.ip6.arpa')])
def test_the_certificate_is_as_rfc_8737_wants_it(opened, port, identifier, name, version):
    opened(listen=f'{HOST}:{port}').present(a_challenge(identifier))
    certificate, protocol = shown(port, name, version=version)
    assert protocol == ACME_TLS
    certificate.verify_directly_issued_by(certificate)
    proof = certificate.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    assert proof.critical
    assert proof.value.value == b'\x04\x20' + hashlib.sha256(PROOF.encode()).digest()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == [identifier]


@pytest.mark.parametrize('protocols', [(), ('h2',), ('http/1.1', ACME_TLS), (ACME_TLS, 'h2')])
def test_who_does_not_ask_for_this_protocol_alone_is_shown_nothing(opened, port, protocols):
    opened(listen=f'{HOST}:{port}').present(a_challenge())
    with pytest.raises(ssl.SSLError, match=r'(?i)no.application.protocol'):
        shown(port, 'a.test', protocols)


@pytest.mark.parametrize('name', [None, 'b.test', 'x.a.test', 'a' * 250, 'a.test/', HOST])
def test_who_asks_for_no_name_that_is_to_be_proved_is_shown_nothing(opened, port, name):
    opened(listen=f'{HOST}:{port}').present(a_challenge())
    with pytest.raises(ssl.SSLError, match='UNRECOGNIZED_NAME'):
        shown(port, name)


def test_a_file_that_is_no_certificate_is_no_reason_to_fail(opened, port, folder):
    opened(listen=f'{HOST}:{port}').present(a_challenge())
    (folder / 'proofs' / 'bad.test.pem').write_text('not PEM')
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown(port, 'bad.test')
    assert shown(port, 'a.test')


@pytest.mark.parametrize('name', [b'oth\xff\x00.test', b'../secret1', b'..........', b'OTHER.tes\n'])
def test_a_name_that_is_none_is_one_that_nobody_knows(opened, port, folder, capfd, name):
    opened(listen=f'{HOST}:{port}').present(a_challenge('other.test'))
    (folder / 'secret1.pem').write_bytes((folder / 'proofs' / 'other.test.pem').read_bytes())
    context, sent = ssl.create_default_context(), ssl.MemoryBIO()
    context.set_alpn_protocols([ACME_TLS])
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname='other.test').do_handshake()
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(sent.read().replace(b'other.test', name))
        assert connection.recv(1000) == bytes.fromhex('15 0303 0002 02 70')
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('sent', [
    b'GET / HTTP/1.1\r\n\r\n', b'\x16\x03\x01\xff\xff' + b'x' * 70000, b'\x16\x03\x01\x00\x02\x01\x00',
    b'\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03', b'\x15\x03\x01\x00\x02\x02\x28', b'\x16\x03'])
def test_who_speaks_something_else_is_hung_up_on(opened, port, sent):
    opened(listen=f'{HOST}:{port}')
    with (socket.create_connection((HOST, port), timeout=10) as connection,
          contextlib.suppress(ConnectionError)):
        connection.sendall(sent)
        with contextlib.suppress(OSError):  # it was hung up on already
            connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b''


def test_who_says_nothing_is_hung_up_on(opened, port, monkeypatch):
    monkeypatch.setattr(listening, 'CONNECTION_SECONDS', 0.2)
    opened(listen=f'{HOST}:{port}')
    for sent in (b'', b'\x16\x03\x01\x00\x40\x01'):
        with socket.create_connection((HOST, port), timeout=10) as connection:
            connection.sendall(sent)
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1000) == b''


def test_only_the_user_km_runs_as_may_read_a_file(opened, folder):
    opened().present(a_challenge())
    assert stat.S_IMODE((folder / 'proofs' / 'a.test.pem').stat().st_mode) == 0o600


def test_one_order_waits_for_the_other_that_proves_the_same_name(opened):
    responder, first, second = opened(), a_challenge(), a_challenge(proof='token.two')
    assert responder.present(first) == 0
    assert responder.present(second) > 0
    assert responder.present(first) == 0
    responder.remove(second)
    assert responder.present(second) > 0
    responder.remove(first)
    assert opened().present(second) == 0


def test_nobody_waits_for_an_order_that_died(opened, folder, monkeypatch):
    responder = opened()
    responder.present(a_challenge())
    then = time.time() - tls_alpn_01._TURN_SECONDS - 1
    os.utime(folder / 'proofs' / 'a.test.pem', (then, then))
    assert responder.present(a_challenge(proof='token.two')) == 0
    assert responder.present(a_challenge()) > 0


def test_what_was_left_long_ago_is_removed_at_start(opened, folder):
    responder, then = opened(), time.time() - OLD_SECONDS - 60
    responder.present(a_challenge('old.test'))
    responder.present(a_challenge('new.test'))
    (folder / 'proofs' / 'README').touch()
    for name in ('old.test.pem', 'README'):
        os.utime(folder / 'proofs' / name, (then, then))
    opened()
    assert sorted(os.listdir(folder / 'proofs')) == ['README', 'new.test.pem']


@pytest.mark.parametrize('identifier', ['', '../x', 'a/b', 'a..test', '-a.test', 'a' * 64 + '.test',
                                        'a.' * 126 + 'test', 'ä.test', 'A.test', '*.test'])
def test_what_is_no_name_is_refused_and_its_removal_is_nothing(opened, folder, identifier):
    responder = opened()
    with pytest.raises(Rejected, match='is not'):
        responder.present(a_challenge(identifier))
    responder.remove(a_challenge(identifier))
    assert os.listdir(folder / 'proofs') == []


def test_check_has_a_certificate_shown(opened, port, folder):
    assert opened(listen=f'{HOST}:{port}').check().endswith(f'shown at {HOST}:{port}')
    assert opened().check().endswith('for another server')
    assert os.listdir(folder / 'proofs') == []


def test_several_processes_can_listen_and_each_shows_what_any_presented(opened, port):
    responders = [opened(listen=f'{HOST}:{port}') for _ in range(2)]
    responders[0].present(a_challenge())
    assert all(shown(port, 'a.test') for _ in range(10))


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'path': '/nowhere/at/all'}, 'path: /nowhere/at/all cannot be used'),
    ({'listen': 'a..test:443'}, "listen: 'a..test:443' is no address:port"),
    ({'listen': '443'}, "listen: '443' is no address:port"),
    ({'listen': '192.0.2.1:443'}, 'listen: km cannot listen on 192.0.2.1:443')])
def test_an_option_that_cannot_work_is_named(opened, options, sentence):
    with pytest.raises(Misconfigured, match=rf'^\[challenge_responder:plugin\] {sentence}'):
        opened(**options)
