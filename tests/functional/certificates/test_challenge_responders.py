# SPDX-License-Identifier: Apache-2.0
"""Each kind of proof, looked at by a real authority (pebble), and in a real name server (BIND)."""
import contextlib
import ipaddress
import os
import time

import pytest

from km.interfaces import Challenge, Misconfigured, Rejected, Unavailable
from km.plugins.certificate_authority.acme.plugin import Acme
from km.plugins.challenge_responder.dns_01 import Dns01
from km.plugins.challenge_responder.http_01 import Http01
from km.plugins.challenge_responder.proof_folder import OLD_SECONDS
from km.plugins.challenge_responder.tls_alpn_01 import TlsAlpn01
from km.testing import MemoryKeyStore, open_authority, open_plugin
from tests.functional.certificates.acme_client import an_order, finished, names
from tests.functional.certificates.bind_server import KEY_NAME, run_bind, run_secondary
from tests.functional.certificates.pebble_server import run_pebble
from tests.functional.servers import HOST

_SECONDS = 10


@pytest.fixture(scope='module')
def bind(tmp_path_factory):
    with run_bind(tmp_path_factory.mktemp('bind')) as server:
        yield server


@pytest.fixture(scope='module')
def secondary(bind, tmp_path_factory):
    """A second name server of the zone, which has a change when it is told that there is one."""
    with run_secondary(tmp_path_factory.mktemp('bind-secondary'), bind) as server:
        yield server


@pytest.fixture(scope='module')
def pebble(bind, tmp_path_factory):
    with run_pebble(tmp_path_factory.mktemp('pebble'), dns_port=bind.port) as server:
        yield server


@pytest.fixture
def dns(bind, folder):
    """Opens a responder with options of its own; all have one folder."""
    (folder / 'dns').mkdir(mode=0o700)

    def open_for(**options):
        return open_plugin(Dns01, path=str(folder / 'dns'), **bind.options(**options))

    return open_for


@pytest.fixture
def issued(pebble, folder):
    """Has a certificate issued whose names a responder proves."""
    key_store = open_plugin(MemoryKeyStore)
    with contextlib.ExitStack() as opened:
        def issue(responder, *wanted, **given):
            acme = open_authority(
                Acme, key_stores={'soft': key_store}, responders={'one': responder},
                directory_url=pebble.directory_url, ca_file=str(pebble.ca_file), key_store='soft',
                connection=f'sqlite:///{folder}/acme.sqlite', terms_of_service_agreed=True)
            opened.callback(acme.close)
            return finished(acme, an_order(*wanted, **given))

        yield issue


def a_challenge(identifier, proof='token.one'):
    return Challenge(identifier=identifier, token='token', key_authorization=proof)


def eventually(true):
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(('kind', 'port'), [(Http01, 'http_port'), (TlsAlpn01, 'tls_port')])
def test_names_and_addresses_are_proved_by_a_listener_and_nothing_is_left(
        issued, pebble, folder, kind, port):
    responder = open_plugin(kind, path=str(folder), listen=f'{HOST}:{getattr(pebble, port)}')
    with contextlib.closing(responder):
        responder.check()
        before = set(os.listdir(folder))
        wanted = [f'{name}.{kind.kind}.test' for name in 'abc']
        assert names(issued(responder, *wanted, addresses=[ipaddress.ip_address(HOST)])) == wanted
    assert {name for name in set(os.listdir(folder)) - before if 'acme.sqlite' not in name} == set()


def test_a_wildcard_and_its_domain_are_two_values_of_one_name(issued, dns, bind):
    responder = dns()
    assert names(issued(responder, '*.wild.test', 'wild.test')) == ['*.wild.test', 'wild.test']
    assert bind.texts('_acme-challenge.wild.test') == []


def test_a_name_in_a_zone_of_somebody_else_is_proved_where_its_alias_leads(issued, dns, bind):
    assert names(issued(dns(zones=['test']), '*.alias.example')) == ['*.alias.example']
    assert names(issued(dns(), 'far.example')) == ['far.example']
    assert bind.texts('alias.proofs.test') == []


def test_two_values_come_and_go_by_themselves(dns, bind):
    responder, first, second = dns(), a_challenge('two.test'), a_challenge('two.test', 'token.two')
    assert [responder.present(first), responder.present(second)] == [0, 0]
    both = bind.texts('_acme-challenge.two.test')
    assert len(both) == 2
    responder.remove(first)
    left = bind.texts('_acme-challenge.two.test')
    assert len(left) == 1
    assert left[0] in both
    responder.remove(second)
    assert bind.texts('_acme-challenge.two.test') == []


