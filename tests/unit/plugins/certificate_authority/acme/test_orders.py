# SPDX-License-Identifier: Apache-2.0
"""What becomes of an order, by answers that no real server gives on demand."""
import base64
import contextlib
import email.utils
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.interfaces import Issued, NotSupported, PendingOrder, Rejected, Unavailable
from tests.functional.certificates.acme_client import an_order, csr

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key=KEY, issuer='An issuer', subject='a.test'):
    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    return x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(
        key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
        now).not_valid_after(now + timedelta(days=1)).add_extension(
        x509.AuthorityKeyIdentifier(b'\x01' * 20, None, None), critical=False).sign(
        key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Case:
    """An order of a.test at the server, and what it says of it."""

    def __init__(self, server, acme):
        self.server, self.acme = server, acme
        self.order = an_order('a.test', key=KEY)
        server.says('/newOrder', (201, {}, {'Location': f'{server.url}/order'}))
        server.says('/certificate', pem())
        self.pending = self._kept(acme.issue(self.order))

    def says(self, status, wait=None, **more):
        """Give an answer that is the order in a status."""
        headers = {} if wait is None else {'Retry-After': wait}
        return 200, {
            'status': status, 'authorizations': [f'{self.server.url}/authorization'],
            'finalize': f'{self.server.url}/finalize', 'certificate': f'{self.server.url}/certificate',
            **more}, headers

    def authorization(self, status, **more):
        return {'status': status, 'identifier': {'type': 'dns', 'value': 'a.test'}, 'challenges': [
            {'type': kind, 'url': f'{self.server.url}/{kind}', 'token': 'a-token', 'status': status,
             **more} for kind in ('http-01', 'dns-01')]}

    def poll(self):
        outcome = self.acme.poll(self.pending)
        if not isinstance(outcome, Issued):
            self.pending = self._kept(outcome)
        return outcome

    def _kept(self, outcome):
        return PendingOrder(order=self.order, reference=outcome.reference)


@pytest.fixture
def case(server, acme):
    return Case(server, acme)


def test_who_is_told_when_to_ask_again_waits_so_long(case, server):
    server.says('/order', case.says('processing', wait='17'))
    assert case.poll().poll_after_seconds == 17


def test_a_date_says_so_too(case, server):
    server.says('/order', case.says('processing', wait=email.utils.formatdate(
        time.time() + 100, usegmt=True)))
    assert 90 < case.poll().poll_after_seconds <= 100


@pytest.mark.parametrize(('wait', 'seconds'), [
    ('never', 1), ('-5', 1), ('', 1), ('9' * 50, 86400), ('Wed, 21 Oct 2015 07:28:00 GMT', 1), ('0', 1)])
def test_a_nonsense_time_costs_nothing(case, server, wait, seconds):
    server.says('/order', case.says('processing', wait=wait))
    assert case.poll().poll_after_seconds == seconds


def test_without_a_time_the_wait_doubles_up_to_a_minute(case, server):
    server.says('/order', case.says('processing'))
    assert [case.poll().poll_after_seconds for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_wait_begins_anew_when_something_has_changed(case, server):
    server.says('/order', case.says('pending'))
    server.says('/authorization', case.authorization('pending'))
    server.says('/http-01', {})
    assert [case.poll().poll_after_seconds for _ in range(3)] == [1, 2, 4]
    assert len(server.posted('/http-01')) == 1
    server.says('/order', case.says('processing'))
    assert case.poll().poll_after_seconds == 1


def test_a_challenge_is_answered_by_an_empty_object(case, server, responder):
    server.says('/order', case.says('pending'))
    server.says('/authorization', case.authorization('pending'))
    server.says('/http-01', {})
    case.poll()
    assert server.posted('/http-01') == [{}]
    assert [one.identifier for one in responder.presented] == ['a.test']


@pytest.mark.parametrize('kind', ['orderNotReady', 'malformed'])
def test_an_order_that_is_finalized_already_is_read_again(case, server, kind):
    server.says('/order', case.says('ready'), case.says('valid'))
    server.says('/finalize', server.refuses(kind, 403))
    assert isinstance(case.poll(), Issued)


def test_a_request_that_the_authority_does_not_take_is_told_with_its_reason(case, server):
    server.says('/order', case.says('ready'), case.says('invalid'))
    server.says('/finalize', server.refuses('badCSR'))
    with pytest.raises(Rejected, match=r'It is badCSR'):
        case.poll()


def test_an_order_that_never_gets_ready_is_waited_for(case, server):
    server.says('/order', case.says('ready'))
    server.says('/finalize', server.refuses('orderNotReady', 403))
    assert case.poll().poll_after_seconds == 1


def test_an_unknown_status_is_waited_for(case, server):
    server.says('/order', case.says('pondering'))
    assert case.poll().poll_after_seconds == 1
    assert len(server.posted('/newOrder')) == 1


def test_a_failure_without_a_reason_is_told_as_such(case, server, responder):
    server.says('/order', case.says('pending'), case.says('invalid'))
    server.says('/authorization', case.authorization('pending'), case.authorization('valid'))
    server.says('/http-01', {})
    case.poll()
    assert responder.presented
    with pytest.raises(Rejected, match='does not say why'):
        case.poll()
    assert not responder.presented


def test_a_failure_is_told_with_the_errors_of_the_challenges(case, server):
    error = {'type': 'urn:ietf:params:acme:error:caa', 'detail': 'CAA \x1b[31mforbids\n it',
             'subproblems': [{'type': 'urn:ietf:params:acme:error:dns', 'detail': 'It fails.',
                              'identifier': {'type': 'dns', 'value': 'b.test'}}]}
    server.says('/order', case.says('invalid'))
    server.says('/authorization', case.authorization('invalid', error=error))
    with pytest.raises(Rejected) as refused:
        case.poll()
    assert refused.value.sentence == ('The order has failed at the authority: a.test: '
                                      'CAA [31mforbids it (caa); b.test: It fails. (dns)')


def test_a_failure_of_the_order_alone_is_told(case, server):
    server.says('/order', case.says('invalid', error={
        'type': 'urn:ietf:params:acme:error:badCSR', 'detail': 'Weak key.'}))
    server.says('/authorization', case.authorization('valid'))
    with pytest.raises(Rejected, match=r'Weak key. \(badCSR\)'):
        case.poll()


def test_an_order_that_expired_is_placed_again_but_not_for_ever(case, server):
    server.says('/order', case.says('invalid'))
    server.says('/authorization', case.authorization('expired'))
    for _ in range(4):
        case.poll()
    with pytest.raises(Rejected, match='5 orders in a row'):
        case.poll()
    assert len(server.posted('/newOrder')) == 5


def test_an_order_that_is_missed_once_is_not_placed_again(case, server):
    server.says('/order', server.refuses('malformed', 404), server.refuses('malformed', 404),
                case.says('valid'))
    case.poll()
    case.poll()
    assert isinstance(case.poll(), Issued)
    assert len(server.posted('/newOrder')) == 1


def test_what_is_kept_of_an_order_is_short(server, opened):
    path, directory = 'o' * 900, 'd' * 900
    server.says(f'/{directory}', server.directory)
    server.says('/newOrder', (201, {}, {'Location': f'{server.url}/{path}'}))
    server.says(f'/{path}', {'status': 'p' * 10000})
    acme, order = opened(directory_url=f'{server.url}/{directory}'), an_order('a.test')
    kept = acme.poll(PendingOrder(order=order, reference=acme.issue(order).reference)).reference
    assert len(json.dumps(kept)) < 4096
    assert all(isinstance(value, str | int) for value in kept.values())


def test_an_order_that_stays_missed_is_placed_again(case, server):
    server.says('/order', server.refuses('malformed', 404))
    for _ in range(4):
        case.poll()
    assert len(server.posted('/newOrder')) == 2


def test_a_certificate_for_another_request_is_not_taken(case, server):
    """Authorities give one order to all that order the same names, until it is finalized."""
    server.says('/order', case.says('valid'))
    server.says('/certificate', pem(ec.generate_private_key(ec.SECP256R1())), pem())
    case.poll()
    assert len(server.posted('/newOrder')) == 2
    assert isinstance(case.poll(), Issued)


def test_an_order_at_another_authority_than_the_one_set_is_placed_here(case, server, opened):
    other = opened(directory_url=f'{server.url}/dir?other')
    server.says('/dir?other', server.directory)
    outcome = other.poll(case.pending)
    assert outcome.reference['directory'] == f'{server.url}/dir?other'
    assert len(server.posted('/newOrder')) == 2


@pytest.mark.parametrize('names', [{'value': 'b.test'}, {}, None])
def test_a_proof_of_another_name_is_not_given(case, server, responder, names):
    server.says('/order', case.says('pending'))
    server.says('/authorization', {**case.authorization('pending'), 'identifier': names})
    with pytest.raises((Rejected, Unavailable)):
        case.poll()
    assert responder.asked == []


def test_a_token_that_is_none_is_not_presented(case, server, responder):
    server.says('/order', case.says('pending'))
    server.says('/authorization', case.authorization('pending', token='../../etc/passwd'))
    with pytest.raises(Rejected, match='No challenge responder'):
        case.poll()
    assert responder.asked == []


def test_an_order_whose_names_nobody_proves_is_given_up_at_the_authority(case, server, opened):
    server.says('/order', case.says('pending'))
    server.says('/authorization', case.authorization('pending'))
    with pytest.raises(Rejected, match=r'a\.test; the authority offers dns-01, http-01'):
        opened(responders={}).poll(case.pending)
    assert {'status': 'deactivated'} in server.posted('/authorization')


@pytest.mark.parametrize('body', [b'nonsense', b'[]', b'null', b'{}', b'{"status": ["valid"]}',
                                  b'[' * 100000])
def test_an_answer_that_is_none_is_no_crash(case, server, body):
    for path in ('/authorization', '/finalize', '/certificate'):
        server.says(path, body)
    for status in ('pending', 'ready', 'valid', 'invalid'):
        server.says('/order', case.says(status))
        with contextlib.suppress(Unavailable, Rejected):
            case.poll()
    server.says('/order', body)
    with contextlib.suppress(Unavailable):
        case.poll()


def test_a_chain_elsewhere_that_is_no_url_is_passed_over(case, server, opened):
    server.says('/order', case.says('valid'))
    server.says('/certificate', (200, pem(), {'Link': '<https://[>;rel="alternate"'}))
    assert isinstance(opened(preferred_chain='Another').poll(case.pending), Issued)


def test_a_certificate_whose_key_cannot_be_read_is_none(case, server):
    server.says('/order', case.says('valid'))
    der = x509.load_pem_x509_certificate(pem()).public_bytes(Encoding.DER)
    unknown = der.replace(bytes.fromhex('2a8648ce3d030107'), bytes.fromhex('2a8648ce3d03017f'))
    server.says('/certificate', b'-----BEGIN CERTIFICATE-----\n' + base64.encodebytes(unknown)
                + b'-----END CERTIFICATE-----\n')
    with pytest.raises(Unavailable, match='cannot be read'):
        case.poll()


def test_an_order_is_given_up_though_the_account_is_refused(case, server, opened, folder):
    server.says('/newAccount', server.refuses('unauthorized', 403))
    another = opened(connection=f'sqlite:///{folder}/another.sqlite')
    another.cancel(case.pending)
    assert not server.posted('/order')


@pytest.mark.parametrize('more', [
    {'authorizations': None}, {'authorizations': ['http://a.test/']}, {'authorizations': [7]},
    {'authorizations': ['https://' + 'a' * 5000]}])
def test_what_is_no_url_of_https_is_not_asked(case, server, more):
    server.says('/order', case.says('pending', **more))
    with pytest.raises(Unavailable):
        case.poll()


@pytest.mark.parametrize('answer', [(503, {}, {'Retry-After': '33'}), (429, b'', {'Retry-After': '33'})])
def test_an_authority_that_is_busy_is_asked_later(case, server, answer):
    server.says('/order', answer)
    with pytest.raises(Unavailable) as refused:
        case.poll()
    assert refused.value.retry_after_seconds == 33


def replaced():
    certificate = x509.load_pem_x509_certificate(pem())
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize('kind', ['alreadyReplaced', 'malformed', 'unauthorized'])
def test_what_was_replaced_already_is_ordered_without_saying_so(server, acme, kind):
    server.directory['renewalInfo'] = f'{server.url}/renewal'
    server.says('/newOrder', server.refuses(kind, 409),
                (201, {}, {'Location': f'{server.url}/order'}))
    pending = acme.issue(an_order('a.test', replaces=replaced()))
    assert pending.reference['order'] == f'{server.url}/order'
    first, second = server.posted('/newOrder')
    assert first['replaces'].startswith('AQEBAQEBAQEBAQEBAQEBAQEBAQE.')
    assert first == {**second, 'replaces': first['replaces']}


def test_an_authority_that_knows_no_replacing_is_not_told(server, acme):
    server.says('/newOrder', (201, {}, {'Location': f'{server.url}/order'}))
    acme.issue(an_order('a.test', replaces=replaced()))
    assert server.posted('/newOrder') == [{'identifiers': [{'type': 'dns', 'value': 'a.test'}]}]


def test_a_profile_and_an_end_are_told(server, acme):
    server.directory['meta'] = {'profiles': {'short': 'Six days'}}
    server.says('/newOrder', (201, {}, {'Location': f'{server.url}/order'}))
    order = an_order('a.test', profile='short', not_after=datetime(2030, 1, 2, 3, 4, 5, 6))
    acme.issue(order)
    assert server.posted('/newOrder')[0].items() >= {
        'profile': 'short', 'notAfter': '2030-01-02T03:04:05Z'}.items()
    with pytest.raises(NotSupported, match='long'):
        acme.issue(replace(order, profile='long'))


@pytest.mark.parametrize(('kind', 'status', 'error'), [
    ('rateLimited', 403, Unavailable), ('serverInternal', 400, Unavailable), ('dns', 400, Unavailable),
    ('connection', 400, Unavailable), ('badCSR', 500, Unavailable),
    ('rejectedIdentifier', 400, Rejected), ('caa', 403, Rejected), ('malformed', 400, Rejected),
    ('userActionRequired', 403, Rejected)])
def test_a_refusal_is_for_good_or_for_now_by_its_type(server, acme, kind, status, error):
    server.says('/newOrder', server.refuses(kind, status))
    with pytest.raises(error, match=f'It is {kind}'):
        acme.issue(an_order('a.test'))


def test_a_request_that_is_none_is_refused(acme):
    with pytest.raises(Rejected, match='cannot be read'):
        acme.issue(an_order(csr=b'nonsense'))
    with pytest.raises(Rejected, match='neither'):
        acme.issue(an_order(csr=csr()))
