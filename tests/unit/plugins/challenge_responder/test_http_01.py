# SPDX-License-Identifier: Apache-2.0
"""Pages for http-01: the files, and the listener before strangers."""
import contextlib
import os
import socket
import stat
import threading
import time
import urllib.request

import pytest

from km.interfaces import Challenge, Misconfigured, Rejected, Unavailable
from km.plugins.challenge_responder import http_serving, listening
from km.plugins.challenge_responder.http_01 import Http01
from km.plugins.challenge_responder.http_serving import PATH
from km.plugins.challenge_responder.proof_folder import OLD_SECONDS
from km.testing import open_plugin

HOST = '127.0.0.1'
TOKEN = 'evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA'
PROOF = f'{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI'
CHALLENGE = Challenge(identifier='a.test', token=TOKEN, key_authorization=PROOF)


@pytest.fixture
def opened(folder):
    """Opens responders of one folder."""
    (folder / 'proofs').mkdir(mode=0o755)
    with contextlib.ExitStack() as opened:
        def open_for(**options):
            responder = open_plugin(Http01, **{'path': str(folder / 'proofs'), **options})
            opened.callback(responder.close)
            return responder

        yield open_for


@pytest.fixture
def listening_at(opened, port):
    """The port of a responder that has a proof."""
    opened(listen=f'{HOST}:{port}').present(CHALLENGE)
    return port


def asked(port, request):
    """What is answered to some bytes."""
    answer = b''
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(request)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def status(port, request):
    return int(asked(port, request).split(b' ')[1])


def test_a_proof_is_a_file_that_others_may_read_until_it_is_removed(opened, folder):
    responder = opened()
    assert responder.present(CHALLENGE) == 0
    assert responder.present(CHALLENGE) == 0
    path = folder / 'proofs' / TOKEN
    assert path.read_text() == PROOF
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    responder.remove(CHALLENGE)
    responder.remove(CHALLENGE)
    assert os.listdir(folder / 'proofs') == []


def test_the_mode_of_the_files_can_be_set(opened, folder):
    opened(mode='0640').present(CHALLENGE)
    assert stat.S_IMODE((folder / 'proofs' / TOKEN).stat().st_mode) == 0o640


@pytest.mark.parametrize(('token', 'proof'), [
    ('../x', '../x.y'), ('', '.y'), ('a/b', 'a/b.y'), ('a', 'b.y'), ('a', 'a'), ('a', 'a.y\r\nz'),
    ('a' * 300, 'a' * 300 + '.y'), ('ä', 'ä.y')])
def test_a_token_that_is_none_is_refused_and_its_removal_is_nothing(opened, folder, token, proof):
    (folder / 'x').touch()
    challenge = Challenge(identifier='a.test', token=token, key_authorization=proof)
    responder = opened()
    with pytest.raises(Rejected, match='a token that is none'):
        responder.present(challenge)
    responder.remove(challenge)
    assert (folder / 'x').exists()
    assert os.listdir(folder / 'proofs') == []


def test_what_was_left_long_ago_is_removed_at_start_and_nothing_else(opened, folder):
    opened().present(CHALLENGE)
    proofs, then = folder / 'proofs', time.time() - OLD_SECONDS - 60
    (proofs / 'index').write_text("somebody else's")
    (proofs / '.new-abc').write_text('half a pro')
    (proofs / 'sub').mkdir()
    (proofs / 'link').symlink_to('/etc/passwd')
    opened()
    assert (proofs / TOKEN).exists()
    for name in (TOKEN, 'index', '.new-abc', 'sub'):
        os.utime(proofs / name, (then, then))
    opened()
    assert sorted(os.listdir(proofs)) == ['index', 'link', 'sub']


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'path': '/nowhere/at/all'}, 'path: /nowhere/at/all cannot be used'),
    ({'mode': 'rw-r--r--'}, "mode: 'rw-r--r--' is no mode"),
    ({'listen': 'a..test:80'}, "listen: 'a..test:80' is no address:port"),
    ({'listen': '80'}, "listen: '80' is no address:port"),
    ({'listen': '::1:80'}, 'is no address:port'), ({'listen': f'{HOST}:0'}, 'is no address:port'),
    ({'listen': f'{HOST}:http'}, 'is no address:port'), ({'listen': f'{HOST}:99999'}, 'is no address'),
    ({'listen': '192.0.2.1:80'}, 'listen: km cannot listen on 192.0.2.1:80')])
