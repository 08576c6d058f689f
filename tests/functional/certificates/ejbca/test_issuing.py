# SPDX-License-Identifier: Apache-2.0
"""Certificates from an EJBCA, in one step: what is issued, what is refused, and what EJBCA is told."""
import datetime
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.interfaces import (
    REVOCATION_REASONS,
    Issued,
    Misconfigured,
    NotSupported,
    Pending,
    PendingOrder,
    Rejected,
    Unavailable,
)
from km.plugins.certificate_authority.ejbca import failures
from km.plugins.certificate_authority.ejbca.order import Progress
from km.plugins.certificate_authority.ejbca.revocation import REASONS, WAITS
from tests.functional.certificates.ejbca_orders import (
    assert_fits,
    csr,
    in_days,
    order,
    pending,
    revocation,
)
from tests.functional.certificates.ejbca_server import CA


@pytest.mark.parametrize('how', ['options', 'token_options'])
def test_a_certificate_comes_with_its_chain(server, opened, how):
    plugin, placed = opened(getattr(server, how)()), order()
    made = assert_fits(plugin.issue(placed), placed, server.root)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ['a.test', 'b.test']
    kept, = server.certificates
    assert kept['username'] == f'km-{placed.order_id}'
    assert server.calls == ['POST search', 'POST pkcs10enroll']


def test_who_asks_twice_has_one_certificate(server, opened):
    plugin, placed = opened(), order()
    first = plugin.issue(placed)
    assert plugin.issue(replace(placed, attempt=2)) == first
    assert len(server.certificates) == 1


def test_a_certificate_of_another_key_under_the_same_name_is_not_given(server, opened):
    plugin, placed = opened(), order()
    plugin.issue(order(order_id=placed.order_id))
    assert_fits(plugin.issue(placed), placed, server.root)
    assert len(server.certificates) == 2


def test_the_authority_is_the_one_that_was_named_with_all_above_it(server, opened):
    told, = opened().authorities()
    assert told.name == CA
    assert told.description == r'CN=km Sub CA,O=Tests\, Inc. & Söhne #1?,C=SE'
    own, root = (x509.load_der_x509_certificate(one) for one in (told.certificate, *told.chain))
    own.verify_directly_issued_by(root)
    assert root == server.root


def test_the_certificates_of_the_authority_may_be_in_any_order(server, opened):
    plugin = opened()
    told = plugin.authorities()
    server.go_wrong('page', path='download', status=200,
                    text=''.join(reversed(server.tell('chain/km+Sub+CA'))))
    assert plugin.authorities() == told


def test_a_profile_is_a_pair_of_names_of_ejbcas(server, opened):
    plugin = opened()
    placed = order(profile='people', csr=csr('Ann', names=[x509.RFC822Name('ann@a.test')]))
    made = assert_fits(plugin.issue(placed), placed, server.root)
    assert made.not_valid_after_utc - made.not_valid_before_utc == datetime.timedelta(days=30)


@pytest.mark.parametrize(('more', 'sentence'), [
    ({'profile': 'nothing'}, 'no such profile'), ({'details': {'email': 'a@a.test'}}, 'email'),
    ({'authority': 'km Root CA'}, 'not of that name')], ids=str)
def test_what_it_does_not_do_is_told_without_asking_ejbca(server, opened, more, sentence):
    plugin = opened()
    with pytest.raises(NotSupported, match=sentence):
        plugin.issue(order(**more))
    assert server.calls == []


def test_a_certificate_ends_when_it_was_asked_to(server, opened):
    placed = order(not_after=in_days(5))
    made = assert_fits(opened().issue(placed), placed, server.root)
    assert made.not_valid_after_utc.replace(tzinfo=None) == placed.not_after


def test_a_certificate_that_ends_later_than_asked_is_revoked_and_not_given(server, opened):
    plugin, placed = opened(), order(profile='fixed', not_after=in_days(5))
    for _ in range(2):
        with pytest.raises(Rejected, match=r'ends at .*Z, which is later than was asked for\.'):
            plugin.issue(placed)
    kept, = server.certificates
    assert kept['reason'] == 'CESSATION_OF_OPERATION'


def test_a_certificate_that_shall_be_revoked_is_not_given_while_that_cannot_be(server, opened):
    plugin, placed = opened(), order(profile='fixed', not_after=in_days(5))
    server.set(approve_revocations=True)
    with pytest.raises(Unavailable):
        plugin.issue(placed)
    server.decide('EXECUTED')
    with pytest.raises(Rejected, match='It was revoked'):
        plugin.issue(placed)
    assert len(server.certificates) == 1


@pytest.mark.parametrize(('wrong', 'sentence', 'reason'), [
    ('name', 'alternative names that were not asked for', 'CESSATION_OF_OPERATION'),
    ('common_name', 'a common name that was not asked for', 'CESSATION_OF_OPERATION'),
    ('key', 'for another key', None)])
