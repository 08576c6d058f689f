# SPDX-License-Identifier: Apache-2.0
"""``/pki``: what strangers are told, how often the worker is asked for it, and what is refused."""
import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from io import BytesIO

import pytest
from webob import Request

from km.api.authentication import Doors
from km.api.faults import Faults
from km.api.publication import Publication
from km.errors import Unavailable
from tests.authority_in_full import hosted

CRL, CERTIFICATE, OCSP = '/pki/ours/memory.crl', '/pki/ours/memory.crt', '/pki/ours/memory/ocsp'
REQUEST = b'0\xff\xfe\xfb an OCSP request \xff'
IN_PATH = f'{OCSP}/{base64.b64encode(REQUEST).decode()}'


@pytest.fixture
def authority(house, clock):
    """An authority that publishes, in a km that has it."""
    authority = hosted('ours')
    authority.guest.memory.clock = clock
    house.registry.authorities['ours'] = authority
    return authority


@pytest.fixture
def asked(authority):
    """What the authority was asked, in order."""
    return authority.guest.asked


@pytest.fixture
def publish(house, authority):
    """Makes the app with some limits, behind the doors, and gives what asks it."""
    def made(**limits):
        app = Faults(Doors({}, guarded=None, counted=None, max_body_bytes=25000, open_below={
            'pki': Publication(house.worker, clock=house.clock, **limits)}))

        def ask(path, method='GET', body=None, **headers):
            request = Request.blank(path, method=method)
            if body is not None:
                request.body = body
                request.content_type = 'application/ocsp-request'
            for name, value in headers.items():
                request.headers[name.replace('_', '-')] = value
            return request.get_response(app)

        return ask
    return made


@pytest.fixture
def ask(publish):
    return publish()


def date(response, name):
    return parsedate_to_datetime(response.headers[name]).strftime('%Y-%m-%d %H:%M:%S')


def test_a_crl_is_told_with_all_that_caches_need(ask):
    told = ask(CRL)
    assert (told.status_int, told.content_type, told.charset) == (200, 'application/pkix-crl', None)
    assert told.body == b'crl of 2030-01-01 12:00:00.123456'
    assert (date(told, 'Last-Modified'), date(told, 'Expires')) == (
        '2030-01-01 12:00:00', '2030-01-01 13:00:00')
    assert (told.cache_control.public, told.cache_control.must_revalidate,
            told.cache_control.max_age) == (True, True, 60)
    assert told.content_length == len(told.body)


def test_a_delta_crl_and_the_issuers_certificate_are_told(ask, authority):
    told = ask('/pki/ours/memory-delta.crl')
    assert (told.content_type, told.body[:5]) == ('application/pkix-crl', b'delta')
    told = ask(CERTIFICATE)
    assert told.content_type == 'application/pkix-cert'
    assert told.body == authority.guest.memory.issuers['memory'].der
    assert told.cache_control.max_age == 60


@pytest.mark.parametrize('path', [CRL, CERTIFICATE, IN_PATH])
def test_who_has_it_already_is_not_sent_it_again(ask, path):
    told = ask(path)
    again = ask(path, If_None_Match=told.headers['ETag'])
    assert (again.status_int, again.body, again.headers['ETag']) == (304, b'', told.headers['ETag'])
    assert ask(path, If_None_Match='"another"').status_int == 200
    assert ask(path, If_Modified_Since=told.headers['Last-Modified']).status_int == 304


@pytest.mark.parametrize('path', [CRL, CERTIFICATE, IN_PATH])
def test_head_is_told_the_same_without_the_body(ask, path):
    told, head = ask(path), ask(path, 'HEAD')
    assert (head.status_int, head.body) == (200, b'')
    assert dict(head.headers) == dict(told.headers)


@pytest.mark.parametrize('path', [CRL, CERTIFICATE, IN_PATH])
def test_what_was_told_a_moment_ago_is_told_again_without_asking(ask, asked, clock, path):
    first = ask(path)
    clock.forward(seconds=59)
    assert ask(path).body == first.body
    assert len(asked) == 1
    clock.forward(seconds=1)
    ask(path)
    assert len(asked) == 2


