# SPDX-License-Identifier: Apache-2.0
"""Webhooks against a real HTTP server, whose idea of a signature is written from the specification."""
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from km.interfaces import Event, Misconfigured, Rejected, Unavailable
from km.plugins.notifier.webhook import WebhookNotifier
from km.testing import open_plugin
from tests.functional import certificates

KEY = bytes(range(32))
EVENT = Event(id='0b', kind='secret.created', project_id='alpha', resource_type='secret',
              resource_id='0c', occurred=datetime(2030, 1, 2, 3, 4, 5, 6), details={'user_id': 'änn'})


class Receiver(ThreadingHTTPServer):
    """Takes events, and answers each as ``answer`` says: a status, and headers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), _Handler)
        self.answer, self.headers, self.taken, self.body = 204, {}, [], b''
        self.port = self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.taken.append((self.path, self.headers, body))
        self.send_response(self.server.answer)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    with serving(Receiver()) as server:
        yield server


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def opened(folder):
    path = folder / 'secret'
    path.write_text(f'whsec_{base64.b64encode(KEY).decode()}\n')
    path.chmod(0o400)

    def open_it(url, **settings):
        return open_plugin(WebhookNotifier, url=url, **{'secret_file': str(path), **settings})

    return open_it


@pytest.fixture
def webhook(opened, receiver):
    return opened(f'http://127.0.0.1:{receiver.port}/hook?token=x')


def verified(key, headers, body):
    """What a receiver does with a request: Standard Webhooks, "Verifying webhook authenticity"."""
    assert abs(int(headers['webhook-timestamp']) - time.time()) < 60
    content = b'.'.join([headers['webhook-id'].encode(), headers['webhook-timestamp'].encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(version == 'v1' and hmac.compare_digest(expected, signature) for version, signature in (
        one.split(',', 1) for one in headers['webhook-signature'].split(' ')))


def test_an_event_arrives_signed(webhook, receiver):
    webhook.notify(EVENT)
    (path, headers, body), = receiver.taken
    assert verified(KEY, headers, body)
    assert not verified(KEY, headers, body + b' ')
    assert not verified(KEY[::-1], headers, body)
    assert (path, headers['Content-Type'], headers['webhook-id'], headers['User-Agent']) == (
        '/hook?token=x', 'application/json', '0b', 'km')
    assert json.loads(body) == {
        'id': '0b', 'type': 'secret.created', 'timestamp': '2030-01-02T03:04:05.000006Z', 'data': {
            'project_id': 'alpha', 'resource_type': 'secret', 'resource_id': '0c',
            'details': {'user_id': 'änn'}}}


def test_an_event_that_is_told_again_has_the_same_id(webhook, receiver):
    webhook.notify(EVENT)
    webhook.notify(EVENT)
    assert [headers['webhook-id'] for _, headers, _ in receiver.taken] == ['0b', '0b']


def test_while_secrets_are_replaced_it_is_signed_with_both(opened, receiver, folder):
    newer = bytes(24)
    path = folder / 'both'
    path.write_text(''.join(f'whsec_{base64.b64encode(key).decode()}\n' for key in (newer, KEY)))
    path.chmod(0o400)
    opened(f'http://127.0.0.1:{receiver.port}', secret_file=str(path)).notify(EVENT)
    (path, headers, body), = receiver.taken
    assert path == '/'
    assert verified(KEY, headers, body)
    assert verified(newer, headers, body)


@pytest.mark.parametrize('status', [200, 201, 202, 204, 299])
def test_what_is_accepted_is_told(webhook, receiver, status):
    receiver.answer = status
    webhook.notify(EVENT)


@pytest.mark.parametrize('status', [400, 401, 403, 404, 410, 422, 499])
def test_what_is_refused_for_good_is_never_told(webhook, receiver, status):
    receiver.answer = status
    with pytest.raises(Rejected, match=f'refuses it with {status}'):
        webhook.notify(EVENT)


@pytest.mark.parametrize('status', [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_is_not_accepted_now_is_told_later(webhook, receiver, status):
    receiver.answer = status
    with pytest.raises(Unavailable, match=f'answers with {status}') as refused:
        webhook.notify(EVENT)
    assert refused.value.retry_after_seconds is None


@pytest.mark.parametrize(('said', 'seconds'), [
    ('120', 120), ('0', 0), ('-5', None), ('soon', None), ('1e3', None), ('9' * 30, None),
    (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0),
    ('Mon, 99 Jan 2030 00:00:00 GMT', None), ('Tue, 01 Jan 99999999999 00:00:00 GMT', None)])
def test_a_server_that_says_when_is_understood(webhook, receiver, said, seconds):
    receiver.answer, receiver.headers = 503, {'Retry-After': said}
    with pytest.raises(Unavailable) as refused:
        webhook.notify(EVENT)
    assert refused.value.retry_after_seconds == (
        None if seconds is None else pytest.approx(seconds, abs=60))


def test_a_server_that_says_when_as_a_time_is_understood(webhook, receiver):
    then = datetime.now(UTC) + timedelta(hours=2)
    receiver.answer, receiver.headers = 503, {'Retry-After': format_datetime(then, usegmt=True)}
    with pytest.raises(Unavailable) as refused:
        webhook.notify(EVENT)
    assert refused.value.retry_after_seconds == pytest.approx(7200, abs=60)


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(webhook, receiver, status):
    receiver.answer = status
    receiver.headers = {'Location': f'http://127.0.0.1:{receiver.port}/elsewhere'}
    with pytest.raises(Unavailable, match=f'answers with {status}'):
        webhook.notify(EVENT)
    assert [path for path, *_ in receiver.taken] == ['/hook?token=x']


def test_what_a_server_says_is_not_read(webhook, receiver):
    receiver.answer, receiver.body = 200, b'x' * 50_000_000
    began = time.monotonic()
    webhook.notify(EVENT)
    assert time.monotonic() - began < 2


def test_no_proxy_is_taken_from_the_environment(webhook, receiver, monkeypatch):
    for name in ('http_proxy', 'HTTP_PROXY', 'ALL_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')
    webhook.notify(EVENT)
    assert len(receiver.taken) == 1


@contextlib.contextmanager
def speaking(say):
    """The port of a server that does to each connection what ``say`` does."""
    with socket.create_server(('127.0.0.1', 0)) as listening:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        say(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def drips(connection):
    """Answers for ever, a byte at a time."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nX: ')
    while True:
        connection.sendall(b'x')
        time.sleep(0.02)


