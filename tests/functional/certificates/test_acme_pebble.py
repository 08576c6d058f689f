# SPDX-License-Identifier: Apache-2.0
"""Certificates of a real ACME authority: pebble, in strict mode."""
import contextlib
import ipaddress
import os

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import NotSupported, PendingOrder, Rejected, RevokeRequest, Unavailable
from km.plugins.certificate_authority.acme.plugin import Acme
from km.plugins.challenge_responder.http_01 import Http01
from km.plugins.challenge_responder.tls_alpn_01 import TlsAlpn01
from km.testing import MemoryKeyStore, open_authority, open_plugin
from tests.functional.certificates.acme_client import (
    MockDnsResponder,
    again,
    an_order,
    certificate,
    csr,
    finished,
    names,
)
from tests.functional.certificates.pebble_server import run_mock_dns, run_pebble
from tests.functional.servers import HOST

EAB_KEY = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'


@pytest.fixture(scope='module')
def dns(tmp_path_factory):
    with run_mock_dns(tmp_path_factory.mktemp('mock-dns')) as server:
        yield server


@pytest.fixture(scope='module')
def pebble(dns, tmp_path_factory):
    """A pebble with three roots to choose from."""
    with run_pebble(tmp_path_factory.mktemp('pebble'), dns_port=dns.dns_port, alternate_roots=2,
                    chain_length=2) as server:
        yield server


@pytest.fixture(scope='module')
def strict_pebble(dns, tmp_path_factory):
    """A pebble that registers accounts for holders of an external one alone."""
    with run_pebble(tmp_path_factory.mktemp('pebble-eab'), dns_port=dns.dns_port,
                    eab={'kid-1': EAB_KEY}) as server:
        yield server


@pytest.fixture
def key_store():
    return open_plugin(MemoryKeyStore)


@pytest.fixture
def responder(dns):
    return MockDnsResponder(dns)


@pytest.fixture
def opened(folder, key_store, responder):
    """Opens the plugin for a pebble; all that a test opens have one database and one key store."""
    with contextlib.ExitStack() as opened:
        def open_for(server, responders=None, key_stores=None, **options):
            authority = open_authority(
                Acme, key_stores=key_stores or {'soft': key_store},
                responders=responders or {'dns': responder},
                **{'directory_url': server.directory_url, 'ca_file': str(server.ca_file),
                   'key_store': 'soft', 'connection': f'sqlite:///{folder}/acme.sqlite',
                   'terms_of_service_agreed': True, **options})
            opened.callback(authority.close)
            return authority

        yield open_for


@pytest.fixture
def acme(opened, pebble):
    return opened(pebble)


def signing_keys(key_store):
    return len(key_store._signing_keys)


def key_file(folder, key):
    path = folder / 'eab'
    path.touch(mode=0o600)
    path.write_text(key)
    return str(path)


def verified(issued, root):
    """Verify a chain up to a root, with cryptography's verifier of servers."""
    above = [x509.load_der_x509_certificate(one) for one in issued.chain]
    verifier = x509.verification.PolicyBuilder().store(
        x509.verification.Store([root])).build_server_verifier(x509.DNSName(names(issued)[0]))
    return verifier.verify(certificate(issued), above)


def test_a_certificate_is_issued_with_its_chain_and_the_proofs_are_gone(acme, pebble, dns):
    order = an_order('www.one.test', 'one.test')
    issued = finished(acme, order)
    assert names(issued) == ['one.test', 'www.one.test']
    assert certificate(issued).public_key() == x509.load_der_x509_csr(order.csr).public_key()
    assert len(issued.chain) == 2
    assert verified(issued, pebble.roots()[0])
    assert dns.txt == {}


def test_an_order_that_was_issued_gives_the_same_certificate_again(acme, pebble):
    order, before = an_order('same.test'), len(pebble.issued())
    begun = acme.issue(order)
    first = finished(acme, order, begun)
    assert acme.poll(PendingOrder(order=order, reference=begun.reference)) == first
    assert len(pebble.issued()) == before + 1


def test_a_wildcard_and_its_domain_are_proved_together(acme):
    assert names(finished(acme, an_order('*.wild.test', 'wild.test'))) == ['*.wild.test', 'wild.test']