@pytest.mark.parametrize('path', [CRL, IN_PATH])
def test_nothing_is_told_again_once_it_has_ended_by_itself(ask, asked, authority, clock, path):
    authority.guest.holds *= 0.005  # 18 seconds
    told = ask(path)
    assert told.cache_control.max_age == 18
    clock.forward(seconds=18)
    assert ask(path).body != told.body
    assert len(asked) == 2


def test_an_ocsp_request_is_answered_from_a_body_and_from_the_path(ask, asked):
    posted = ask(OCSP, 'POST', REQUEST)
    assert (posted.status_int, posted.content_type) == (200, 'application/ocsp-response')
    assert posted.body.startswith(REQUEST)
    assert posted.headers['Cache-Control'] == 'no-store'
    got = ask(IN_PATH)
    assert (got.status_int, got.content_type, got.body) == (200, posted.content_type, posted.body)
    assert (got.cache_control.max_age, got.cache_control.public, got.cache_control.no_transform,
            got.cache_control.must_revalidate) == (3600, True, True, True)
    assert date(got, 'Expires') == '2030-01-01 13:00:00'
    assert asked == [('ocsp', 'memory')]


def test_base64_in_a_path_may_have_slashes_and_come_after_two_of_them(ask):
    request = bytes(range(240, 256)) * 3
    encoded = base64.b64encode(request).decode()
    assert '/' in encoded
    for path in (f'{OCSP}/{encoded}', f'{OCSP}//{encoded}', f'{OCSP}/{encoded.replace("/", "%2F")}',
                 f'{OCSP}/{encoded.replace("+", "%2B").replace("=", "%3D")}'):
        assert ask(path).body.startswith(request), path


@pytest.mark.parametrize('how', ['POST', 'GET'])
def test_an_answer_that_is_for_one_alone_is_never_told_again(ask, asked, how):
    request = b'with a nonce'
    path = f'{OCSP}/{base64.b64encode(request).decode()}'
    for _ in range(2):
        told = ask(path) if how == 'GET' else ask(OCSP, 'POST', request)
        assert told.headers['Cache-Control'] == 'no-store'
        assert not {'ETag', 'Expires', 'Last-Modified'} & set(told.headers)
    assert len(asked) == 2


@pytest.mark.parametrize('path', [
    '/pki', '/pki/', '/pki/ours', '/pki/ours/', '/pki/ours/memory', '/pki/ours/memory.pem',
    '/pki/ours/memory.crl/more', '/pki/ours/none.crl', '/pki/ours/none.crt', '/pki/theirs/memory.crl',
    '/pki//memory.crl', '/pki/ours/.crl', '/pki/ours/memory/ocspx', '/pki/ours/caf%C3%A9.crl',
    '/pki/ours/' + 'x' * 300 + '.crl', '/pki/ours/a%00b.crl', '/pki/ours/none/ocsp/MFA='])
def test_what_is_not_there_is_not_found(ask, path):
    told = ask(path)
    assert (told.status_int, told.json['code']) == (404, 404)


def test_an_authority_that_publishes_nothing_has_nothing(ask, authority):
    authority._abilities = {}
    authority.guest.__class__ = type(authority.guest).__mro__[1]
    assert ask(CRL).status_int == 404


@pytest.mark.parametrize(('path', 'method', 'allowed'), [
    (CRL, 'POST', 'GET, HEAD'), (CERTIFICATE, 'DELETE', 'GET, HEAD'), (OCSP, 'GET', 'POST'),
    (IN_PATH, 'POST', 'GET, HEAD')])
def test_other_methods_are_refused(ask, path, method, allowed):
    told = ask(path, method)
    assert (told.status_int, told.headers['Allow']) == (405, allowed)


def test_a_request_must_be_one_and_of_some_length(ask, asked):
    assert ask(OCSP, 'POST', REQUEST, Content_Type='text/plain').status_int == 415
    assert ask(OCSP, 'POST', b'').status_int == 400
    assert ask(OCSP, 'POST', b'x' * (16 * 1024 + 1)).status_int == 413
    assert ask(OCSP, 'POST', b'x' * 30000).status_int == 413
    assert ask(f'{OCSP}/{"M" * 30000}').status_int == 413
    for text in ('no%20base64', 'MFA', 'M-A_', 'MFA=MFA=', 'caf%C3%A9='):
        assert ask(f'{OCSP}/{text}').status_int == 400, text
    assert asked == []


