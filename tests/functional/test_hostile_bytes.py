# SPDX-License-Identifier: Apache-2.0
"""Bytes on the wire that no client sends: km answers 4xx or hangs up, and lives on."""
import http.client
import json
import re
import socket
import time

import pytest

from tests.functional.servers import HOST

HEAD = 'POST /v1/secrets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
#: After HEAD and credentials: more headers, and the body.
BODIES = {
    'a negative length': 'Content-Length: -1\r\n\r\n{}',
    'a length in words': 'Content-Length: many\r\n\r\n{}',
    'a length with a sign': 'Content-Length: +2\r\n\r\n{}',
    'an empty length': 'Content-Length: \r\n\r\n{}',
    'two lengths': 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x',
    'a list of lengths': 'Content-Length: 2, 2\r\n\r\n{}',
    'a length and chunks': 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'a length beyond all bounds': f'Content-Length: {"9" * 40}\r\n\r\n{{}}',
    'a length over the limit': 'Content-Length: 25001\r\n\r\n{}',
    'a body cut short': 'Content-Length: 200\r\n\r\n{"name":',
    'chunks of nonsense': 'Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n',
    'a chunk with a negative size': 'Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n',
    'a chunk cut short': 'Transfer-Encoding: chunked\r\n\r\nff\r\n{"name":',
    'chunks without an end': 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n',
    'a chunk longer than it says': 'Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n',
    'an unknown transfer encoding': 'Transfer-Encoding: zebra\r\n\r\n{}',
    'chunked twice': 'Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'a chunked body over the limit': 'Transfer-Encoding: chunked\r\n\r\n' + 'fff\r\n' + 'x' * 4095
                                     + '\r\n' + ('fff\r\n' + 'x' * 4095 + '\r\n') * 9 + '0\r\n\r\n',
    'one chunk over the limit': 'Transfer-Encoding: chunked\r\n\r\nfffff\r\n' + 'x' * 0xfffff
                                + '\r\n0\r\n\r\n',
}
#: Whole requests.
REQUESTS = {
    'nothing': '',
    'no HTTP': 'hello\r\n\r\n',
    'zeros': '\0' * 1000,
    'TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'no version': 'GET /v1/secrets\r\n\r\n',
    'version 9.9': 'GET /v1/secrets HTTP/9.9\r\nHost: x\r\n\r\n',
    'a bare line feed': 'GET /v1/secrets HTTP/1.1\nHost: x\n\n',
    'no host': 'GET /v1/secrets HTTP/1.1\r\n\r\n',
    'two hosts': 'GET /v1/secrets HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
    'a space in a header name': 'GET / HTTP/1.1\r\nHost: x\r\nX Y: 1\r\n\r\n',
    'a space before the colon': 'GET /v1 HTTP/1.1\r\nHost: x\r\nX-Auth-Token : x\r\n\r\n',
    'a folded header': 'GET /v1 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n',
    'NUL in a header': 'GET /v1 HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n',
    'a long line': f'GET /{"x" * 100000} HTTP/1.1\r\nHost: x\r\n\r\n',
    'a long header': f'GET / HTTP/1.1\r\nHost: x\r\nX-A: {"x" * 100000}\r\n\r\n',
    'many headers': 'GET / HTTP/1.1\r\nHost: x\r\n' + 'X-A: x\r\n' * 1000 + '\r\n',
    'raw bytes in the path': 'GET /v1/secrets/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n',
    'dots': 'GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n',
    'encoded dots': 'GET /v1/secrets/%2e%2e/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n',
    'another machine': 'GET http://evil.example.org/v1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'CONNECT': 'CONNECT evil.example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n',
    'a star': 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
    'no path': 'GET  HTTP/1.1\r\nHost: x\r\n\r\n',
    'two slashes': 'GET //v1//secrets HTTP/1.1\r\nHost: x\r\n\r\n',
    'half an escape': 'GET /v1/secrets/%f HTTP/1.1\r\nHost: x\r\n\r\n',
    'an upgrade': 'GET /v1 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
}


def statuses(answer):
    """The status of each response in what came back."""
    return [int(status) for status in re.findall(rb'^HTTP/1\.[01] (\d{3}) ', answer, re.MULTILINE)]


def credentials(km):
    """The credentials of a user, as lines of a request."""
    return ''.join(f'{name}: {value}\r\n' for name, value in km.credentials().items())


@pytest.mark.parametrize('rest', BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_what_it_says_makes_nothing(km, rest):
    before = km.get('/v1/secrets?limit=0').json()['total']
    answer = km.raw((HEAD + credentials(km) + rest).encode('latin-1'))
    assert all(400 <= status < 500 or status == 501 for status in statuses(answer)), answer
    assert km.get('/v1/secrets?limit=0').json()['total'] == before


@pytest.mark.parametrize('sent', REQUESTS.values(), ids=REQUESTS)
def test_bytes_that_make_no_sense_are_refused_or_ignored(km, sent):
    answer = km.raw(sent.encode('latin-1'))
    assert all(status < 500 and status != 201 for status in statuses(answer)), answer
    assert km.get('/healthcheck').status_code == 200


def test_a_chunked_body_within_the_limit_is_read(km):
    answer = km.raw((HEAD + credentials(km) + 'Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
                     '1\r\n{\r\n1\r\n}\r\n0\r\n\r\n').encode())
    assert statuses(answer) == [201]


@pytest.mark.parametrize('rest', [
    'Content-Length: 999999999\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n' + 'ffff\r\n'
    + 'x' * 0xffff + '\r\n'])
def test_a_body_over_the_limit_is_refused_before_it_has_all_come(km, rest):
    began = time.monotonic()
    with socket.create_connection((HOST, int(km.url.rpartition(':')[2])), timeout=10) as sock:
        sock.sendall((HEAD + credentials(km) + rest).encode())
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert (answer.status, json.load(answer)['title']) == (413, 'Request Entity Too Large')
    assert time.monotonic() - began < 5


@pytest.mark.parametrize('known', [True, False])
@pytest.mark.parametrize('first', [
    'POST /v1/secrets', 'POST /v1/nothing', 'GET /v1/secrets', 'DELETE /healthcheck', 'PUT /', 'X /'])
def test_a_request_hidden_in_the_body_of_another_is_not_carried_out(km, first, known):
    path = km.secret()
    hidden = f'DELETE {path} HTTP/1.1\r\nHost: x\r\n{credentials(km)}\r\n'
    head = f'{first} HTTP/1.1\r\nHost: x\r\n{credentials(km) if known else ""}'
    long = hidden + 'x' * 30000
    for rest in (f'Content-Length: {len(long)}\r\n\r\n{long}',
                 f'Content-Length: {len(hidden)}\r\n\r\n{hidden}',
                 f'Transfer-Encoding: chunked\r\n\r\n{len(long):x}\r\n{long}\r\n0\r\n\r\n',
                 f'Transfer-Encoding: chunked\r\n\r\n{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n'):
        km.raw((head + rest).encode())
        assert km.get(path).status_code == 200, rest[:40]