def test_an_option_that_cannot_work_is_named(opened, options, sentence):
    with pytest.raises(Misconfigured, match=rf'^\[challenge_responder:plugin\] .*{sentence}'):
        opened(**options)


def test_a_folder_that_others_may_write_to_is_refused(opened, folder):
    (folder / 'proofs').chmod(0o777)
    with pytest.raises(Misconfigured, match='nobody else may write to it'):
        opened()
    (folder / 'proofs').chmod(0o755)


def test_check_reads_a_proof_through_the_listener(opened, port, folder):
    assert opened(listen=f'{HOST}:{port}').check().endswith(f'served at {HOST}:{port}')
    assert opened().check().endswith('for another server')
    assert os.listdir(folder / 'proofs') == []


def test_several_processes_can_listen_and_each_serves_what_any_presented(opened, port, folder):
    first, second = (opened(listen=f'{HOST}:{port}') for _ in range(2))
    first.present(CHALLENGE)
    for _ in range(10):
        with urllib.request.urlopen(f'http://{HOST}:{port}{PATH}{TOKEN}') as page:
            assert page.read() == PROOF.encode()
    second.remove(CHALLENGE)
    assert status(port, f'GET {PATH}{TOKEN} HTTP/1.1\r\n\r\n'.encode()) == 404


@contextlib.contextmanager
def another_server(find):
    """Have a server on a port that cannot be shared, as one of another user's is; give the port."""
    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    http_serving.serve(connection, time.monotonic() + 5, find)

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_where_another_user_serves_the_folder_already_one_need_not_listen(opened, folder):
    def found(token):
        path = folder / 'proofs' / token
        return path.read_bytes() if path.exists() else None

    with another_server(found) as port:
        assert opened(listen=f'{HOST}:{port}').check().endswith(f'served at {HOST}:{port}')


def test_a_port_where_somebody_else_serves_something_else_is_refused(opened):
    with another_server(lambda token: b'welcome') as port, pytest.raises(
            Misconfigured, match=r'cannot listen on .* \(Address already in use\)'):
        opened(listen=f'{HOST}:{port}')