NO_ANSWERS = {
    'nothing': lambda connection: connection.recv(1) and connection.recv(100_000) and connection.recv(1),
    'the end': lambda connection: connection.recv(100_000),
    'something else': lambda connection: connection.sendall(b'220 mail.example.org\r\n' * 100),
    'too many headers': lambda connection: connection.sendall(
        b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 1000 + b'\r\n'),
    'drop by drop': drips}


@pytest.mark.parametrize('say', NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_server_that_does_not_answer_is_given_up_in_time(opened, say):
    with speaking(say) as port:
        webhook = opened(f'http://127.0.0.1:{port}', timeout_seconds=0.3)
        began = time.monotonic()
        with pytest.raises(Unavailable, match='does not answer'):
            webhook.notify(EVENT)
        assert time.monotonic() - began < 2


def test_where_nobody_listens_it_is_told_later(opened):
    with socket.create_server(('127.0.0.1', 0)) as listening:
        port = listening.getsockname()[1]
    webhook = opened(f'http://127.0.0.1:{port}/token')
    for ask in (webhook.check, lambda: webhook.notify(EVENT)):
        with pytest.raises(Unavailable, match=r'^The server does not answer \(ConnectionRefusedError\)'):
            ask()


@pytest.fixture(scope='module')
def identity(tmp_path_factory):
    """A folder with a certificate for 127.0.0.1, its key, and the CA's."""
    folder = tmp_path_factory.mktemp('identity')
    certificates.write(folder)
    return folder


@pytest.fixture
def tls_receiver(identity):
    server = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / 'server.pem', identity / 'server.key')
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield server


