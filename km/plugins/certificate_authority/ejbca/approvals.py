# SPDX-License-Identifier: Apache-2.0
"""Certificates in two steps: an end entity, which people may have to approve, and then its certificate.

This takes the end entities of EJBCA's REST interface, which only its Enterprise Edition has.
"""
import re
from dataclasses import replace

from km.interfaces import Issued, Pending, Rejected
from km.plugins.certificate_authority.ejbca import names, searching
from km.plugins.certificate_authority.ejbca.connection import Answer
from km.plugins.certificate_authority.ejbca.enrollment import WAITS, Enrollment
from km.plugins.certificate_authority.ejbca.order import Order, Progress

NOT_APPROVED = 'The order was not approved at the certificate authority, or not in time.'
TAKEN = 'The end entity of the order was used for another key, or may have no certificates any more.'

#: EJBCA's numbers are of 32 bits; those that it draws are of 64 at the most.
_ID, _IDS_END = re.compile('[0-9]{1,19}'), 10 ** 19

_WAITING, _GENERATED, _OVER = 'WAITINGFORADDAPPROVAL', 'GENERATED', ('REVOKED', 'HISTORICAL')


class ApprovedEnrollment(Enrollment):
    """Orders certificates in two steps."""

    def require_end_entities(self) -> None:
        """Find out whether this EJBCA has what it takes.

        :raises NoAnswer: it has not, or does not say.
        """
        searching.entity_status(self._connection, f'{self._settings.username_prefix}check')

    def cancel(self, order: Order) -> None:
        super().cancel(order)
        answer = self._connection.ask('DELETE', 'v1', 'endentity', order.username)
        if not answer.done and answer.status != 404:
            raise self._connection.no_answer(f'EJBCA keeps the end entity {order.username} (status '
                                             f'{answer.status}).')

    def _next(self, order: Order, progress: Progress) -> Issued | Pending:
        status = searching.entity_status(self._connection, order.username)
        if status is not None:
            return self._of_entity(order, progress, status)
        if progress.approval is not None:
            return self._of_approval(order, progress, progress.approval)
        return self._of_new_entity(order, progress)

    def _of_entity(self, order: Order, progress: Progress, status: str) -> Issued | Pending:
        if status == _WAITING:
            return self._pending(progress, WAITS)
        if status == _GENERATED or status in _OVER:
            made = self._made_already(order)  # it may have been made since it was looked for
            if made is None:
                raise Rejected(TAKEN)
            return made
        return self._enrolled(order, progress, self._connection.ask(
            'POST', 'v1', 'certificate', 'certificaterequest', body={
                'certificate_request': order.pem(),
                'certificate_authority_name': self._settings.certificate_authority,
                'username': order.username,
                'password': self._settings.password(order.username),
                'include_chain': True}))

    def _of_approval(self, order: Order, progress: Progress, approval: int) -> Issued | Pending:
        """Ask whether people still have to approve it: there is no end entity, because they have or they
        would not."""
        answer = self._connection.ask('POST', 'v1', 'certificate', str(approval), 'finalize', body={
            'response_format': 'DER', 'password': self._settings.password(order.username)})
        if answer.done or answer.waiting:
            return self._enrolled(order, progress, answer)
        status = searching.entity_status(self._connection, order.username)
        if status is None:
            raise Rejected(NOT_APPROVED)
        return self._of_entity(order, progress, status)  # it was approved just now

    def _of_new_entity(self, order: Order, progress: Progress) -> Issued | Pending:
        answer = self._connection.ask('POST', 'v1', 'endentity', body={
            'username': order.username,
            'password': self._settings.password(order.username),
            'subject_dn': names.subject_dn(order.csr),
            'subject_alt_name': names.subject_alt_name(order.csr),
            'ca_name': self._settings.certificate_authority,
            'certificate_profile_name': order.profile.certificate,
            'end_entity_profile_name': order.profile.end_entity,
            'token': 'USERGENERATED',
            **order.end_time()})
        if answer.waiting:
            return self._pending(replace(progress, approval=_request_id(answer)), WAITS)
        if answer.done:
            return self._of_entity(order, progress, 'NEW')
        if answer.status == 400 and order.request.attempt > 1:
            # As when people were asked by an attempt that was cut off: EJBCA asks them only once, and
            # does not say again by what number. Then there will be an end entity, or none for ever.
            return self._pending(progress, WAITS)
        return self._refused(progress, answer)


def _request_id(answer: Answer) -> int | None:
    """By what number people are asked. Some versions tell it, some only in a link that is of no other
    use: it leads to nothing."""
    told = answer.fields()
    number = told.get('request_id')
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < _IDS_END:
        return number
    link = told.get('link')
    numbers = [part for part in link.split('/') if _ID.fullmatch(part)] if isinstance(link, str) else []
    return int(numbers[-1]) if numbers else None
