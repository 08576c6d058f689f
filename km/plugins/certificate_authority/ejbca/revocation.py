# SPDX-License-Identifier: Apache-2.0
"""Revoking, by EJBCA's names for the reasons. It takes a name to the letter, and no other."""
import logging
from datetime import datetime

from cryptography import x509

from km.interfaces import Rejected, Unavailable
from km.plugins.certificate_authority.ejbca import authority, encodings, failures
from km.plugins.certificate_authority.ejbca.connection import Answer, Connection
from km.plugins.certificate_authority.ejbca.options import EjbcaSettings

LOG = logging.getLogger(__name__)

REASONS = {
    'unspecified': 'UNSPECIFIED', 'keyCompromise': 'KEY_COMPROMISE', 'cACompromise': 'CA_COMPROMISE',
    'affiliationChanged': 'AFFILIATION_CHANGED', 'superseded': 'SUPERSEDED',
    'cessationOfOperation': 'CESSATION_OF_OPERATION', 'certificateHold': 'CERTIFICATE_HOLD',
    'removeFromCRL': 'REMOVE_FROM_CRL', 'privilegeWithdrawn': 'PRIVILEGES_WITHDRAWN',
    'aACompromise': 'AA_COMPROMISE'}
_HOLD, _UNHOLD, _COMPROMISED = (
    REASONS[reason] for reason in ('certificateHold', 'removeFromCRL', 'keyCompromise'))

WAITS = 'The revocation waits to be approved at the certificate authority.'


class Revocation:
    """Revokes certificates of one CA."""

    def __init__(self, connection: Connection, settings: EjbcaSettings):
        """Ask nothing yet."""
        self._connection, self._settings = connection, settings

    def revoke(self, certificate: x509.Certificate, reason: str,
               invalidity_date: datetime | None = None) -> None:
        """Revoke a certificate, if it is not revoked.

        EJBCA says when: its clock is not ours, and it takes no time of its future, and for most profiles
        none of its past.

        :param reason: one of ``REVOCATION_REASONS``.
        :param invalidity_date: UTC without a zone; left out if the profile of EJBCA takes none.
        :raises Rejected: EJBCA knows no such certificate, or never revokes it so.
        :raises Unavailable: not now, or people have to approve it first.
        """
        wish = REASONS[reason]
        where = self._where(certificate)
        now = self._reason_now(where)
        if not _to_do(wish, now):
            return
        answer = self._asked(where, {'reason': wish}, invalidity_date)
        if now in (None, _HOLD) or answer.waiting:
            self._done(answer)  # else it is revoked, and only its reason may be another

    def _asked(self, where: tuple[str, ...], query: dict[str, str],
               invalidity_date: datetime | None) -> Answer:
        if invalidity_date is not None:
            dated = {**query, 'invalidity_date': f'{invalidity_date:%Y-%m-%dT%H:%M:%SZ}'}
            answer = self._connection.ask('PUT', *where, 'revoke', query=dated)
            if answer.status not in (400, 422):
                return answer
            LOG.warning('Certificate authority %s: EJBCA takes no invalidity date; the certificate is '
                        'revoked without.', self._connection.name)
        return self._connection.ask('PUT', *where, 'revoke', query=query)

    def _where(self, certificate: x509.Certificate) -> tuple[str, ...]:
        ca = authority.find(self._connection, self._settings.certificate_authority)
        # Another authority's certificate may have the serial number of one of this CA's.
        if authority.certificates(self._connection, ca)[0].subject != certificate.issuer:
            raise Rejected('The certificate is by another authority.')
        return 'v1', 'certificate', ca.subject_dn, encodings.serial(certificate)

    def _reason_now(self, where: tuple[str, ...]) -> str | None:
        """Why it is revoked already; None if it is not."""
        answer = self._connection.ask('GET', *where, 'revocationstatus')
        if answer.status == 404:
            raise Rejected('EJBCA knows no such certificate.')
        told = answer.fields()
        if not answer.done or not isinstance(told.get('revoked'), bool):
            raise self._connection.not_ejbca()
        return str(told.get('revocation_reason')) if told['revoked'] else None

    def _done(self, answer: Answer) -> None:
        if answer.done or answer.status == 409:
            return
        if answer.waiting:
            raise Unavailable(WAITS, retry_after_seconds=self._settings.poll_seconds)
        if answer.status == 400:
            # Such as that people have been asked already. Nothing that km sent is at fault.
            self._connection.no_answer(
                failures.with_message('EJBCA does not revoke now', answer.message))
            raise Unavailable(failures.SILENT, retry_after_seconds=self._settings.poll_seconds)
        raise Rejected(failures.with_message('EJBCA does not revoke this', answer.message))


def _to_do(wish: str, now: str | None) -> bool:
    """Whether there is anything to do. Of reasons only two changes are possible: from a hold to any
    other, and from any to a compromised key."""
    if now is None:
        return wish != _UNHOLD
    return now != wish and (now == _HOLD or wish == _COMPROMISED)
