# SPDX-License-Identifier: Apache-2.0
"""Certificates from an EJBCA in two steps: end entities that people may have to approve."""
import base64
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import NotSupported, Pending, Rejected, Unavailable
from km.plugins.certificate_authority.ejbca import approvals, enrollment, failures
from tests.functional.certificates.ejbca_orders import assert_fits, csr, order, pending

NOT_APPROVED = ['REJECTED', 'EXPIRED', 'EXECUTIONFAILED']


@pytest.fixture
def plugin(server, opened):
    """A plugin in two steps, on an EJBCA where people approve nothing yet."""
    return opened(enrollment_mode='two_step')


def test_two_steps_make_a_certificate_at_once_if_nobody_has_to_approve_it(server, plugin):
    placed = order()
    made = assert_fits(plugin.issue(placed), placed, server.root)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ['a.test', 'b.test']
    assert server.tell('entities') == {f'km-{placed.order_id}': 'GENERATED'}
    assert server.calls == ['POST search', 'POST search', 'POST endentity', 'POST certificaterequest']


def test_the_names_of_the_request_are_those_of_the_end_entity(server, plugin):
    placed = order(csr=csr(subject=x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, 'SE'),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Müller, Söhne + Co'),
        x509.NameAttribute(NameOID.COMMON_NAME, 'a.test')])))
    made = assert_fits(plugin.issue(placed), placed, server.root)
    assert made.subject == x509.load_der_x509_csr(placed.csr).subject


def test_a_request_without_a_subject_has_its_first_name_as_one(server, plugin):
    placed = order(csr=csr(subject=x509.Name([])))
    made = assert_fits(plugin.issue(placed), placed, server.root)
    assert made.subject.rfc4514_string() == 'CN=a.test'


def test_names_that_cannot_be_told_are_not_supported(server, plugin):
    with pytest.raises(NotSupported, match='alternative names'):
        plugin.issue(order(csr=csr(names=[x509.RegisteredID(x509.ObjectIdentifier('1.2.3'))])))
    with pytest.raises(NotSupported, match='subject'):
        plugin.issue(order(csr=csr(subject=x509.Name([
            x509.NameAttribute(NameOID.PSEUDONYM, 'a')]))))
    assert server.tell('entities') == {}


@pytest.mark.parametrize('tells', [True, False])
def test_an_order_waits_until_it_is_approved(server, plugin, tells):
    server.set(approve_entities=True, tells_request_id=tells)
    placed = order()
    answer = plugin.issue(placed)
    assert answer == Pending(reference={'refusals': 0, 'approval': 70001}, poll_after_seconds=7,
                             sentence=enrollment.WAITS)
    assert plugin.poll(pending(placed, answer)) == answer
    server.decide('EXECUTED')
    issued = plugin.poll(pending(placed, answer))
    assert_fits(issued, placed, server.root)
    assert plugin.poll(pending(placed, answer)) == issued
    assert len(server.certificates) == 1


@pytest.mark.parametrize('status', NOT_APPROVED)
def test_an_order_that_is_not_approved_is_refused(server, plugin, status):
    server.set(approve_entities=True)
    placed = order()
    answer = plugin.issue(placed)
    server.decide(status)
    with pytest.raises(Rejected, match=approvals.NOT_APPROVED):
        plugin.poll(pending(placed, answer))
    assert server.certificates == []


def test_an_approval_whose_number_was_lost_is_heard_of_all_the_same(server, plugin):
    server.set(approve_entities=True)
    placed = order()
    server.go_wrong('drop_after', path='/endentity', call=3)
    with pytest.raises(Unavailable):
        plugin.issue(placed)
    again = replace(placed, attempt=2)
    answer = plugin.issue(again)  # EJBCA says 400: people are asked only once
    assert answer.reference == {'refusals': 0}
    assert plugin.poll(pending(again, answer)) == answer
    assert server.tell('approvals') == {'70001': 'WAITING'}
    server.decide('EXECUTED')
    assert_fits(plugin.poll(pending(again, answer)), placed, server.root)
    assert len(server.certificates) == 1


