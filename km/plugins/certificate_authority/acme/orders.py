# SPDX-License-Identifier: Apache-2.0
"""An order from its placing to its certificate (RFC 8555, 7.4).

What the authority says of an order decides what comes next, each time anew: nothing here depends on what
km did before it was killed. An order of km's has one of the authority's at a time, and the authority
issues at most one certificate for each of those.
"""
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import josepy
from cryptography import x509

from km.interfaces import (
    Issued,
    IssueRequest,
    NotSupported,
    Pending,
    PendingOrder,
    Rejected,
    Unavailable,
)
from km.plugins.certificate_authority.acme import chains, challenges, identifiers, problems, renewal
from km.plugins.certificate_authority.acme.challenges import Answers
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.session import Resource, Session
from km.plugins.certificate_authority.acme.transport import is_url

LOG = logging.getLogger(__name__)

#: How often an order that is of no use any more is placed again, before km's is given up.
_MOST_PLACED = 5
#: The most steps in one call: each but the last is one that the authority took at once.
_MOST_STEPS = 8
_MOST_AUTHORIZATIONS = 500
#: How an order is that gets no certificate any more. All but the first are not RFC 8555's.
_ENDED = ('invalid', 'deactivated', 'expired', 'revoked')
#: How often in a row an order must not be found to be believed gone: some authorities have several
#: databases, one of which may not know it yet.
_MISSED = 3


class Waiting(NamedTuple):
    """How long to wait before asking again: at least, and at the most if the authority does not say."""

    shortest_seconds: float
    longest_seconds: float


