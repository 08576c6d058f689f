# SPDX-License-Identifier: Apache-2.0
"""When a request is there as a whole."""
import pytest

from km.cmd.gathering import whole

GET = b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
POST = b'POST / HTTP/1.1\r\nHost: x\r\n'
CHUNKED = POST + b'Transfer-Encoding: chunked\r\n\r\n'


@pytest.mark.parametrize('request_', [
    GET, GET + GET, POST + b'Content-Length: 2\r\n\r\n{}', POST + b'content-length:2\r\n\r\n{}GET',
    CHUNKED + b'2\r\n{}\r\n0\r\n\r\n', CHUNKED + b'1;a=b\r\n{\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n'])
def test_a_request_is_whole_when_its_body_has_come(request_):
    assert whole(request_)


@pytest.mark.parametrize('request_', [
    CHUNKED + b'zz\r\n', CHUNKED + b'-2\r\n', POST + b'Content-Length: many\r\n\r\n', b'\r\n\r\n',
    POST + b'Expect: 100-continue\r\nContent-Length: 9\r\n\r\n'])
def test_what_a_thread_must_judge_is_not_awaited(request_):
    assert whole(request_)


@pytest.mark.parametrize('request_', [
    GET, POST + b'Content-Length: 2\r\n\r\n{}', CHUNKED + b'2\r\n{}\r\n0\r\n\r\n',
    CHUNKED + b'2\r\n\r\n\r\n0\r\n\r\n', CHUNKED + b'5\r\n0\r\n\r\n\r\n0\r\n\r\n'])
def test_every_beginning_of_a_request_is_not_whole(request_):
    assert [length for length in range(len(request_)) if whole(request_[:length])] == []