def test_an_event_arrives_by_tls_where_the_ca_is_trusted(opened, tls_receiver, identity):
    webhook = opened(f'https://127.0.0.1:{tls_receiver.port}/', ca_file=str(identity / 'ca.pem'))
    assert webhook.check() == '127.0.0.1 answers'
    webhook.notify(EVENT)
    (_, headers, body), = tls_receiver.taken
    assert verified(KEY, headers, body)


def test_a_server_that_never_ends_is_given_up_in_time_by_tls_too(opened, identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / 'server.pem', identity / 'server.key')

    def drips_by_tls(connection):
        with context.wrap_socket(connection, server_side=True) as wrapped:
            drips(wrapped)

    with speaking(drips_by_tls) as port:
        webhook = opened(f'https://127.0.0.1:{port}/', ca_file=str(identity / 'ca.pem'),
                         timeout_seconds=0.3)
        began = time.monotonic()
        with pytest.raises(Unavailable, match='does not answer'):
            webhook.notify(EVENT)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(('host', 'trusted'), [('127.0.0.1', False), ('localhost', True)])
def test_a_server_that_may_be_anybody_hears_nothing(opened, tls_receiver, identity, host, trusted):
    webhook = opened(f'https://{host}:{tls_receiver.port}/',
                     **({'ca_file': str(identity / 'ca.pem')} if trusted else {}))
    with pytest.raises(Unavailable, match=r'is not who it should be: [A-Za-z]'):
        webhook.notify(EVENT)
    assert tls_receiver.taken == []


@pytest.mark.parametrize(('url', 'wrong'), [
    ('http://hooks.example.org/', 'must begin with https'), ('http://192.0.2.1/', 'must begin with'),
    ('ftp://127.0.0.1/', 'none of HTTP'), ('127.0.0.1', 'none of HTTP'), ('https://', 'none of HTTP'),
    ('https://h:99999/', 'none of HTTP'), ('https://h/a b', 'none of HTTP'), ('https://[::1/', 'none'),
    ('https://a..test/', 'none of HTTP'), (f'https://{"a" * 64}.test/', 'none of HTTP'),
    ('https://h/\n', 'none of HTTP'), ('https://h/ü', 'none of HTTP'), ('https://h:0/', 'none of HTTP'),
    ('https://ann:unmistakable@h/', 'neither a user'), ('https://h/#unmistakable', 'nor a fragment')])
def test_a_url_that_will_not_do_keeps_km_from_starting(opened, url, wrong):
    with pytest.raises(Misconfigured, match=rf'^\[notifier:plugin\] url: .*{wrong}') as refused:
        opened(url)
    assert 'unmistakable' not in refused.value.sentence


@pytest.mark.parametrize('url', ['http://127.0.0.1/', 'http://[::1]:80/', 'http://localhost'])
def test_on_the_same_machine_tls_is_not_needed(opened, url):
    opened(url)


def test_whoever_wants_plain_http_can_have_it(opened):
    opened('http://hooks.example.org/', allow_http=True)


def test_files_that_will_not_do_keep_km_from_starting(opened, folder):
    with pytest.raises(Misconfigured, match=r'^\[notifier:plugin\] secret_file: .*/none cannot be read'):
        opened('https://h/', secret_file=f'{folder}/none')
    (folder / 'ca.pem').write_text('none')
    for name in ('none', 'ca.pem'):
        with pytest.raises(Misconfigured, match=r'^\[notifier:plugin\] ca_file: it cannot be read'):
            opened('https://h/', ca_file=f'{folder}/{name}')


def test_neither_the_url_nor_the_secret_is_told_to_the_log(opened, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    webhook = opened(f'http://127.0.0.1:{receiver.port}/unmistakable')
    receiver.answer = 500
    with pytest.raises(Unavailable) as refused:
        webhook.notify(EVENT)
    told = caplog.text + str(refused.value) + repr(webhook)
    assert 'unmistakable' not in told
    assert base64.b64encode(KEY).decode() not in told