def test_a_certificate_that_is_not_as_ordered_is_not_given(server, opened, wrong, sentence, reason):
    server.set(misissue=wrong)
    with pytest.raises(Rejected, match=sentence):
        opened().issue(order())
    assert [kept['reason'] for kept in server.certificates] == [reason]


def test_a_certificate_with_no_way_to_an_anchor_waits_until_there_is_one(server, opened, caplog):
    plugin, placed = opened(anchors_file=f'{server.home}/ca.pem'), order()
    with pytest.raises(Unavailable, match=failures.SILENT):
        plugin.issue(placed)
    assert 'no way that verifies to a certificate in anchors_file' in caplog.text
    with pytest.raises(Unavailable, match='anchors_file'):
        plugin.check()
    assert_fits(opened().issue(placed), placed, server.root)
    assert [kept['reason'] for kept in server.certificates] == [None]


def test_an_order_is_refused_after_ejbca_said_400_often_enough(server, opened):
    plugin = opened(retries_of_400=2)
    placed = order(csr=csr(names=['a.test'] * 6))
    answer = plugin.issue(placed)
    for refusals in (1, 2):
        assert isinstance(answer, Pending)
        assert answer.reference == {'refusals': refusals}
        assert answer.poll_after_seconds == 7
        if refusals == 1:
            answer = plugin.poll(pending(placed, answer))
    with pytest.raises(Rejected, match=r'EJBCA refuses the order: .*does not allow these alternative'):
        plugin.poll(pending(placed, answer))


def test_an_order_that_met_an_authority_without_its_key_is_fulfilled_later(server, opened):
    plugin, placed = opened(), order()
    server.set(offline=CA)
    answer = plugin.issue(placed)
    assert 'offline' in answer.sentence
    server.set(online=CA)
    assert_fits(plugin.poll(pending(placed, answer)), placed, server.root)


def test_a_400_does_not_count_while_ejbca_does_not_show_the_authority(server, opened, caplog):
    plugin, placed = opened(retries_of_400=0), order(csr=csr(names=['a.test'] * 6))
    server.set(shown_authorities=['km Root CA'])
    with pytest.raises(Unavailable):
        plugin.issue(placed)
    assert failures.NO_SUCH_CA in caplog.text
    server.set(shown_authorities=[CA])
    with pytest.raises(Rejected):
        plugin.issue(placed)


@pytest.mark.parametrize('status', [404, 409, 413, 422])
def test_a_refusal_that_is_no_400_is_final(server, opened, status):
    plugin = opened()
    server.go_wrong('status', path='pkcs10enroll', status=status, message='No\n\x1b[1m such  thing.')
    with pytest.raises(Rejected) as error:
        plugin.issue(order())
    assert error.value.sentence == 'EJBCA refuses the order: No [1m such thing.'


@pytest.mark.parametrize('unique', ['unique_keys', 'unique_subjects'])
def test_an_authority_that_wants_keys_or_subjects_to_be_unique_refuses_a_renewal(server, opened, unique):
    server.set(**{unique: True})
    plugin, first = opened(retries_of_400=0), order()
    plugin.issue(first)
    with pytest.raises(Rejected, match='this key or this subject already'):
        plugin.issue(order(csr=first.csr))


def test_a_renewal_with_the_same_key_is_another_certificate(server, opened):
    plugin, first = opened(), order()
    issued = plugin.issue(first)
    again = order(csr=first.csr, replaces=issued.certificate)
    assert plugin.issue(again).certificate != issued.certificate
    assert len(server.certificates) == 2


def test_a_cancelled_order_leaves_nothing_valid(server, opened):
    plugin, placed = opened(), order()
    server.set(offline=CA)
    waiting = pending(placed, plugin.issue(placed))
    plugin.cancel(waiting)
    server.set(online=CA)
    plugin.poll(waiting)
    for _ in range(2):
        plugin.cancel(waiting)
    assert [kept['reason'] for kept in server.certificates] == ['CESSATION_OF_OPERATION']


@pytest.mark.parametrize('since', [
    {'not_after': in_days(-1)}, {'profile': 'gone'}, {'details': {'some': 'thing'}}], ids=str)
def test_an_order_is_cancelled_whatever_became_of_its_end_and_its_profile(server, opened, since):
    plugin, placed = opened(), order()
    plugin.issue(placed)
    plugin.cancel(PendingOrder(order=replace(placed, **since), reference={}))
    assert [kept['reason'] for kept in server.certificates] == ['CESSATION_OF_OPERATION']


@pytest.mark.parametrize('reason', REVOCATION_REASONS)
def test_a_certificate_is_revoked_for_every_reason(server, opened, reason):
    plugin = opened()
    issued = plugin.issue(order())
    for _ in range(2):
        plugin.revoke(revocation(issued, reason))
    assert server.certificates[0]['reason'] == (None if reason == 'removeFromCRL' else REASONS[reason])
    assert sum(call == 'PUT revoke' for call in server.calls) == (reason != 'removeFromCRL')


