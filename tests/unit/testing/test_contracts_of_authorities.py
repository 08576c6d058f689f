# SPDX-License-Identifier: Apache-2.0
"""The contract suites find what is wrong: an authority with one fault each is held against them."""
import inspect
import logging
import uuid
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature

from km.interfaces import Issued, KmError, NotSupported, Rejected, RenewalWindow
from km.testing import MemoryHierarchy, open_authority
from km.testing.certificate_authority import CertificateAuthorityContract
from km.testing.certificate_orders import new_csr, until_issued
from km.testing.issuer_rotation import IssuerRotationContract
from km.testing.issuers import new_issuer
from km.testing.renewal_adviser import RenewalAdviserContract
from km.testing.status_publisher import StatusPublisherContract
from km.testing.subordinate_maker import SubordinateMakerContract


class Faulty(MemoryHierarchy):
    """Each subclass has one fault, in an authority that is otherwise as it should be."""


class IssuesAnew(Faulty):
    def issue(self, request):
        self.memory.issued.pop(request.order_id, None)
        return super().issue(request)


class AnotherKey(Faulty):
    def issue(self, request):
        return super().issue(replace(request, csr=new_csr(['a.example', 'b.example'])))


class NameTooFew(Faulty):
    def issue(self, request):
        return super().issue(replace(request, order_id='else', csr=new_csr(['a.example'])))


class NoChain(Faulty):
    def issue(self, request):
        return replace(super().issue(request), chain=())


class RootFirst(Faulty):
    def issue(self, request):
        issued = super().issue(request)
        return replace(issued, chain=issued.chain[::-1])


class AnyProfile(Faulty):
    def issue(self, request):
        return super().issue(replace(request, profile=None))


class AnyDetails(Faulty):
    def issue(self, request):
        return super().issue(replace(request, details={}))


class AnyEnd(Faulty):
    def issue(self, request):
        return super().issue(replace(request, not_after=None))


class AnyAuthority(Faulty):
    def open(self):
        super().open()
        if len(self.memory.issuers) == 1:
            self.memory.add('another')

    def issue(self, request):
        return super().issue(replace(request, authority='memory'))


class Crashes(Faulty):
    def issue(self, request):
        if len(request.csr) < 100:
            raise ValueError
        return super().issue(request)


class TellsWhatItWasGiven(Faulty):
    def issue(self, request):
        try:
            return super().issue(request)
        except (Rejected, NotSupported) as error:
            raise Rejected(f'{error.sentence} {request.csr!r} {request.details}') from None


class Logs(Faulty):
    def issue(self, request):
        logging.getLogger(__name__).debug('asked: %s', request.csr.hex())
        return super().issue(request)


class RevokesOnce(Faulty):
    def revoke(self, request):
        if request.certificate in self.memory.revoked:
            raise Rejected('It is revoked already.')
        super().revoke(request)


class RevokesWhatever(Faulty):
    def revoke(self, request):
        pass


class Waiting(Faulty):
    def issue(self, request):
        self.memory.pending_polls, self.memory.poll_after_seconds = 2, 0.0
        return super().issue(request)


class DeepReference(Waiting):
    def issue(self, request):
        answer = super().issue(request)
        return answer if isinstance(answer, Issued) else replace(
            answer, reference={**answer.reference, 'more': ['deep']})


class LongReference(Waiting):
    def issue(self, request):
        answer = super().issue(request)
        return answer if isinstance(answer, Issued) else replace(
            answer, reference={**answer.reference, 'more': 'x' * 5000})


class RemembersByItself(Waiting):
    def open(self):
        super().open()
        self.mine = set()

    def issue(self, request):
        self.mine.add(request.order_id)
        return super().issue(request)

    def poll(self, pending):
        if pending.order.order_id not in self.mine:
            raise Rejected('There is no such order.')
        return super().poll(pending)


class GivesUpOnce(Waiting):
    def cancel(self, pending):
        if pending.order.order_id in self.memory.cancelled:
            raise Rejected('There is no such order.')
        super().cancel(pending)


class TwoLines(Faulty):
    def check(self):
        return 'well,\nit works'


class SubordinatesAnew(Faulty):
    def make_subordinate(self, request):
        self.memory.issuers.pop(request.authority_id, None)
        return super().make_subordinate(request)


class SubordinatesOfAll(Faulty):
    def make_subordinate(self, request):
        made = super().make_subordinate(request)
        self.memory.owners.clear()
        return made


class SubordinatesForEver(Faulty):
    def remove_subordinate(self, authority_id):
        pass


class BackwardWindow(Faulty):
    def renewal_window(self, certificate):
        window = super().renewal_window(certificate)
        return RenewalWindow(start=window.end, end=window.start, ask_after_seconds=1)


class CrlOfAnother(Faulty):
    def _crl(self, issuer, *, delta):
        key = new_issuer('a stranger', above=None).key
        return super()._crl(replace(issuer, key=key), delta=delta)


class EmptyCrl(Faulty):
    def _issued_by(self, issuer):
        return []