class Orders:
    """The orders of one instance of the plugin."""

    def __init__(self, answers: Answers, *, directory_url: str, preferred_chain: str | None,
                 waiting: Waiting):
        """Touch nothing yet."""
        self._answers, self._directory_url = answers, directory_url
        self._preferred_chain, self._waiting = preferred_chain, waiting

    def place(self, session: Session, request: IssueRequest, *, placed: int = 1) -> Pending:
        """Place an order.

        :param placed: how many of the authority's km's order has had with this one.
        :raises Refusal, Rejected, NotSupported, Unavailable: there is none now.
        """
        payload = self._new_order(session, request)
        try:
            answer = session.post(session.conversation.resource('newOrder'), payload)
        except Refusal as refusal:
            # What is replaced was replaced already, or is not this authority's; that is no reason to
            # have no certificate (RFC 9773, 5).
            if 'replaces' not in payload or refusal.passes:
                raise
            del payload['replaces']
            answer = session.post(session.conversation.resource('newOrder'), payload)
        url = answer.headers.get('Location')
        if not is_url(url):
            raise Unavailable('The authority does not say where the order is.')
        return Pending(
            reference={'order': url, 'directory': self._directory_url, 'placed': placed},
            poll_after_seconds=0, sentence='The order is placed with the authority.')

    def advance(self, session: Session, pending: PendingOrder) -> Issued | Pending:
        """Go on with an order as far as the authority does at once.

        :raises Refusal, Rejected, Unavailable: as the authority says; it may have been given up.
        """
        journey = _Journey(session, pending, _read_csr(pending.order))
        if pending.reference.get('directory') != self._directory_url:
            return self._place_again(journey)
        try:
            order = session.read(str(pending.reference.get('order')))
        except Refusal as refusal:
            if refusal.says_it_is_gone:
                return self._missed(journey)
            raise
        steps = {'pending': self._prove, 'ready': self._finalize, 'valid': self._download,
                 **dict.fromkeys(_ENDED, self._give_up)}
        for _ in range(_MOST_STEPS):
            outcome = steps.get(order.status, self._wait)(journey, order)
            if not isinstance(outcome, Resource):
                return outcome
            order = outcome
        return self._wait(journey, order)

    def cancel(self, session: Session, pending: PendingOrder) -> None:
        """Have an order come to nothing, unless it is past that: what is to be proved yet is given up.

        :raises Refusal, Unavailable: not now.
        """
        if pending.reference.get('directory') != self._directory_url:
            return
        try:
            order = session.read(str(pending.reference.get('order')))
            if order.status == 'pending':
                for authorization in _authorizations(session, order):
                    if authorization.status == 'pending':
                        session.read(authorization.url, {'status': 'deactivated'})
        except Refusal as refusal:
            if refusal.passes:
                raise

    def _new_order(self, session: Session, request: IssueRequest) -> dict[str, object]:
        conversation = session.conversation
        named = identifiers.ordered(identifiers.read(request.csr))
        if any(one['value'].startswith(identifiers.WILDCARD) for one in named) and (
                self._answers.kinds and 'dns-01' not in self._answers.kinds):
            raise Rejected('A wildcard is proved by dns-01, for which no challenge responder is set up.')
        payload: dict[str, object] = {'identifiers': named}
        if request.profile is not None:
            profiles = conversation.meta.get('profiles')
            if not isinstance(profiles, Mapping) or request.profile not in profiles:
                raise NotSupported(f"The authority has no profile '{request.profile}'.")
            payload['profile'] = request.profile
        if request.not_after is not None:
            payload['notAfter'] = request.not_after.isoformat(timespec='seconds') + 'Z'
        replaced = renewal.certificate_id(request.replaces) if request.replaces else None
        if replaced and conversation.directory.get('renewalInfo'):
            payload['replaces'] = replaced
        return payload

    def _missed(self, journey: '_Journey') -> Pending:
        before = journey.pending.reference
        if before.get('stage') == 'missed' and int(before.get('waited', 0)) >= _MISSED - 1:
            return self._place_again(journey)
        return self._pending(journey, 'missed', None, 'The authority does not find the order.')

    def _place_again(self, journey: '_Journey') -> Pending:
        """Place another order instead of one that gets no certificate for this request any more."""
        request = journey.pending.order
        LOG.warning('Order %s of the project %s is placed with the authority again: %s is of no use.',
                    request.order_id, request.project_id, journey.pending.reference.get('order'))
        self._answers.remove(request.order_id)
        placed = int(journey.pending.reference.get('placed', 1))
        if placed >= _MOST_PLACED:
            raise Rejected(f'{placed} orders in a row came to nothing at the authority, for no reason '
                           'that it gives.')
        return self.place(journey.session, request, placed=placed + 1)

    def _prove(self, journey: '_Journey', order: Resource) -> Resource | Pending | Issued:
        """Have every name proved that is not yet."""
        session, order_id = journey.session, journey.pending.order.order_id
        found = _authorizations(session, order)
        if any(one.status not in ('pending', 'valid') for one in found):
            return self._give_up(journey, order)
        unproved = [one for one in found if one.status == 'pending']
        self._answers.remove(order_id, but=set().union(*map(challenges.tokens, unproved)))
        if not unproved:
            order = session.read(order.url)
            return self._wait(journey, order) if order.status == 'pending' else order
        try:
            waits = [self._proved(journey, one) for one in unproved]
        except Rejected:
            with contextlib.suppress(Refusal, Unavailable):
                self.cancel(session, journey.pending)
            raise
        if any(waits):
            return self._pending(journey, 'proving', max(waits), 'The proofs are not visible yet.')
        told = [one.wait for one in unproved if one.wait is not None]
        return self._pending(journey, 'proved', max(told) if told else None,
                             'The authority looks at the proofs.')

    def _proved(self, journey: '_Journey', authorization: Resource) -> float:
        if challenges.name_of(authorization) not in journey.names:
            raise Rejected('The authority wants a proof of a name that was not ordered.')
        return self._answers.prove(journey.session, journey.pending.order.order_id, authorization)

    def _finalize(self, journey: '_Journey', order: Resource) -> Resource:
        """Send the request for the certificate."""
        try:
            finalized = journey.session.read(
                str(order.fields.get('finalize')),
                {'csr': josepy.b64encode(journey.pending.order.csr).decode()})
        except Refusal as refusal:
            if refusal.passes:
                raise
            # Perhaps another call, which was thought to be dead, has sent it: the order says so.
            now = journey.session.read(order.url)
            if refusal.kind != 'orderNotReady' and now.status not in ('processing', 'valid'):
                raise
            return now
        return finalized._replace(url=order.url)

    def _wait(self, journey: '_Journey', order: Resource) -> Pending:
        return self._pending(journey, order.status, order.wait,
                             f'The authority says that the order is {problems.cleaned(order.status)}.')

    def _download(self, journey: '_Journey', order: Resource) -> Issued | Pending:
        chain = chains.download(journey.session, str(order.fields.get('certificate')),
                                preferred=self._preferred_chain)
        if chain[0].public_key() != journey.csr.public_key():
            # Authorities give one order to all that an account orders with the same names, until it is
            # finalized; this one was finalized by another of km's orders.
            return self._place_again(journey)
        self._answers.remove(journey.pending.order.order_id)
        return chains.issued(chain)

    def _give_up(self, journey: '_Journey', order: Resource) -> Pending:
        """Tell why an order has failed; place another if it did not fail, but was taken away."""
        found = _authorizations(journey.session, order)
        reasons = [_failure(one) for one in found if one.status == 'invalid']
        if not reasons and order.fields.get('error'):
            reasons = [problems.described(order.fields['error'])]
        if reasons:
            raise Rejected(f'The order has failed at the authority: {"; ".join(reasons[:5])}')
        if order.status == 'invalid' and all(one.status == 'valid' for one in found):
            raise Rejected('The order has failed at the authority, which does not say why.')
        return self._place_again(journey)

    def _pending(self, journey: '_Journey', stage: str, wait: float | None, sentence: str) -> Pending:
        """Wait as long as was said, else twice as long each time nothing has changed."""
        before = journey.pending.reference
        waited = int(before.get('waited', 0)) + 1 if before.get('stage') == stage else 0
        if wait is None:
            wait = min(self._waiting.shortest_seconds * 2.0 ** min(waited, 30),
                       self._waiting.longest_seconds)
        kept = {name: before[name] for name in ('order', 'directory', 'placed') if name in before}
        return Pending(reference={**kept, 'stage': problems.cleaned(stage), 'waited': waited},
                       poll_after_seconds=max(wait, self._waiting.shortest_seconds), sentence=sentence)


class _Journey(NamedTuple):
    """A call that goes on with an order."""

    session: Session
    pending: PendingOrder
    csr: x509.CertificateSigningRequest

    @property
    def names(self) -> set[str]:
        """What may have to be proved."""
        return {one['value'].removeprefix(identifiers.WILDCARD) for one in identifiers.ordered(self.csr)}


def _read_csr(request: IssueRequest) -> x509.CertificateSigningRequest:
    return identifiers.read(request.csr)


def _authorizations(session: Session, order: Resource) -> Sequence[Resource]:
    urls = order.fields.get('authorizations')
    if not isinstance(urls, list) or len(urls) > _MOST_AUTHORIZATIONS:
        raise Unavailable('The authority does not say what it wants proved.')
    return [session.read(url) for url in urls]


def _failure(authorization: Resource) -> str:
    found = authorization.fields.get('challenges')
    errors = dict.fromkeys(
        problems.described(one['error']) for one in (found if isinstance(found, list) else ())
        if isinstance(one, Mapping) and one.get('error'))
    reasons = '; '.join(list(errors)[:3]) or problems.described(None)
    return f'{problems.cleaned(challenges.name_of(authorization))}: {reasons}'