def test_a_body_in_chunks_is_read_no_further_than_it_may_be_long(house, authority):
    app = Faults(Publication(house.worker, clock=house.clock))

    def post(body, **environ):
        request = Request.blank(OCSP, method='POST', content_type='application/ocsp-request')
        request.environ.pop('CONTENT_LENGTH', None)
        request.environ.update({'wsgi.input': BytesIO(body), **environ})
        return request.get_response(app).status_int, request.environ['wsgi.input'].tell()

    terminated = {'wsgi.input_terminated': True}
    assert post(REQUEST, **terminated) == (200, len(REQUEST))
    assert post(b'x' * 100000, **terminated) == (413, 16 * 1024 + 1)
    assert post(REQUEST) == (400, 0), 'who can say where it ends?'
    assert post(REQUEST[:5], CONTENT_LENGTH=str(len(REQUEST)))[0] == 400


def test_an_authority_that_is_down_is_a_503_and_is_asked_again(ask, asked, authority):
    authority.guest.fail = {('crl', 'before'): Unavailable('Down.')}
    for _ in range(2):
        told = ask(CRL)
        assert (told.status_int, told.headers['Retry-After']) == (503, '5')
    assert len(asked) == 2
    authority.guest.fail = {}
    assert ask(CRL).status_int == 200


def test_an_answer_in_memory_is_told_while_the_authority_is_down(ask, authority, clock):
    first = ask(CRL)
    authority.guest.fail = {('crl', 'before'): Unavailable('Down.')}
    assert ask(CRL).body == first.body
    clock.forward(minutes=1)
    assert ask(CRL).status_int == 503


def test_of_many_who_ask_the_same_at_once_one_makes_the_worker_work(publish, asked):
    ask = publish(at_once=6)
    with ThreadPoolExecutor(6) as threads:
        told = set(threads.map(lambda _: (ask(CRL).status_int, ask(CRL).body), range(6)))
    assert told == {(200, b'crl of 2030-01-01 12:00:00.123456')}
    assert len(asked) == 1


def test_strangers_cannot_take_all_threads_by_asking_what_takes_long(publish, authority):
    ask, begun, end = publish(at_once=2), threading.Semaphore(0), threading.Event()
    tell = authority.guest.ocsp

    def slow(request):
        begun.release()
        end.wait(10)
        return tell(request)

    assert ask(CRL).status_int == 200
    authority.guest.ocsp = slow
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(ask, OCSP, 'POST', body) for body in (b'one', b'two')]
        assert begun.acquire(timeout=10)
        assert begun.acquire(timeout=10)
        assert ask(OCSP, 'POST', b'three').status_int == 503
        assert ask(CRL).status_int == 200, 'what is in memory takes no place'
        end.set()
        assert [told.result().status_int for told in waiting] == [200, 200]
    assert ask(OCSP, 'POST', b'three').status_int == 200


def test_strangers_cannot_make_the_worker_sign_without_end(publish, asked):
    ask = publish(each_second=3)
    told = [ask(OCSP, 'POST', f'request {number}'.encode()).status_int for number in range(20)]
    assert told[:3] == [200] * 3
    assert told.count(503) >= 10
    assert len(asked) == told.count(200)
    assert ask(OCSP, 'POST', b'request 0').status_int == 200


def test_the_memory_is_bounded_and_keeps_what_is_asked_for(publish, asked):
    ask = publish(most_bytes=5000, each_second=1000)
    ask(CRL)
    for number in range(20):
        ask(OCSP, 'POST', f'request {number}'.encode())
        ask(CRL)
    assert asked.count(('crl', 'memory')) == 1
    ask(OCSP, 'POST', b'request 0')
    assert asked.count(('ocsp', 'memory')) == 21


def test_what_is_open_below_a_name_is_open_below_it_alone(publish):
    ask = publish()
    for path in ('/pkix/ours/memory.crl', '/v2/pki/ours/memory.crl', '/PKI/ours/memory.crl'):
        assert ask(path).status_int == 404
    assert ask('/pki/ours/memory.crl', 'OPTIONS').status_int == 200