class SameNumber(Faulty):
    def _crl(self, issuer, *, delta):
        self.memory.crl_numbers[issuer.name] = 0
        return super()._crl(issuer, delta=delta)


class AlwaysGood(Faulty):
    def ocsp(self, request):
        kept, self.memory.revoked = self.memory.revoked, {}
        try:
            return super().ocsp(request)
        finally:
            self.memory.revoked = kept


class OcspOfAnother(Faulty):
    def _answer(self, issuer, certificate, digest):
        key = new_issuer('a stranger', above=None).key
        return super()._answer(replace(issuer, key=key), certificate, digest)


class RotatesNothing(Faulty):
    def rotate_issuer(self, authority):
        return 'done'


class NewRequestEachTime(Faulty):
    def issuer_request(self, authority):
        self.memory.next_keys.pop(authority, None)
        return super().issuer_request(authority)


class InstallsWhatever(Faulty):
    def install_issuer(self, authority, certificate, chain):
        try:
            return super().install_issuer(authority, certificate, chain)
        except Rejected:
            return 'done'


BASE, SUBORDINATES, ADVICE, STATUS, ROTATION = (
    CertificateAuthorityContract, SubordinateMakerContract, RenewalAdviserContract,
    StatusPublisherContract, IssuerRotationContract)
FAULTS = [
    (IssuesAnew, BASE, 'an_order_that_is_asked_for_again'),
    (IssuesAnew, BASE, 'an_order_that_was_cut_off'), (IssuesAnew, BASE, 'threads'),
    (AnotherKey, BASE, 'a_certificate_is_for_the_key'),
    (AnotherKey, BASE, 'what_is_left_pending'), (NameTooFew, BASE, 'a_certificate_is_for_the_key'),
    (NameTooFew, BASE, 'two_orders_have_two'), (NoChain, BASE, 'the_chain_begins'),
    (RootFirst, BASE, 'the_chain_begins'), (AnyProfile, BASE, 'a_profile_that_is_not_there'),
    (AnyDetails, BASE, 'details_that_mean_nothing'), (AnyEnd, BASE, 'an_end_that_was_asked_for'),
    (AnyAuthority, BASE, 'of_several_authorities'), (Crashes, BASE, 'what_is_no_request'),
    (TellsWhatItWasGiven, BASE, 'what_is_no_request'),
    (TellsWhatItWasGiven, BASE, 'details_that_mean_nothing'), (Logs, BASE, 'neither_its_log'),
    (RevokesOnce, BASE, 'revoking_twice'), (RevokesWhatever, BASE, 'a_certificate_of_another_authority'),
    (DeepReference, BASE, 'what_is_left_pending'), (LongReference, BASE, 'what_is_left_pending'),
    (RemembersByItself, BASE, 'what_is_left_pending'), (GivesUpOnce, BASE, 'giving_up_twice'),
    (TwoLines, BASE, 'check_says'), (SubordinatesAnew, SUBORDINATES, 'one_that_is_asked_for_again'),
    (SubordinatesOfAll, SUBORDINATES, 'another_project'),
    (SubordinatesForEver, SUBORDINATES, 'one_that_was_removed'), (BackwardWindow, ADVICE, 'a_window'),
    (CrlOfAnother, STATUS, 'every_issuer_has_a_crl'), (EmptyCrl, STATUS, 'what_is_revoked'),
    (SameNumber, STATUS, 'what_is_revoked'), (AlwaysGood, STATUS, 'ocsp_tells'),
    (OcspOfAnother, STATUS, 'ocsp_tells'), (RotatesNothing, ROTATION, 'after_a_rotation'),
    (NewRequestEachTime, ROTATION, 'a_request_is_for_the_same_key'),
    (InstallsWhatever, ROTATION, 'what_is_not_for_its_key')]


@pytest.fixture
def ask(caplog):
    """A function that asks of a class of authority what the test of a suite does that is named so."""

    def asked(kind, suite, beginning):
        test, = (function for name, function in vars(suite).items()
                 if name.startswith(f'test_{beginning}'))
        word = str(uuid.uuid4())
        given = {'authority': open_authority(kind, memory=word), 'names': ('a.example', 'b.example'),
                 'settle': until_issued, 'another': lambda: open_authority(kind, memory=word),
                 'caplog': caplog}
        for mark in getattr(test, 'pytestmark', ()):
            given[mark.args[0]] = mark.args[1][0]
        wanted = list(inspect.signature(test).parameters)[1:]
        test(suite(), **{name: given[name] for name in wanted})

    return asked


@pytest.mark.parametrize(('kind', 'suite', 'beginning'), FAULTS,
                         ids=[f'{kind.__name__}-{beginning}' for kind, _, beginning in FAULTS])
def test_a_fault_is_found(ask, kind, suite, beginning):
    ask(Waiting if issubclass(kind, Waiting) else Faulty, suite, beginning)
    with pytest.raises((AssertionError, pytest.fail.Exception, KmError, ValueError, InvalidSignature)):
        ask(kind, suite, beginning)
