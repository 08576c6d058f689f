# SPDX-License-Identifier: Apache-2.0
"""Revocation: asked for in the row, carried out at the authority, and repeated until it is."""
import contextlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Row

from km.db import certificate_orders
from km.db import certificates as rows
from km.db.failures import retried
from km.errors import Conflict, KmError, NotFound, NotSupported, Rejected, Unavailable
from km.hosting.guest import asked_seconds
from km.interfaces import RevokeRequest
from km.lifecycle import certificate_orders as placing
from km.lifecycle import certificates, events, issuers
from km.lifecycle.context import Context, task

LOG = logging.getLogger(__name__)

_PAGE = 100
_PAUSE, _SHORTEST_PAUSE = timedelta(minutes=5), timedelta(seconds=1)
HOLD, REMOVE, COMPROMISED = 'certificateHold', 'removeFromCRL', 'keyCompromise'
_NOT_REVOKED = dict.fromkeys(
    ('revocation_reason', 'revocation_asked', 'invalidity_date', 'revoke_at', 'revoked'))


@task('certificate:revoke')
def revoke(ctx: Context, *, certificate_id: str, reason: str,
           invalidity_date: datetime | None = None) -> bool:
    """Revoke a certificate. Once this returns it will be, whatever happens.

    :param reason: one of ``km.interfaces.REVOCATION_REASONS``.
    :param invalidity_date: since when its key is not to be trusted, UTC without a zone.
    :returns: whether the authority has done so already; else it is asked again and again.
    :raises Conflict: it is revoked already, or has nothing to be taken back.
    :raises Rejected, NotSupported: as the authority says; then it is not revoked.
    """
    row = _ask(ctx, certificate_id, reason, invalidity_date)
    if reason == COMPROMISED and row.renewal:
        _end_renewal_of_key(ctx, row)
    try:
        _carry_out(ctx, row)
    except Unavailable as error:
        _later(ctx, row, error)
        return False
    return True


@task('order:revoke')
def revoke_of_order(ctx: Context, *, order_id: str, reason: str,
                    invalidity_date: datetime | None = None) -> bool:
    """The same for what an order made.

    :raises NotFound: it made no certificate.
    """
    with ctx.statement() as connection:
        row = rows.of_order(connection, order_id)
    if row is None:
        raise NotFound('The order has no certificate.')
    return revoke(ctx, certificate_id=row.id, reason=reason, invalidity_date=invalidity_date)


def revoke_due(ctx: Context) -> int:
    """Carry out what was asked for and an authority has not done yet.

    :returns: how many.
    """
    done = 0
    while True:
        with ctx.statement() as connection:
            page = rows.to_revoke(connection, now=ctx.clock(), page=_PAGE)
        for row in page:
            try:
                _carry_out(ctx, row)
                done += 1
            except (Rejected, NotSupported, NotFound) as error:
                LOG.error('Certificate %s is not revoked, as was asked for: %s', row.id, error.sentence)
            except KmError as error:
                LOG.warning('Certificate %s is revoked later: %s', row.id, error.sentence)
                _later(ctx, row, error)
        if len(page) < _PAGE:
            return done


@retried
def _ask(ctx: Context, certificate_id: str, reason: str, invalidity_date: datetime | None) -> Row:
    """Write down that a certificate is to be revoked."""
    now = ctx.clock()
    with ctx.transaction() as connection:
        row = rows.lock(connection, certificate_id)
        if row is None:
            raise NotFound('Certificate not found.')
        on_hold = row.revocation_reason == HOLD
        if reason == REMOVE and not on_hold:
            raise Conflict('The certificate is not on hold.')
        if row.revocation_asked and (not on_hold or reason == HOLD):
            raise Conflict('The certificate is revoked already.')
        # What is on hold keeps the time since when, to be so again if more is refused.
        rows.change(connection, row.id, revocation_reason=reason, revocation_asked=now,
                    invalidity_date=invalidity_date, revoke_at=now + _PAUSE, renew_at=None)
        return rows.get(connection, row.id) or row


def _end_renewal_of_key(ctx: Context, row: Row) -> None:
    """Have a renewal given up that would certify a key once more which others have."""
    with ctx.statement() as connection:
        csr = certificate_orders.requests(connection, [row.renewal]).get(row.renewal)
    if csr == row.csr:
        owned = replace(ctx, identity=replace(ctx.identity, project_id=row.project_id))
        with contextlib.suppress(Conflict):  # it has ended meanwhile
            placing.cancel(owned, order_id=row.renewal)


def _carry_out(ctx: Context, row: Row) -> None:
    """Have an authority revoke a certificate, and write down that it did.

    :raises Rejected, NotSupported: it does not; then it was never asked for, and what is on hold stays.
    :raises Unavailable: not now.
    """
    try:
        authority, plugin = issuers.issuer(ctx, row.authority_id)
        plugin.revoke(RevokeRequest(
            authority=authority.plugin_ca_id, order_id=row.order_id,
            certificate=certificates.content(ctx, row), reason=row.revocation_reason,
            revoked_at=row.revocation_asked, invalidity_date=row.invalidity_date))
    except (Rejected, NotSupported, NotFound):
        _record(ctx, row, **_NOT_REVOKED if row.revoked is None else {
            **_NOT_REVOKED, 'revocation_reason': HOLD, 'revocation_asked': row.revoked,
            'revoked': row.revoked})
        raise
    _record(ctx, row, **_NOT_REVOKED if row.revocation_reason == REMOVE else {
        'revoked': ctx.clock(), 'revoke_at': None})


@retried
def _record(ctx: Context, row: Row, **outcome: object) -> None:
    with ctx.transaction() as connection:
        now = rows.lock(connection, row.id)
        if now is None or now.revocation_asked != row.revocation_asked:
            return  # something else was asked for meanwhile
        if not outcome.get('revocation_asked', True) and now.is_current and now.renewal is None:
            outcome['renew_at'] = None if now.renew_percent is None else ctx.clock()
        rows.change(connection, row.id, **outcome)
        if outcome.get('revoked') and 'revocation_asked' not in outcome:
            events.add(ctx, connection, 'certificate.revoked', project_id=row.project_id,
                       resource_type='certificate', resource_id=row.id,
                       details={**certificates.told(row), 'reason': row.revocation_reason})


def _later(ctx: Context, row: Row, error: KmError) -> None:
    asked = asked_seconds(error)
    pause = max(timedelta(seconds=asked), _SHORTEST_PAUSE) if asked else _PAUSE
    at = ctx.clock() + pause
    _record(ctx, row, revoke_at=at)
    ctx.remind(at)
