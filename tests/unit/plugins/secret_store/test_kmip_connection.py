# SPDX-License-Identifier: Apache-2.0
"""What a KMIP store makes of servers that are none, or no good ones; and what it says to any."""
import contextlib
import socket
import ssl
import threading
import time

import pytest
from kmip.core.enums import KMIPVersion, Operation, ResultReason, ResultStatus
from kmip.core.messages import contents, messages, payloads
from kmip.core.utils import BytearrayStream

from km.interfaces import StoreRequest, Unavailable
from km.plugins.secret_store import kmip_failures
from km.plugins.secret_store.kmip import Kmip
from km.plugins.secret_store.kmip_connection import Deadline, Speech
from km.testing import open_plugin
from tests.functional.certificates import Authority

HOST = '127.0.0.1'


@pytest.fixture
def files(folder):
    authority = Authority(folder)
    authority.server()
    authority.client('km')
    return folder


@contextlib.contextmanager
def listening(answer):
    """Listen on a port, and hand each connection to ``answer``; give the port."""
    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    answer(connection)

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def tls(files, answer, *, demand=None, version=ssl.TLSVersion.TLSv1_3):
    """``answer`` inside TLS; it gets what was asked, too.

    :param demand: the only authority that clients may have a certificate by.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / 'server.pem', files / 'server.key')
    context.maximum_version = version
    if demand:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(demand)

    def wrapped(connection):
        with context.wrap_socket(connection, server_side=True) as inside:
            answer(inside, inside.recv(2**16))

    return wrapped


def told(files, answer, **options):
    """What a store says of a server that answers so."""
    options = {'ca_file': f'{files}/ca.pem', 'certificate_file': f'{files}/km.pem',
               'key_file': f'{files}/km.key', 'timeout_seconds': 1, **options}
    with listening(answer) as port, pytest.raises(Unavailable) as failure:
        open_plugin(Kmip, hosts=[f'{HOST}:{port}'], **options)
    return failure.value.sentence


def test_what_does_not_speak_tls_is_told(files):
    assert told(files, lambda connection: connection.sendall(b'220 mail.example.org ready\r\n')) == (
        kmip_failures.NO_TLS)


def test_a_server_of_tls_1_1_is_told(files):
    def old(connection):
        connection.recv(2**16)
        connection.sendall(b'\x15\x03\x01\x00\x02\x02\x46')  # alert 70: protocol version

    assert told(files, old) == kmip_failures.NO_TLS


def test_a_server_that_hangs_up_in_the_handshake_is_told(files):
    assert told(files, lambda connection: connection.recv(2**16)) == kmip_failures.HUNG_UP_EARLY


def test_a_name_that_does_not_resolve_is_told(files):
    with pytest.raises(Unavailable, match='does not resolve'):
        open_plugin(Kmip, hosts=['no.such.host.invalid'], ca_file=f'{files}/ca.pem',
                    certificate_file=f'{files}/km.pem', key_file=f'{files}/km.key')


def test_a_refused_certificate_is_told_where_tls_1_3_tells_of_it_only_after_the_handshake(files, folder):
    (folder / 'other').mkdir()
    demand = Authority(folder / 'other', 'another CA').ca_file
    sentence = told(files, tls(files, lambda inside, asked: None, demand=demand))
    assert sentence.startswith(kmip_failures.WE_ARE_REFUSED)


def test_a_server_that_speaks_before_it_is_asked_is_none(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / 'server.pem', files / 'server.key')

    def early(connection):
        with context.wrap_socket(connection, server_side=True) as inside:
            inside.sendall(b'220 mail.example.org ready')
            inside.recv(2**16)

    # It depends on whether it was heard before it was asked.
    assert told(files, early) in (kmip_failures.HUNG_UP_EARLY, kmip_failures.NO_KMIP)


@pytest.mark.parametrize(('answer', 'sentence'), [
    (b'HTTP/1.1 400 Bad Request\r\n\r\n', kmip_failures.NO_KMIP),
    (b'\x42\x00\x7b\x01\xff\xff\xff\xff', kmip_failures.NO_KMIP),
    (b'\x42\x00\x7b\x01\x00\x00\x00\x08unmistak', kmip_failures.NO_KMIP),
    (b'\x42\x00\x7b\x01\x00\x00\x00\x08un', kmip_failures.HUNG_UP), (b'', kmip_failures.HUNG_UP)])
def test_what_does_not_speak_kmip_is_told_and_not_repeated(files, answer, sentence, caplog):
    caplog.set_level('DEBUG')
    assert told(files, tls(files, lambda inside, asked: inside.sendall(answer))) == sentence
    assert 'unmis' not in caplog.text


def test_a_server_that_sends_a_byte_now_and_then_does_not_outlast_the_deadline(files):
    def drip(inside, _asked):
        for byte in b'\x42\x00\x7b\x01\x00\x00\xff\xff' + bytes(100):
            inside.sendall(bytes([byte]))
            time.sleep(0.05)

    began = time.monotonic()
    assert told(files, tls(files, drip), timeout_seconds=0.5) == kmip_failures.NO_ANSWER
    assert time.monotonic() - began < 1


@pytest.mark.parametrize('number', [None, b'anothers'])
def test_a_request_that_is_refused_as_a_whole_is_told_with_the_reason_and_no_text_of_the_servers(
        files, number, caplog):
    answer = message((number, ResultStatus.OPERATION_FAILED, {
        'result_reason': contents.ResultReason(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL),
        'result_message': contents.ResultMessage('unmistakable')}))
    sentence = told(files, tls(files, lambda inside, asked: inside.sendall(answer)))
    assert sentence == (kmip_failures.ANOTHERS_ANSWER if number else
                        f'{kmip_failures.REFUSED} (AUTHENTICATION_NOT_SUCCESSFUL).')
    assert 'unmistakable' not in caplog.text + sentence


def no_such_object(request):
    """An answer to ``check`` as it should be."""
    discover, look_up = (item.unique_batch_item_id.value for item in request.batch_items)
    return message(
        (discover, ResultStatus.SUCCESS, {'operation': contents.Operation(Operation.DISCOVER_VERSIONS),
                                          'response_payload': payloads.DiscoverVersionsResponsePayload(
                                              [contents.ProtocolVersion(2, 0)])}),
        (look_up, ResultStatus.OPERATION_FAILED, {
            'result_reason': contents.ResultReason(ResultReason.ITEM_NOT_FOUND)}))


def message(*items):
    """A response of items: their number, or None; their status; and what else there is in each."""
    response = messages.ResponseMessage(
        response_header=messages.ResponseHeader(
            protocol_version=contents.ProtocolVersion(1, 4), time_stamp=contents.TimeStamp(0),
            batch_count=contents.BatchCount(len(items))),
        batch_items=[messages.ResponseBatchItem(
            unique_batch_item_id=contents.UniqueBatchItemID(number) if number else None,
            result_status=contents.ResultStatus(status), **more) for number, status, more in items])
    stream = BytearrayStream()
    response.write(stream, KMIPVersion.KMIP_1_4)
    return stream.buffer


def test_what_hangs_up_only_when_it_is_asked_is_asked_again_if_that_does_no_harm(files):
    asked = []

    def once(inside, request):
        """Answer the first request of each connection, and hang up at the second."""
        asked.append(request)
        inside.sendall(no_such_object(decoded(request)))
        asked.append(inside.recv(2**16))

    options = {'ca_file': f'{files}/ca.pem', 'certificate_file': f'{files}/km.pem',
               'key_file': f'{files}/km.key', 'protocol_version': '2.0'}
    with listening(tls(files, once)) as port:
        store = open_plugin(Kmip, hosts=[f'{HOST}:{port}'], **options)
        assert store.check()
        assert len(asked) == 3
        with pytest.raises(Unavailable, match='hung up in the middle'):
            store.store(StoreRequest(secret_id='a', project_id='b', payload=b'c'))
        store.close()
    assert len(asked) == 4


def test_every_request_tells_the_username_and_password_and_a_number_of_its_own(files):
    asked = []
    for _ in range(2):
        told(files, tls(files, lambda inside, request: asked.append(request)),
             username='km', password='unmistakable', protocol_version='2.0')
    requests = [decoded(request) for request in asked]
    header = requests[0].request_header
    value = header.authentication.credentials[0].credential_value
    assert (value.username, value.password) == ('km', 'unmistakable')
    assert (header.protocol_version.major, header.protocol_version.minor) == (2, 0)
    numbers = {request.batch_items[0].unique_batch_item_id.value for request in requests}
    assert len(numbers) == 2
    assert requests[0].batch_items[0].operation.value is Operation.DISCOVER_VERSIONS


def decoded(request):
    message = messages.RequestMessage()
    message.read(BytearrayStream(request), KMIPVersion.KMIP_2_0)
    return message


def test_a_password_is_in_no_repr():
    speech = Speech(version=KMIPVersion.KMIP_1_4, username='km', password='unmistakable')
    assert 'unmistakable' not in repr(speech)


def test_a_deadline_that_is_past_is_an_end_to_every_wait():
    with pytest.raises(TimeoutError):
        Deadline(0).left()