def test_what_was_approved_between_two_questions_is_not_called_refused(server, plugin):
    server.set(approve_entities=True)
    placed = order()
    answer = plugin.issue(placed)
    server.go_wrong('body', path='endentity/search', status=200,
                    body={'end_entities': [], 'more_results': False})
    server.decide('EXECUTED')
    assert_fits(plugin.poll(pending(placed, answer)), placed, server.root)


def test_a_bad_end_entity_is_refused_with_its_reason(plugin):
    with pytest.raises(Rejected, match='does not allow these alternative names'):
        plugin.issue(order(csr=csr(names=['a.test'] * 6)))


def test_an_end_entity_that_was_used_for_another_key_gives_nothing(server, plugin):
    placed = order()
    plugin.issue(order(order_id=placed.order_id))
    with pytest.raises(Rejected, match=approvals.TAKEN):
        plugin.issue(placed)
    assert len(server.certificates) == 1


def test_an_authority_without_its_key_is_waited_for(server, plugin, caplog):
    placed = order()
    server.set(offline='km Sub CA')
    with pytest.raises(Unavailable, match=failures.SILENT):
        plugin.issue(placed)
    assert 'EJBCA failed with status 503: The CA km Sub CA is offline.' in caplog.text
    server.set(online='km Sub CA')
    assert_fits(plugin.issue(placed), placed, server.root)


def test_an_end_entity_keeps_its_password_over_a_restart_of_km(server, opened):
    server.set(approve_entities=True)
    placed = order()
    answer = opened(enrollment_mode='two_step').issue(placed)
    server.decide('EXECUTED')
    assert_fits(opened(enrollment_mode='two_step').poll(pending(placed, answer)), placed, server.root)


@pytest.mark.parametrize('decided', [None, 'EXECUTED'])
def test_a_cancelled_order_leaves_no_end_entity(server, plugin, decided):
    server.set(approve_entities=True)
    placed = order()
    answer = plugin.issue(placed)
    if decided:
        server.decide(decided)
        plugin.poll(pending(placed, answer))
    for _ in range(2):
        plugin.cancel(pending(placed, answer))
    assert server.tell('entities') == {}
    assert [kept['reason'] for kept in server.certificates] == (
        ['CESSATION_OF_OPERATION'] if decided else [])


def test_a_password_is_in_no_log_and_no_reference(server, plugin, caplog):
    caplog.set_level('DEBUG')
    server.set(approve_entities=True)
    placed = order()
    answer = plugin.issue(placed)
    password = plugin._config.password(f'km-{placed.order_id}')
    assert len(password) == 64
    assert password not in caplog.text + str(answer)


def test_a_certificate_that_finalizing_makes_is_the_orders(server, opened, plugin):
    placed = order()
    made = opened().issue(replace(placed, order_id=order().order_id))
    server.set(approve_entities=True)
    answer = plugin.issue(placed)
    server.go_wrong('body', path='finalize', status=201, body={
        'certificate': base64.b64encode(made.certificate).decode(), 'response_format': 'DER',
        'certificate_chain': [base64.b64encode(one).decode() for one in made.chain]})
    assert plugin.poll(pending(placed, answer)) == made


def test_a_certificate_request_may_have_to_be_approved_too(server, plugin):
    placed = order()
    server.go_wrong('body', path='certificaterequest', status=202, body={
        'status_code': 202, 'info_message': 'Wait.', 'request_id': 5})
    answer = plugin.issue(placed)
    assert answer.sentence == enrollment.WAITS
    assert_fits(plugin.poll(pending(placed, answer)), placed, server.root)


def test_a_certificate_that_was_made_between_two_questions_is_found(server, plugin):
    placed = order()
    issued = plugin.issue(placed)
    server.go_wrong('body', path='certificate/search', status=200,
                    body={'certificates': [], 'more_results': False})
    assert plugin.issue(placed) == issued