def test_what_is_presented_or_removed_again_changes_nothing(dns, bind):
    responder, challenge = dns(), a_challenge('again.test')
    responder.present(challenge)
    serial = bind.serial()
    assert responder.present(challenge) == 0
    assert dns().present(challenge) == 0
    assert bind.serial() == serial
    responder.remove(challenge)
    serial = bind.serial()
    responder.remove(challenge)
    assert bind.serial() == serial


def test_a_record_is_removed_by_another_process_that_knows_nothing_of_it(dns, bind, folder):
    challenge = a_challenge('elsewhere.test')
    dns().present(challenge)
    (folder / 'other').mkdir(mode=0o700)
    open_plugin(Dns01, **bind.options(path=str(folder / 'other'))).remove(challenge)
    assert bind.texts('_acme-challenge.elsewhere.test') == []


def test_an_authority_is_not_told_before_every_name_server_has_the_record(dns, bind, secondary):
    responder, challenge = dns(authoritative=[bind.address, secondary.address]), a_challenge('slow.test')
    assert responder.present(challenge) > 0
    assert responder.present(challenge) > 0
    assert bind.texts('_acme-challenge.slow.test') != []
    secondary.notify()
    eventually(lambda: responder.present(challenge) == 0)
    responder.remove(challenge)


def test_a_name_server_that_says_nothing_has_no_record_and_costs_little_time(dns, bind, secondary):
    responder = dns(authoritative=[bind.address, secondary.address], timeout_seconds=0.3)
    with secondary.frozen():
        begin = time.monotonic()
        assert responder.present(a_challenge('silent.test')) > 0
        assert time.monotonic() - begin < 3
    responder.remove(a_challenge('silent.test'))


def test_while_the_name_server_says_nothing_nothing_can_be_proved(dns, bind):
    responder = dns(timeout_seconds=0.3)
    with bind.frozen():
        for call in (responder.present, responder.remove):
            with pytest.raises(Unavailable, match='does not answer'):
                call(a_challenge('down.test'))
        with pytest.raises(Unavailable, match='does not answer'):
            responder.check()


def test_what_was_left_long_ago_is_removed_at_start(dns, bind, folder):
    left, new = a_challenge('left.test'), a_challenge('new.test')
    responder = dns()
    responder.present(left)
    then = time.time() - OLD_SECONDS - 60
    for path in (folder / 'dns').iterdir():
        os.utime(path, (then, then))
    responder.present(new)
    dns()
    assert bind.texts('_acme-challenge.left.test') == []
    assert bind.texts('_acme-challenge.new.test') != []
    responder.remove(new)
    assert list((folder / 'dns').iterdir()) == []


def test_what_was_left_waits_while_there_is_no_name_server(dns, bind, folder):
    dns().present(a_challenge('waits.test'))
    then = time.time() - OLD_SECONDS - 60
    for path in (folder / 'dns').iterdir():
        os.utime(path, (then, then))
    with bind.down():
        dns()
    assert bind.texts('_acme-challenge.waits.test') != []
    dns()
    assert bind.texts('_acme-challenge.waits.test') == []


@pytest.mark.parametrize(('identifier', 'sentence'), [
    ('foreign.example', 'does not let km change example'), ('192.0.2.1', 'is none'),
    ('round.example', 'Too many aliases'), ('a..test', 'is none'), ('x' * 64 + '.test', 'is none')])
def test_what_cannot_be_proved_here_is_refused_and_not_remembered(dns, folder, identifier, sentence):
    with pytest.raises(Rejected, match=sentence):
        dns().present(a_challenge(identifier))
    assert list((folder / 'dns').iterdir()) == []


def test_a_name_in_no_zone_that_was_set_is_refused(dns):
    with pytest.raises(Rejected, match=r'no zone with _acme-challenge\.other\.example'):
        dns(zones=['test']).present(a_challenge('other.example'))


@pytest.mark.parametrize('name', ['another-key', KEY_NAME])
def test_a_key_that_the_server_does_not_take_is_told_and_not_shown(dns, folder, name):
    secret = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY='
    key_file = folder / 'key'
    key_file.touch(mode=0o600)
    key_file.write_text(f'hmac-sha256:{name}:{secret}')
    responder = dns(tsig_key_file=str(key_file))
    with pytest.raises(Misconfigured, match=r'\] tsig_key_file: .* does not take the key') as told:
        responder.check()
    with pytest.raises(Unavailable, match='does not take the key'):
        responder.present(a_challenge('key.test'))
    assert secret not in str(told.value)


def test_check_asks_for_each_zone(dns):
    assert f'answers to the key {KEY_NAME}' in dns().check()
    assert dns(zones=['test', 'example']).check().endswith('for the zones test, example')
    with pytest.raises(Misconfigured, match=r'\] zones: .* has no zone other\.test'):
        dns(zones=['test', 'other.test']).check()
