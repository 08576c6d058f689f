# SPDX-License-Identifier: Apache-2.0
"""Clients that send slowly, or nothing, cost km a connection each and nobody else an answer."""
import contextlib
import http.client
import json
import socket
import time

import pytest

from tests.functional.servers import HOST

#: More than the threads of all processes.
MANY = 40
SECONDS = 5
POST = 'POST /v1/secrets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'


def connected(km):
    return socket.create_connection((HOST, int(km.url.rpartition(':')[2])), timeout=10)


def head(km, *more):
    """The head of a request that may create a secret."""
    lines = [f'{name}: {value}' for name, value in km.credentials().items()]
    return (POST + '\r\n'.join([*lines, *more]) + '\r\n\r\n').encode()


def answered(km):
    """Whether several new connections are answered soon, so that each process had its turn."""
    began = time.monotonic()
    for _ in range(10):
        connection = http.client.HTTPConnection(HOST, int(km.url.rpartition(':')[2]), timeout=SECONDS)
        connection.request('GET', '/healthcheck')
        assert connection.getresponse().status == 200
        connection.close()
    return time.monotonic() - began < SECONDS


@pytest.mark.parametrize('begun', [
    b'', b'G', b'GET /healthcheck HTTP/1.1\r\nHost', b'GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\nGET',
    b'\x16\x03\x01'], ids=['nothing', 'a byte', 'half a head', 'one and a half', 'TLS'])
def test_those_who_send_half_a_head_hold_nobody_up(km, begun):
    with contextlib.ExitStack() as clients:
        for _ in range(MANY):
            clients.enter_context(connected(km)).sendall(begun)
        assert answered(km)


@pytest.mark.parametrize(('length', 'begun'), [
    ('Content-Length: 200', b'{'), ('Transfer-Encoding: chunked', b'5\r\n{'),
    ('Transfer-Encoding: chunked', b'2\r\n{}\r\n')])
def test_those_who_send_half_a_body_hold_nobody_up(km, length, begun):
    with contextlib.ExitStack() as clients:
        for _ in range(MANY):
            clients.enter_context(connected(km)).sendall(head(km, length) + begun)
        assert answered(km)


def test_a_request_that_comes_byte_by_byte_is_answered(km):
    sent = head(km, 'Content-Length: 2') + b'{}'
    with connected(km) as sock:
        for byte in sent:
            sock.sendall(bytes((byte,)))
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 201


def test_requests_sent_at_once_are_answered_in_turn(km):
    sent = head(km, 'Content-Length: 2') + b'{}'
    with connected(km) as sock:
        sock.sendall(sent * 3 + sent[:-1])
        received = b''
        while received.count(b'HTTP/1.1 201') < 4:
            if received.count(b'HTTP/1.1 201') == 3:  # the last one lacks a byte
                sock.sendall(sent[-1:])
            more = sock.recv(65536)
            assert more, received
            received += more


def test_who_asks_whether_to_send_a_body_is_told_to(km):
    with connected(km) as sock:
        sock.sendall(head(km, 'Content-Length: 2', 'Expect: 100-continue'))
        assert sock.recv(100).startswith(b'HTTP/1.1 100 ')
        sock.sendall(b'{}')
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 201
        assert json.load(answer)['secret_ref']


def test_a_head_without_end_is_refused(km):
    with connected(km) as sock, contextlib.suppress(OSError):
        sock.sendall(b'GET / HTTP/1.1\r\n' + b'X: x\r\n' * 6000)
        assert sock.recv(100)[:12] in (b'HTTP/1.1 431', b'')
