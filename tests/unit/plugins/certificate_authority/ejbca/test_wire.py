# SPDX-License-Identifier: Apache-2.0
"""A call over HTTP: what is read of an answer, and what is not."""
import contextlib
import time

import pytest
import requests

from km.plugins.certificate_authority.ejbca import wire
from km.plugins.certificate_authority.ejbca.failures import NoAnswer
from tests.unit.plugins.certificate_authority.acme.fake_server import FakeServer

MOST = 65536


@pytest.fixture
def server(folder):
    with FakeServer(folder).running() as server:
        yield server


def sent(server, seconds=5):
    session = wire.session(server.ca_file, None)
    with contextlib.closing(session):
        return wire.send(session, requests.Request('GET', f'{server.url}/x'), name='blue',
                         seconds=seconds, most_bytes=MOST)


@pytest.mark.parametrize('status', [200, 302, 404])
def test_no_more_is_read_than_is_wanted_whatever_the_status_is(server, status):
    written = []

    def endless(file):
        file = file.raw  # unbuffered: nothing is left to be written to who is gone
        file.write(f'HTTP/1.1 {status} x\r\nLocation: {server.url}/y\r\n\r\n'.encode())
        with contextlib.suppress(OSError):
            for _ in range(20 * 2 ** 20 // MOST):
                file.write(bytes(MOST))
                written.append(MOST)

    server.says('/x', (200, endless, {}))
    with pytest.raises(NoAnswer, match='does not answer') as told:
        sent(server)
    assert told.value.operators == 'The answer of EJBCA is longer than km reads.'
    assert sum(written) < 18 * 2 ** 20


@pytest.mark.parametrize('begun', [
    b'', b'HTTP/1.1 2', b'HTTP/1.1 200 OK\r\n', b'HTTP/1.1 200 OK\r\n\r\n'])
def test_an_answer_that_drips_is_too_slow_wherever_it_does(server, begun):
    def dripping(file):
        file = file.raw
        file.write(begun)
        with contextlib.suppress(OSError):
            for _ in range(50):
                file.write(b'0')
                time.sleep(0.1)

    server.says('/x', (200, dripping, {}))
    began = time.monotonic()
    with pytest.raises(NoAnswer) as told:
        sent(server, seconds=0.5)
    assert time.monotonic() - began < 3
    assert told.value.operators == 'EJBCA did not answer within http_timeout_seconds.'
    assert told.value.retry_after_seconds == 5


@pytest.mark.parametrize('place', ['https://[', '//', '/y', 'ftp://a.test/', '\xe4'])
def test_a_redirection_is_an_answer_wherever_it_leads(server, place):
    server.says('/x', (302, b'', {'Location': place}))
    assert sent(server).status == 302
    assert [path for _, path, *_ in server.asked] == ['/x']