@pytest.mark.parametrize('common_name', ['A.cn.test', 'A service of ours'])
def test_a_common_name_is_no_other_name(acme, common_name):
    assert names(finished(acme, an_order('a.cn.test', common_name=common_name))) == ['a.cn.test']


def test_a_proof_is_not_told_of_before_it_is_visible(acme, responder):
    responder.waits = [7, 5]
    order = an_order('slow.test')
    pending = acme.issue(order)
    for seconds in (7, 5):
        pending = acme.poll(PendingOrder(order=order, reference=pending.reference))
        assert pending.poll_after_seconds == seconds
    assert names(finished(acme, order, pending)) == ['slow.test']


def test_addresses_are_proved_by_http_01_and_names_by_what_comes_first(opened, pebble, folder):
    proofs = folder / 'proofs', folder / 'shown'
    for one in proofs:
        one.mkdir(mode=0o700)
    http = open_plugin(Http01, path=str(proofs[0]), listen=f'{HOST}:{pebble.http_port}')
    alpn = open_plugin(TlsAlpn01, path=str(proofs[1]), listen=f'{HOST}:{pebble.tls_port}')
    with contextlib.closing(http), contextlib.closing(alpn):
        acme = opened(pebble, {'http': http, 'alpn': alpn})
        issued = finished(acme, an_order('mixed.test', addresses=[ipaddress.ip_address(HOST)]))
        assert names(issued) == ['mixed.test']
        assert names(finished(opened(pebble, {'alpn': alpn}), an_order('alpn.test'))) == ['alpn.test']
    assert [os.listdir(one) for one in proofs] == [[], []]


def test_a_responder_that_does_not_take_a_name_leaves_it_to_the_next(opened, pebble, dns, responder):
    reluctant = MockDnsResponder(dns)
    reluctant.refuses = {'other.test'}
    acme = opened(pebble, {'reluctant': reluctant, 'dns': responder})
    assert names(finished(acme, an_order('other.test'))) == ['other.test']


def test_a_name_that_no_responder_takes_is_refused_with_its_reason(acme, responder, dns):
    responder.refuses = {'foreign.test'}
    with pytest.raises(Rejected, match=r'can prove foreign.test.*foreign.test is not in the zone'):
        finished(acme, an_order('foreign.test'))
    assert dns.txt == {}


def test_a_blocked_name_is_refused_with_the_reason(acme):
    with pytest.raises(Rejected, match=r'blocked\.test.*\(rejectedIdentifier\)'):
        acme.issue(an_order('blocked.test'))


def test_a_proof_that_is_not_found_is_the_reason_of_the_failure(acme, responder, dns, monkeypatch):
    monkeypatch.setattr(responder, 'present', lambda challenge: 0)
    with pytest.raises(Rejected, match=r'absent\.test: .*\(unauthorized\)'):
        finished(acme, an_order('absent.test'))
    assert dns.txt == {}


def test_a_name_whose_dns_fails_is_the_reason_of_the_failure(acme, dns):
    dns.fail('_acme-challenge.broken.test')
    try:
        with pytest.raises(Rejected, match=r'failed at the authority: broken\.test: .*DNS'):
            finished(acme, an_order('broken.test'))
    finally:
        dns.succeed('_acme-challenge.broken.test')
    assert dns.txt == {}


def test_what_acme_cannot_certify_is_refused_before_the_authority_is_asked(acme):
    with pytest.raises(NotSupported):
        acme.issue(an_order('a.test', profile='no-such'))
    with pytest.raises(NotSupported):
        acme.issue(an_order('a.test', details={'colour': 'blue'}))


def test_a_wildcard_without_a_responder_for_dns_01_is_refused(opened, pebble, folder):
    with pytest.raises(Rejected, match='dns-01'):
        opened(pebble, {'http': open_plugin(Http01, path=str(folder))}).issue(an_order('*.wild.test'))


