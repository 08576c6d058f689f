# SPDX-License-Identifier: Apache-2.0
"""TXT records for dns-01: options, and name servers that are none, or no good ones.

What a good one does is in ``tests/functional/certificates/test_challenge_responders.py``.
"""
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rrset
import dns.tsig
import pytest

from km.interfaces import Challenge, Misconfigured, Rejected, Unavailable
from km.plugins.challenge_responder import dns_places
from km.plugins.challenge_responder.dns_01 import Dns01
from km.testing import open_plugin

HOST = '127.0.0.1'
SECRET = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY='
KEY = dns.tsig.Key('acme-key', SECRET)
CHALLENGE = Challenge(identifier='a.test', token='token', key_authorization='token.one')
#: Its value (RFC 8555, 8.4), as openssl and basenc make it: SHA-256 of ``token.one``, base64url.
VALUE = '2ac27rcP3UC9RbkckOFR0pcST8p0WRYLaSaNWujlnhU'


class FakeServer:
    """A name server of the zone test, over TCP and UDP, that a test can spoil.

    `records` are TXT values by name; `spoil` changes an answer (or gives bytes, or None for none).
    """

    def __init__(self, port):
        self.port, self.records, self.seen = port, {}, []
        self.spoil = lambda question, answer: answer
        self.servers = ['ns.test.']

    def answer(self, wire):
        question = dns.message.from_wire(wire, keyring={KEY.name: KEY})
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        self.seen.append(question)
        if question.opcode() == dns.opcode.UPDATE:
            for change in question.update:
                values = self.records.setdefault(change.name.to_text(), set())
                value = change[0].strings[0].decode()
                (values.discard if change.deleting else values.add)(value)
        else:
            self._look_up(question.question[0], answer)
        answer = self.spoil(question, answer)
        return answer.to_wire() if isinstance(answer, dns.message.Message) else answer

    def _look_up(self, asked, answer):
        name = asked.name.to_text()
        found = {'TXT': [f'"{value}"' for value in self.records.get(name, ())],
                 'NS': self.servers if name == 'test.' else [],
                 'A': [HOST] if name == 'ns.test.' else [],
                 'SOA': ['ns.test. x.test. 1 60 60 60 60'] if name == 'test.' else []
                 }.get(dns.rdatatype.to_text(asked.rdtype), [])
        if found:
            answer.answer.append(dns.rrset.from_text(name, 60, 'IN', asked.rdtype, *found))
        else:
            answer.authority.append(dns.rrset.from_text(
                'test.', 60, 'IN', 'SOA', 'ns.test. x.test. 1 60 60 60 60'))


@pytest.fixture
def server():
    with contextlib.ExitStack() as closing:
        tcp = closing.enter_context(socket.create_server((HOST, 0)))
        udp = closing.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(tcp.getsockname())
        fake = FakeServer(tcp.getsockname()[1])
        threads = [threading.Thread(target=one, args=(made, fake), daemon=True)
                   for one, made in ((over_tcp, tcp), (over_udp, udp))]
        for thread in threads:
            thread.start()
        yield fake
        tcp.shutdown(socket.SHUT_RDWR)
        udp.sendto(b'', udp.getsockname())
        for thread in threads:
            thread.join(5)


def over_tcp(listener, fake):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError, dns.exception.DNSException):
                length = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), 'big')
                answer = fake.answer(connection.recv(length, socket.MSG_WAITALL))
                if answer is None:
                    time.sleep(0.5)
                else:
                    connection.sendall(len(answer).to_bytes(2, 'big') + answer)


def over_udp(endpoint, fake):
    while True:
        wire, asker = endpoint.recvfrom(4096)
        if not wire:
            return
        answer = fake.answer(wire)
        if answer is not None:
            endpoint.sendto(answer, asker)


@pytest.fixture
def key_file(folder):
    path = folder / 'key'
    path.touch(mode=0o600)
    path.write_text(f'hmac-sha256:acme-key:{SECRET}')
    return path


@pytest.fixture
def opened(server, folder, key_file):
    (folder / 'proofs').mkdir(mode=0o700)

    def open_for(**options):
        address = f'{HOST}:{server.port}'
        return open_plugin(Dns01, **{
            'path': str(folder / 'proofs'), 'server': address, 'tsig_key_file': str(key_file),
            'authoritative': [address], 'resolvers': [address], 'timeout_seconds': 0.3, **options})

    return open_for


@pytest.fixture
def port_of_name_servers(server, monkeypatch):
    """Have every name server that an NS record names at the port of ours."""
    monkeypatch.setattr(dns_places, 'DNS_PORT', server.port)


def test_the_value_is_added_signed_and_removed_alone(opened, server):
    server.records['_acme-challenge.a.test.'] = {'of-another-order'}
    responder = opened()
    assert responder.present(CHALLENGE) == 0
    assert server.records == {'_acme-challenge.a.test.': {'of-another-order', VALUE}}
    responder.remove(CHALLENGE)
    assert server.records == {'_acme-challenge.a.test.': {'of-another-order'}}
    changes = [asked for asked in server.seen if asked.opcode() == dns.opcode.UPDATE]
    assert len(changes) == 2
    assert all(asked.had_tsig for asked in changes)


def test_every_server_that_the_zone_names_is_asked(opened, server, port_of_name_servers):
    assert opened(authoritative=[]).present(CHALLENGE) == 0
    server.servers = ['ns.test.', 'gone.test.']
    assert opened(authoritative=[], poll_seconds=7).present(CHALLENGE) == 7


def test_a_zone_that_names_no_server_cannot_be_looked_at(opened, server):
    server.servers = []
    with pytest.raises(Unavailable, match='names no server of test'):
        opened(authoritative=[]).present(CHALLENGE)


