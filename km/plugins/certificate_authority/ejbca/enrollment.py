# SPDX-License-Identifier: Apache-2.0
"""Certificates by one call: EJBCA makes the end entity and the certificate at once.

The same question may come many times: an order goes on from what EJBCA has for it, and from nothing km
remembers but how often EJBCA said 400.
"""
import secrets
from dataclasses import replace
from typing import Any

from cryptography import x509

from km.interfaces import Issued, Pending, Rejected
from km.plugins.certificate_authority.ejbca import authority, encodings, failures, searching
from km.plugins.certificate_authority.ejbca.connection import Answer, Connection
from km.plugins.certificate_authority.ejbca.delivery import Delivery
from km.plugins.certificate_authority.ejbca.options import EjbcaSettings
from km.plugins.certificate_authority.ejbca.order import Order, Progress

REFUSED = 'EJBCA refuses the order'
WAITS = 'The order waits to be approved at the certificate authority.'


class Enrollment:
    """Orders certificates by one call each."""

    def __init__(self, connection: Connection, settings: EjbcaSettings, delivery: Delivery):
        """Ask nothing yet."""
        self._connection, self._settings, self._delivery = connection, settings, delivery

    def go_on(self, order: Order, progress: Progress) -> Issued | Pending:
        """Go on with an order from wherever it is.

        :raises Rejected: EJBCA will not have it.
        :raises NoAnswer: not now.
        """
        return self._made_already(order) or self._next(order, progress)

    def cancel(self, order: Order) -> None:
        """Leave nothing valid of an order.

        :raises NoAnswer: not now.
        """
        made = searching.certificate(self._connection, order.username, order.csr)
        if made is not None:
            self._delivery.take_back(made)

    def _next(self, order: Order, progress: Progress) -> Issued | Pending:
        return self._enrolled(order, progress, self._connection.ask(
            'POST', 'v1', 'certificate', 'pkcs10enroll', body={
                'certificate_request': order.pem(),
                'certificate_profile_name': order.profile.certificate,
                'end_entity_profile_name': order.profile.end_entity,
                'certificate_authority_name': self._settings.certificate_authority,
                'username': order.username,
                'password': secrets.token_urlsafe(24),
                'include_chain': True,
                **order.end_time()}))

    def _made_already(self, order: Order) -> Issued | None:
        made = searching.certificate(self._connection, order.username, order.csr)
        if made is None:
            return None
        ca = authority.find(self._connection, self._settings.certificate_authority)
        return self._delivery.checked(order, made, authority.certificates(self._connection, ca))

    def _enrolled(self, order: Order, progress: Progress, answer: Answer) -> Issued | Pending:
        """What comes of a call that should have made a certificate."""
        if answer.done:
            return self._delivery.checked(order, *self._read(answer.fields()))
        if answer.waiting:
            return self._pending(progress, WAITS)
        # An earlier call, of which km gave up to hear, may have made it in the meantime.
        return self._made_already(order) or self._refused(progress, answer)

    def _refused(self, progress: Progress, answer: Answer) -> Pending:
        sentence = failures.with_message(REFUSED, answer.message)
        if answer.status != 400:
            raise Rejected(sentence)
        # Raises, and counts nothing, if it is not the order that is at fault.
        authority.find(self._connection, self._settings.certificate_authority)
        if progress.refusals >= self._settings.retries_of_400:
            raise Rejected(sentence)
        return self._pending(replace(progress, refusals=progress.refusals + 1), sentence)

    def _pending(self, progress: Progress, sentence: str) -> Pending:
        return Pending(reference=progress.reference(), sentence=sentence,
                       poll_after_seconds=self._settings.poll_seconds)

    def _read(self, told: dict[str, Any]) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
        try:
            return (encodings.certificate(told['certificate']),
                    tuple(map(encodings.certificate, told.get('certificate_chain') or ())))
        except (ValueError, KeyError, TypeError):
            raise self._connection.not_ejbca() from None