@pytest.mark.parametrize('percent', [15, 50])
def test_nonces_may_be_refused_often(opened, dns, folder, percent):
    with run_pebble(folder, dns_port=dns.dns_port, bad_nonces=percent) as pebble:
        acme = opened(pebble)
        for number in range(10):
            assert names(finished(acme, an_order(f'n{number}.test'))) == [f'n{number}.test']
        assert len(pebble.issued()) == 10


def test_an_external_account_is_bound(opened, strict_pebble, folder):
    acme = opened(strict_pebble, eab_key_id='kid-1', eab_key_file=key_file(folder, EAB_KEY))
    assert names(finished(acme, an_order('eab.test'))) == ['eab.test']


@pytest.mark.parametrize(('options', 'kind'), [
    ({}, 'externalAccountRequired'), ({'eab_key_id': 'kid-1'}, 'unauthorized'),
    ({'eab_key_id': 'kid-2'}, 'unauthorized')])
def test_a_wrong_or_missing_external_account_is_told(opened, strict_pebble, folder, options, kind):
    if options:
        wrong = EAB_KEY if options['eab_key_id'] == 'kid-2' else EAB_KEY[::-1]
        options = {**options, 'eab_key_file': key_file(folder, wrong)}
    acme = opened(strict_pebble, **options)
    with pytest.raises(Rejected, match=rf'\({kind}\)') as refused:
        acme.check()
    assert EAB_KEY not in refused.value.sentence
    assert EAB_KEY[::-1] not in refused.value.sentence


def test_the_terms_of_service_must_be_agreed_to(opened, pebble):
    with pytest.raises(Rejected, match='terms_of_service_agreed'):
        opened(pebble, terms_of_service_agreed=False).check()


def test_the_preferred_chain_is_given(opened, pebble):
    for root in pebble.roots():
        wanted = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        issued = finished(opened(pebble, preferred_chain=wanted), an_order('chain.test'))
        assert verified(issued, root)


def test_a_chain_that_nobody_offers_is_the_usual_one(opened, pebble):
    issued = finished(opened(pebble, preferred_chain='Nobody'), an_order('usual.test'))
    assert verified(issued, pebble.roots()[0])


def revocation(issued, reason='keyCompromise'):
    return RevokeRequest(
        authority='plugin', order_id=an_order('x.test').order_id, certificate=issued.certificate,
        reason=reason, revoked_at=certificate(issued).not_valid_before_utc.replace(tzinfo=None))


@pytest.mark.parametrize(('reason', 'number'), [
    ('unspecified', 0), ('keyCompromise', 1), ('cessationOfOperation', 5), ('privilegeWithdrawn', 9)])
def test_a_certificate_is_revoked_once_for_its_reason(acme, pebble, reason, number):
    issued = finished(acme, an_order('revoked.test'))
    assert pebble.status(certificate(issued))[0] == 'Valid'
    acme.revoke(revocation(issued, reason))
    acme.revoke(revocation(issued, reason))
    assert pebble.status(certificate(issued)) == ('Revoked', number)


def test_a_revocation_is_not_taken_back(acme):
    issued = finished(acme, an_order('held.test'))
    with pytest.raises(Rejected, match='takes no revocation back'):
        acme.revoke(revocation(issued, 'removeFromCRL'))


def test_a_certificate_of_somebody_else_is_not_revoked(acme, opened, pebble, folder):
    other = opened(pebble, connection=f'sqlite:///{folder}/other.sqlite')
    issued = finished(other, an_order('others.test'))
    with pytest.raises(Rejected, match=r'\(unauthorized\)'):
        acme.revoke(revocation(issued))
    assert pebble.status(certificate(issued))[0] == 'Valid'


def test_the_account_key_is_replaced_and_the_one_before_destroyed(acme, opened, pebble, key_store):
    account, keys = acme.check(), set(key_store._signing_keys)
    assert acme.roll_over_account_key()
    assert acme.check() == account
    assert signing_keys(key_store) == 1
    assert not keys & set(key_store._signing_keys)
    assert names(finished(opened(pebble), an_order('rolled.test'))) == ['rolled.test']