def without_signature(question, answer):
    unsigned = dns.message.make_query(question.question[0].name, question.question[0].rdtype)
    unsigned.id = question.id
    return dns.message.make_response(unsigned)


def of_another_key(question, answer):
    answer.use_tsig(dns.tsig.Key('acme-key', b'x' * 32))
    return answer


def with_error(code):
    def spoil(question, answer):
        answer.use_tsig(KEY, tsig_error=code)
        return answer
    return spoil


@pytest.mark.parametrize(('spoil', 'sentence'), [
    (lambda question, answer: None, 'does not answer'),
    (lambda question, answer: b'', 'answer'), (lambda question, answer: b'\0' * 11, 'answer'),
    (lambda question, answer: b'\xff' * 600, 'answer'),
    (lambda question, answer: dns.message.make_response(dns.message.make_query('x.', 'A')).to_wire(),
     'answer'),
    (without_signature, 'gave an answer that is none'), (of_another_key, 'does not take the key'),
    (with_error(dns.rcode.BADTIME), 'clocks of km .* differ'),
    (with_error(dns.rcode.BADKEY), 'does not take the key')])
def test_whoever_is_not_the_name_server_is_not_believed(opened, server, spoil, sentence):
    server.spoil = spoil
    responder = opened()
    begin = time.monotonic()
    for call in (responder.present, responder.remove):
        with pytest.raises(Unavailable, match=sentence) as told:
            call(CHALLENGE)
        assert SECRET not in str(told.value)
    assert time.monotonic() - begin < 3
    assert server.records == {}


def refusing(code, opcode=dns.opcode.UPDATE):
    def spoil(question, answer):
        if question.opcode() == opcode:
            answer.set_rcode(code)
        return answer
    return spoil


def test_a_record_that_belongs_elsewhere_now_is_moved(opened, server, folder):
    opened(zones=['test']).present(CHALLENGE)
    server.seen.clear()
    opened(zones=['a.test']).present(CHALLENGE)
    changes = [asked for asked in server.seen if asked.opcode() == dns.opcode.UPDATE]
    assert [asked.zone[0].name.to_text() for asked in changes] == ['test.', 'a.test.']
    assert server.records == {'_acme-challenge.a.test.': {VALUE}}
    assert len(os.listdir(folder / 'proofs')) == 1


@pytest.mark.parametrize('code', [dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE])
def test_an_update_that_is_refused_is_refused(opened, server, folder, code):
    server.spoil = refusing(code)
    with pytest.raises(Rejected, match=f'does not let km change test .{dns.rcode.to_text(code)}'):
        opened().present(CHALLENGE)
    assert os.listdir(folder / 'proofs') == []


def test_an_update_that_fails_may_work_later(opened, server, folder):
    server.spoil = refusing(dns.rcode.SERVFAIL)
    responder = opened()
    with pytest.raises(Unavailable, match=r'failed to change test \(SERVFAIL\)'):
        responder.present(CHALLENGE)
    assert len(os.listdir(folder / 'proofs')) == 1  # it may have worked
    server.spoil = refusing(dns.rcode.REFUSED)
    with pytest.raises(Unavailable, match='does not let km'):
        responder.remove(CHALLENGE)
    server.spoil = lambda question, answer: answer
    assert responder.present(CHALLENGE) == 0


def test_a_server_that_fails_to_say_where_a_name_is_may_say_later(opened, server):
    server.spoil = refusing(dns.rcode.SERVFAIL, dns.opcode.QUERY)
    with pytest.raises(Unavailable, match='SERVFAIL'):
        opened().present(CHALLENGE)


def test_what_was_remembered_in_vain_is_left_alone(opened, server, folder):
    (folder / 'proofs' / 'x.json').write_text('{"zone": 1}')
    (folder / 'proofs' / 'y.json').write_text('not JSON')
    (folder / 'proofs' / 'z.json').write_text(
        '{"zone": "test.", "name": "a.test.", "value": "evil\\" 60 IN A 192.0.2.1"}')
    for path in (folder / 'proofs').iterdir():
        os.utime(path, (0, 0))
    opened()
    assert server.seen == []


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'path': '/nowhere/at/all'}, 'path: /nowhere/at/all cannot be used'),
    ({'server': 'a.test:port'}, "server: 'a.test:port' is no host or host:port"),
    ({'server': 'a..test'}, "server: 'a..test' is no host"),
    ({'server': ''}, "server: '' is no host"), ({'zones': ['a..test']}, 'zones: one of them is no name'),
    ({'authoritative': ['::1:53']}, "authoritative: '::1:53' is no host"),
    ({'resolvers': ['a.test']}, 'resolvers: one of them is no IP address'),
    ({'tsig_key_file': '/nowhere'}, 'tsig_key_file: /nowhere cannot be read')])
def test_an_option_that_cannot_work_is_named(opened, options, sentence):
    with pytest.raises(Misconfigured, match=rf'^\[challenge_responder:plugin\] {sentence}'):
        opened(**options)


def test_a_server_without_an_address_is_told(opened):
    with pytest.raises(Unavailable, match=r'no-such\.invalid has no address'):
        opened(server='no-such.invalid').present(CHALLENGE)


def test_a_name_is_a_name_whatever_is_loaded_after_it():
    """oslo.messaging brings eventlet, which would bring a dnspython of its own."""
    program = ('import sys, km.plugins.challenge_responder.dns_01; before = sys.modules["dns.name"];'
               'import oslo_messaging; assert sys.modules["dns.name"] is before')
    subprocess.run([sys.executable, '-W', 'ignore', '-c', program], check=True, timeout=60)