def test_head_is_get_without_the_page(listening_at):
    request = f' {PATH}{TOKEN} HTTP/1.1\r\nHost: a.test\r\n\r\n'.encode()
    got, head = asked(listening_at, b'GET' + request), asked(listening_at, b'HEAD' + request)
    assert got.endswith(b'\r\n\r\n' + PROOF.encode())
    assert head.endswith(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 200 OK\r\n')
    assert f'Content-Length: {len(PROOF)}\r\n'.encode() in head
    assert b'Connection: close\r\n' in head


def test_the_absolute_form_is_as_good(listening_at):
    assert status(listening_at, f'GET http://a.test{PATH}{TOKEN} HTTP/1.1\r\n\r\n'.encode()) == 200


@pytest.mark.parametrize(('line', 'code'), [
    (f'GET {PATH}no-such HTTP/1.1', 404), (f'GET {PATH} HTTP/1.1', 404), ('GET / HTTP/1.1', 404),
    (f'GET {PATH}../../secret HTTP/1.1', 404), (f'GET {PATH}%2e%2e%2fsecret HTTP/1.1', 404),
    (f'GET {PATH}..%2Fsecret HTTP/1.1', 404), (f'GET {PATH}/{TOKEN} HTTP/1.1', 404),
    (f'GET {PATH}{TOKEN}? HTTP/1.1', 404), (f'GET /..{PATH}{TOKEN} HTTP/1.1', 404),
    (f'GET {PATH}secret HTTP/1.1', 404), (f'GET {PATH}link HTTP/1.1', 404),
    (f'GET {PATH}sub HTTP/1.1', 404), (f'GET {PATH}.new-1 HTTP/1.1', 404),
    (f'POST {PATH}{TOKEN} HTTP/1.1', 405), ('OPTIONS * HTTP/1.1', 405), (f'PUT {PATH}x HTTP/1.1', 405),
    ('CONNECT a.test:80 HTTP/1.1', 400), (f'GET {PATH}{TOKEN} HTTP/2.0', 400), ('GET', 400), ('', 400),
    (f'get {PATH}{TOKEN} HTTP/1.1', 400), (f'GET  {PATH}{TOKEN} HTTP/1.1', 400),
    (f'GET {PATH}{TOKEN}\0 HTTP/1.1', 400), ('GET ' + '/' * 4000 + ' HTTP/1.1', 400)])
def test_nothing_else_is_served(listening_at, folder, line, code):
    proofs = folder / 'proofs'
    (folder / 'secret').write_text('secret.secret')
    (proofs / 'secret').write_text('not a proof')
    (proofs / 'link').symlink_to(folder / 'secret')
    (proofs / 'sub').mkdir()
    (proofs / '.new-1').write_text('.new-1.x')
    answer = asked(listening_at, f'{line}\r\nHost: a.test\r\n\r\n'.encode())
    assert answer.startswith(b'HTTP/1.1 %d ' % code)
    assert answer.endswith(b'\r\n\r\n')


def test_a_request_that_is_too_long_is_refused(listening_at):
    assert status(listening_at, b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 10000) == 431


def test_a_folder_that_is_gone_is_no_reason_to_fail(listening_at, folder):
    (folder / 'proofs').rename(folder / 'gone')
    assert status(listening_at, f'GET {PATH}{TOKEN} HTTP/1.1\r\n\r\n'.encode()) == 404


def test_without_its_folder_nothing_can_be_proved(opened, folder):
    responder = opened()
    (folder / 'proofs').rmdir()
    for call in (responder.present, lambda _: responder.check()):
        with pytest.raises(Unavailable, match='cannot be used'):
            call(CHALLENGE)
    responder.remove(CHALLENGE)


def test_who_sends_slowly_is_hung_up_on(opened, port, monkeypatch):
    monkeypatch.setattr(listening, 'CONNECTION_SECONDS', 0.3)
    opened(listen=f'{HOST}:{port}')
    begin = time.monotonic()
    with socket.create_connection((HOST, port), timeout=10) as connection:
        with contextlib.suppress(OSError):
            while time.monotonic() - begin < 5:
                connection.sendall(b'G')
                time.sleep(0.05)
        assert time.monotonic() - begin < 3


def test_of_too_many_at_once_some_are_hung_up_on_and_none_after_that(opened, port, monkeypatch):
    monkeypatch.setattr(listening, 'MAX_CONNECTIONS', 3)
    opened(listen=f'{HOST}:{port}').present(CHALLENGE)
    request = f'GET {PATH}{TOKEN} HTTP/1.1\r\n\r\n'.encode()
    with contextlib.ExitStack() as open_connections:
        for _ in range(3):
            held = open_connections.enter_context(socket.create_connection((HOST, port), timeout=10))
            held.sendall(b'GET')
        time.sleep(0.2)
        with socket.create_connection((HOST, port), timeout=10) as another:
            assert another.recv(100) == b''
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, IndexError):
            if status(port, request) == 200:
                return
    pytest.fail('it never answered again')


def test_a_closed_responder_listens_no_more(opened, port):
    opened(listen=f'{HOST}:{port}').close()
    with pytest.raises(OSError, match='refused'):
        socket.create_connection((HOST, port), timeout=10)