def test_the_account_key_is_replaced_by_one_in_another_store(acme, opened, pebble, key_store):
    account, other = acme.check(), open_plugin(MemoryKeyStore)
    both = {'soft': key_store, 'hard': other}
    opened(pebble, key_stores=both, key_store='hard').roll_over_account_key()
    assert (signing_keys(key_store), signing_keys(other)) == (0, 1)
    assert opened(pebble, key_stores={'hard': other}, key_store='hard').check() == account


def test_another_process_notices_that_the_key_was_replaced(acme, opened, pebble):
    other, order = opened(pebble), an_order('noticed.test')
    pending = acme.issue(order)
    other.roll_over_account_key()
    assert names(finished(acme, order, pending)) == ['noticed.test']


def test_a_key_that_is_replaced_while_a_name_is_proved_costs_no_order(acme, opened, pebble, responder,
                                                                      monkeypatch):
    other, order, present, rolled = opened(pebble), an_order('meanwhile.test'), responder.present, []

    def while_rolled(challenge):
        if not rolled:
            rolled.append(other.roll_over_account_key())
        return present(challenge)

    monkeypatch.setattr(responder, 'present', while_rolled)
    pending = acme.issue(order)
    with pytest.raises(Unavailable, match='another key'):
        acme.poll(PendingOrder(order=order, reference=pending.reference))
    assert names(finished(acme, order, pending)) == ['meanwhile.test']
    assert responder.dns.txt == {}


def test_an_authority_that_forgot_the_account_gets_it_again(opened, dns, folder, key_store):
    with run_pebble(folder, dns_port=dns.dns_port) as pebble:
        acme, order = opened(pebble), an_order('forgotten.test')
        pending = acme.poll(PendingOrder(order=order, reference=acme.issue(order).reference))
        keys = set(key_store._signing_keys)
        pebble.restart()
        assert names(finished(acme, order, pending)) == ['forgotten.test']
        assert set(key_store._signing_keys) == keys
        assert dns.txt == {}


def test_an_order_is_cancelled_and_its_proofs_are_taken_away(acme, pebble, dns, responder):
    order, before = an_order('one.cancel.test', 'two.cancel.test'), len(pebble.issued())
    responder.waits = [5, 5]
    pending = PendingOrder(order=order, reference=acme.issue(order).reference)
    acme.poll(pending)
    assert len(dns.txt) == 2
    acme.cancel(pending)
    acme.cancel(pending)
    with acme._session() as session:
        assert session.read(pending.reference['order']).status == 'deactivated'
    assert dns.txt == {}
    assert len(pebble.issued()) == before


def test_cancelling_an_order_that_the_authority_forgot_takes_its_proofs_away(opened, dns, folder,
                                                                             responder):
    with run_pebble(folder, dns_port=dns.dns_port) as pebble:
        acme, order = opened(pebble), an_order('gone.test')
        responder.waits = [5]
        pending = PendingOrder(order=order, reference=acme.issue(order).reference)
        acme.poll(pending)
        pebble.restart()
        acme.cancel(pending)
        assert dns.txt == {}


def test_an_authority_that_is_down_is_unavailable_and_the_order_goes_on_after(opened, dns, folder):
    with run_pebble(folder, dns_port=dns.dns_port) as pebble:
        acme, order = opened(pebble), an_order('down.test')
        pending = acme.issue(order)
        pebble.stop()
        with pytest.raises(Unavailable, match='does not answer'):
            acme.poll(PendingOrder(order=order, reference=pending.reference))
        pebble.start()
        assert names(finished(acme, order, pending)) == ['down.test']


def test_a_server_with_a_certificate_by_somebody_else_is_not_believed(opened, pebble, strict_pebble):
    acme = opened(pebble, ca_file=str(strict_pebble.ca_file))
    with pytest.raises(Unavailable, match='not trusted'):
        acme.check()


def test_pebble_advises_nothing_about_renewal(acme):
    assert acme.renewal_window(finished(acme, an_order('ari.test')).certificate) is None


def test_an_attempt_after_one_that_was_cut_off_issues_one_certificate(acme, pebble):
    order, before = an_order('twice.test', csr=csr('twice.test')), len(pebble.issued())
    acme.issue(order)
    assert names(finished(acme, again(order))) == ['twice.test']
    assert len(pebble.issued()) == before + 1
