# SPDX-License-Identifier: Apache-2.0
"""Which certificates are revoked, since when and why (RFC 5280, 5.3).

Every change counts up its issuer's version in the same transaction. So a version that was read tells of
all changes up to it, and a CRL tells whether it has them.
"""
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from km.interfaces import Rejected, RevokeRequest
from km.plugins.certificate_authority.local_ca.issuing import Issuing, serial_text
from km.plugins.certificate_authority.local_ca.ocsp import Status
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES, SIGNERS
from km.plugins.database import PluginDatabase

HOLD, RELEASE = 'certificateHold', 'removeFromCRL'
#: The reasons that are told even of what was revoked for another one.
_WORSE = frozenset({'keyCompromise', 'cACompromise', 'aACompromise'})

_IN_FORCE = CERTIFICATES.c.revoked_at.is_(None)


class _Nothing(Exception):
    """There was nothing to change."""


class Revocation:
    """All methods raise ``Unavailable`` when the database does not answer."""

    def __init__(self, database: PluginDatabase, issuing: Issuing, *, expired: bool,
                 now: Callable[[], datetime]):
        """:param expired: whether a certificate that has ended can be revoked."""
        self._database, self._issuing, self._expired, self._now = database, issuing, expired, now

    def revoke(self, request: RevokeRequest) -> None:
        """Revoke a certificate, put it on hold or take it back from there.

        :raises Rejected: it was not issued here for this order, has ended, or is revoked for good.
        """
        row = self._issuing.find(request.order_id)
        if row is None or row.certificate != request.certificate:
            raise Rejected('This authority issued no such certificate for this order.')
        if row.not_after < self._now() and row.revoked_at is None and not self._expired:
            raise Rejected(f'The certificate has ended at {row.not_after:%Y-%m-%dT%H:%M:%SZ}, and its '
                           'operator has such not revoked.')
        self.revoke_order(request.order_id, request.reason, invalidity_date=request.invalidity_date,
                          revoked_at=min(request.revoked_at, self._now()).replace(microsecond=0))

    def revoke_order(self, order_id: str, reason: str, *, revoked_at: datetime,
                     invalidity_date: datetime | None = None) -> None:
        """The same for the certificate of an order, even one that is not signed yet; nothing if there is
        none."""
        while (row := self._issuing.find(order_id)) is not None:
            status = _new_status(row, reason, revoked_at, invalidity_date)
            if status is None:
                return
            same = (CERTIFICATES.c.reason == row.reason if row.reason
                    else CERTIFICATES.c.reason.is_(None))
            if self._change(row.issuer_id, status, CERTIFICATES.c.serial == row.serial, same):
                return

    def revoke_all(self, issuer_id: str, reason: str) -> None:
        """Revoke whatever an issuer issued and has not ended."""
        self._change(issuer_id, {'revoked_at': self._now(), 'reason': reason, 'invalidity_date': None},
                     _IN_FORCE, CERTIFICATES.c.not_after >= self._now())

    def status(self, issuer_id: str, serial: int) -> Status | None:
        """What an OCSP responder has to say of a serial number; None if no certificate has it."""
        row = self._database.one(
            sa.select(CERTIFICATES.c.revoked_at, CERTIFICATES.c.reason).where(
                CERTIFICATES.c.issuer_id == issuer_id, CERTIFICATES.c.serial == serial_text(serial),
                CERTIFICATES.c.certificate.is_not(None)))
        return None if row is None else Status(revoked_at=row.revoked_at, reason=row.reason)

    def _change(self, issuer_id: str, status: Mapping[str, Any],
                *where: sa.ColumnElement[bool]) -> bool:
        """Whether there was something to change."""
        with contextlib.suppress(_Nothing), self._database.transaction() as connection:
            connection.execute(SIGNERS.update().where(SIGNERS.c.id == issuer_id).values(
                version=SIGNERS.c.version + 1))
            version = connection.scalar(sa.select(SIGNERS.c.version).where(SIGNERS.c.id == issuer_id))
            if not connection.execute(CERTIFICATES.update().where(
                    CERTIFICATES.c.issuer_id == issuer_id, *where).values(
                    **status, changed=version)).rowcount:
                raise _Nothing  # and so no version either, for which a CRL would be made
            return True
        return False


def _new_status(row: sa.Row, reason: str, revoked_at: datetime,
                invalidity_date: datetime | None) -> dict[str, Any] | None:
    """What changes in a row; None if nothing does."""
    if reason == RELEASE:
        if row.revoked_at is None:
            return None
        if row.reason != HOLD:
            raise Rejected('Only a hold can be taken back: the certificate is revoked for good.')
        return {'revoked_at': None, 'reason': None, 'invalidity_date': None}
    if row.revoked_at is None:
        return {'revoked_at': revoked_at, 'reason': reason, 'invalidity_date': invalidity_date}
    if row.reason == reason or reason == HOLD:
        return None
    if row.reason == HOLD or (reason in _WORSE and row.reason not in _WORSE):
        return {'reason': reason, 'invalidity_date': invalidity_date}
    return None