def test_what_was_made_twice_for_an_order_is_revoked_twice(server, opened):
    plugin, placed, other = opened(), order(), order()
    issued = plugin.issue(placed)
    assert_fits(plugin._enrollment._next(plugin._order(placed), Progress()), placed, server.root)
    plugin.issue(other)
    plugin.revoke(replace(revocation(issued, 'keyCompromise'), order_id=placed.order_id))
    assert [kept['reason'] for kept in server.certificates] == ['KEY_COMPROMISE'] * 2 + [None]


def test_a_hold_can_be_taken_back_or_become_final(server, opened):
    plugin = opened()
    issued = plugin.issue(order())
    for reason, now in (('certificateHold', 'CERTIFICATE_HOLD'), ('removeFromCRL', None),
                        ('certificateHold', 'CERTIFICATE_HOLD'), ('superseded', 'SUPERSEDED'),
                        ('affiliationChanged', 'SUPERSEDED'), ('removeFromCRL', 'SUPERSEDED'),
                        ('keyCompromise', 'KEY_COMPROMISE'), ('superseded', 'KEY_COMPROMISE')):
        plugin.revoke(revocation(issued, reason))
        assert server.certificates[0]['reason'] == now


def test_somebody_else_revoked_it_first_and_that_is_fine(server, opened):
    plugin = opened()
    issued = plugin.issue(order())
    server.go_wrong('status', path='/revoke', status=409)
    plugin.revoke(revocation(issued))


def test_a_revocation_that_people_must_approve_is_not_done_until_they_have(server, opened):
    plugin = opened()
    issued = plugin.issue(order())
    server.set(approve_revocations=True)
    with pytest.raises(Unavailable, match=WAITS) as error:
        plugin.revoke(revocation(issued))
    assert error.value.retry_after_seconds == 7
    with pytest.raises(Unavailable) as error:  # EJBCA says 400: people are asked only once
        plugin.revoke(revocation(issued))
    assert error.value.retry_after_seconds == 7
    server.decide('EXECUTED')
    plugin.revoke(revocation(issued))
    assert len(server.tell('approvals')) == 1


@pytest.mark.parametrize('takes', [True, False])
def test_an_invalidity_date_is_told_if_the_profile_takes_one(server, opened, takes):
    server.set(takes_invalidity_date=takes)
    plugin = opened()
    issued = plugin.issue(order())
    plugin.revoke(revocation(issued, invalidity_date=datetime.datetime(2024, 2, 3, 4, 5, 6)))
    asked = [call['query'] for call in server.tell('calls') if call['path'].endswith('/revoke')]
    assert asked[0] == {'reason': 'SUPERSEDED', 'invalidity_date': '2024-02-03T04:05:06Z'}
    assert len(asked) == (1 if takes else 2)
    assert server.certificates[0]['reason'] == 'SUPERSEDED'


def test_a_certificate_that_ejbca_does_not_know_is_not_revoked(server, opened):
    plugin = opened()
    issued = plugin.issue(order())
    server.reset()
    with pytest.raises(Rejected, match='EJBCA knows no such certificate'):
        plugin.revoke(revocation(issued))


def test_the_check_says_what_is_asked_and_how_its_crl_is(opened):
    assert opened().check().startswith('Stand-in for EJBCA Enterprise; km Sub CA ends 20')
    assert 'its CRL holds until' in opened().check()


def test_two_steps_are_refused_at_start_by_a_community_edition(server, opened):
    server.set(enterprise=False)
    with pytest.raises(Misconfigured, match=r'\[certificate_authority:plugin\] enrollment_mode: EJBCA'):
        opened(enrollment_mode='two_step')
    placed = order()
    assert_fits(opened().issue(placed), placed, server.root)


def test_a_subject_may_have_more_than_a_common_name(server, opened):
    placed = order(csr=csr(subject=x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Tests, Inc.'),
        x509.NameAttribute(NameOID.COMMON_NAME, 'a.test')])))
    made = assert_fits(opened().issue(placed), placed, server.root)
    assert made.subject == x509.load_der_x509_csr(placed.csr).subject


def test_the_certificate_of_another_authority_is_not_revoked_by_its_serial_number(server, opened):
    plugin = opened()
    ours = x509.load_der_x509_certificate(plugin.issue(order()).certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    theirs = (
        x509.CertificateBuilder().subject_name(ours.subject).issuer_name(ours.subject)
        .public_key(key.public_key()).serial_number(ours.serial_number)
        .not_valid_before(in_days(-1)).not_valid_after(in_days(1)).sign(key, hashes.SHA256()))
    with pytest.raises(Rejected, match='by another authority'):
        plugin.revoke(revocation(Issued(certificate=theirs.public_bytes(Encoding.DER))))
    assert [kept['reason'] for kept in server.certificates] == [None]


def test_a_request_that_cannot_be_read_and_an_end_that_was_are_refused_at_once(server, opened):
    plugin = opened()
    with pytest.raises(Rejected, match='no PKCS#10'):
        plugin.issue(order(csr=csr()[:-1]))
    with pytest.raises(Rejected, match='end before it begins'):
        plugin.issue(order(not_after=in_days(-1)))
    assert server.calls == []
