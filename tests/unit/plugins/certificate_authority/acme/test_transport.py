# SPDX-License-Identifier: Apache-2.0
"""HTTPS to servers that mean no good."""
import contextlib
import time

import pytest

from km.interfaces import Unavailable
from km.plugins.certificate_authority.acme.transport import Transport, is_url, tls_context


@pytest.fixture
def transport(server):
    with contextlib.closing(Transport(tls_context(server.ca_file), 0.5)) as transport:
        yield transport


def test_an_answer_has_its_status_its_headers_and_its_body(server, transport):
    server.says('/page', (418, b'tea', {'X-Pot': 'short'}))
    answer = transport.request('GET', f'{server.url}/page')
    assert (answer.status, answer.headers['x-pot'], answer.body) == (418, 'short', b'tea')


def test_a_redirection_is_given_and_not_followed(server, transport):
    server.says('/page', (302, b'', {'Location': f'{server.url}/elsewhere'}))
    assert transport.request('GET', f'{server.url}/page').status == 302
    assert [path for _, path, *_ in server.asked] == ['/page']


def test_a_huge_answer_is_not_taken(server, transport):
    server.says('/page', b'x' * (2**20 + 1))
    with pytest.raises(Unavailable, match='more than 1048576 bytes'):
        transport.request('GET', f'{server.url}/page')


@pytest.mark.parametrize('endless', [
    lambda stream: _drip(stream, b'HTTP/1.1 200 OK\r\nX-A: '),
    lambda stream: _drip(stream, b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'),
    lambda stream: _drip(stream, b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n'),
    lambda stream: time.sleep(1)])
def test_an_answer_without_end_is_not_waited_for(server, transport, endless):
    server.says('/page', (200, endless, {}))
    began = time.monotonic()
    with pytest.raises(Unavailable, match='takes too long'):
        transport.request('GET', f'{server.url}/page')
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize('text', [
    b'SSH-2.0-x\r\n', b'HTTP/1.1 abc\r\n\r\n', b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 200 + b'\r\n',
    b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 70000 + b'\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'])
def test_what_is_no_http_is_no_crash(server, transport, text):
    server.says('/page', (200, lambda stream: _write(stream, text), {}))
    with pytest.raises(Unavailable, match='does not answer'):
        transport.request('GET', f'{server.url}/page')


def test_a_connection_that_the_server_gave_up_is_made_anew(server, transport):
    server.says('/page', (200, b'one', {}), (200, lambda stream: _write(stream, b''), {}),
                (200, b'two', {}))
    assert transport.request('GET', f'{server.url}/page').body == b'one'
    assert transport.request('GET', f'{server.url}/page').body == b'two'
    assert len(server.asked) == 3


def test_a_connection_is_used_again(server, transport):
    for _ in range(3):
        transport.request('GET', f'{server.url}/page')
    assert len(transport._open) == 1


def test_who_does_not_listen_is_unavailable(server, transport):
    with pytest.raises(Unavailable, match='refused'):
        transport.request('GET', 'https://127.0.0.1:1/')


def test_a_certificate_for_another_name_is_not_trusted(server, transport):
    with pytest.raises(Unavailable, match='not trusted'):
        transport.request('GET', server.url.replace('127.0.0.1', 'localhost'))


@pytest.mark.parametrize('url', [
    'http://a.test/', 'https://', 'https:///x', 'https://u:p@a.test/', 'https://a.test:x/', 'file:///etc/x',
    'https://a.test/ x', 'https://a.test/\r\nX: y', 'https://ä.test/', 'https://[::1/', '', None, 7, [],
    b'https://a.test/', 'https://a.test/' + 'x' * 1000, 'https://a.test:99999/'])
def test_what_is_no_url_of_https_is_none(url):
    assert not is_url(url)


@pytest.mark.parametrize('url', ['https://a.test', 'HTTPS://a.test:8443/x?y=z'.lower(), 'https://[::1]/x'])
def test_a_url_of_https_is_one(url):
    assert is_url(url)


def _drip(stream, begin):
    stream.write(begin)
    with contextlib.suppress(OSError):
        for _ in range(20):
            stream.write(b'x')
            stream.flush()
            time.sleep(0.05)


def _write(stream, text):
    stream.write(text)
