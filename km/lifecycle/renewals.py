# SPDX-License-Identifier: Apache-2.0
"""Renewal: certificates in use are replaced in time, behind the same container; notice of their ends.

Any number of workers may look at once: whoever locks the row of a certificate first places the order.
"""
import json
import logging
import random
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from km.certificates import requests
from km.db import certificates as rows
from km.db import orders, secrets
from km.db.certificate_orders import ISSUE, REQUEST
from km.db.failures import retried
from km.errors import Conflict, KmError, Rejected
from km.identity import Identity
from km.interfaces import RenewalAdviser, RenewalWindow
from km.lifecycle import certificate_orders as placing
from km.lifecycle import certificate_requests, certificates, events, issuers, keys
from km.lifecycle.context import Context, new_intent, task
from km.lifecycle.jobs import FAILED

LOG = logging.getLogger(__name__)

_PAGE = 100
#: Characters that an order has room for.
_LONGEST_META = 4096
#: How soon a certificate is looked at again whose authority did not say when to renew it.
_ASK_AGAIN = timedelta(hours=6)
#: A new certificate is not renewed sooner, or an authority that is confused would be asked without end.
_SHORTEST_LIFE = timedelta(hours=1)
#: So long a renewal may take that is not late.
_LATE = timedelta(hours=1)
#: However late an authority advises, at this part of its lifetime a certificate is renewed; and each day
#: at the latest its advice is asked for anew (RFC 9773, 4.3.2).
_LATEST_PERCENT, _LONGEST_ASK = 95, 86400


@task('certificate:renew')
def renew(ctx: Context, *, certificate_id: str) -> str:
    """Renew a certificate now.

    :returns: the id of the order that does; of the one that is at it already, if there is one.
    :raises Conflict: it was renewed already, or revoked, or its container is gone.
    """
    order_id = _place(ctx, certificate_id)
    if order_id is None:
        raise Conflict('The certificate is not in use any more: it was renewed or revoked, or its '
                       'container was deleted.')
    placing.have_processed(ctx, order_id)
    return order_id


def renew_due(ctx: Context) -> int:
    """Place the orders that renew what is to be renewed by now.

    :returns: how many.
    """
    placed = 0
    while True:
        with ctx.statement() as connection:
            page = rows.to_renew(connection, now=ctx.clock(), page=_PAGE)
        for row in page:
            placed += _look_at(ctx, row)
        if len(page) < _PAGE:
            return placed


def warn(ctx: Context) -> int:
    """Give notice of certificates in use that end soon, once for each of ``[events] expiring_days``.
    There is none of what is renewed in time, nor one so early that the certificate was not there yet.

    :returns: of how many.
    """
    if not events.wanted(ctx, 'certificate.expiring'):
        return 0
    return sum(_warn(ctx, days) for days in sorted(ctx.events.expiring_days))


def forget_former(ctx: Context) -> int:
    """Delete former versions that have ended, but for the last ``[certificates] former_versions``.

    :returns: how many.
    """
    forgotten = 0
    while True:
        with ctx.statement() as connection:
            page = rows.to_forget(connection, keep=ctx.certificates.former_versions, now=ctx.clock(),
                                  page=_PAGE)
        for row in page:
            _forget(ctx, row)
        forgotten += len(page)
        if len(page) < _PAGE:
            return forgotten


@retried
def _forget(ctx: Context, row: Row) -> None:
    """Delete a former version, with what is in the stores for it alone: the sweep erases that."""
    now = ctx.clock()
    with ctx.transaction() as connection:
        rows.delete(connection, row.id)
        theirs = [row.certificate_id, row.intermediates_id]
        if row.owns_key and not rows.has_key(connection, row.private_key_id):
            theirs.append(row.private_key_id)
        for secret_id in filter(None, theirs):
            secrets.mark_deleting(connection, secret_id, intent=new_intent(), now=now)


def _look_at(ctx: Context, row: Row) -> bool:
    """Place the order that renews a certificate, unless it is better renewed later; whether it did."""
    try:
        at = _advised(ctx, row)
        if at > ctx.clock():
            _look_again(ctx, row, at)
            return False
        order_id = _place(ctx, row.id)
    except KmError as error:
        _failed(ctx, row, error.sentence)
        return False
    except Exception:
        LOG.exception('The renewal of certificate %s failed in a way nobody foresaw.', row.id)
        _failed(ctx, row, FAILED)
        return False
    if order_id is not None:
        placing.have_processed(ctx, order_id)
    return order_id is not None


def _advised(ctx: Context, row: Row) -> datetime:
    """When to renew a certificate, or to ask again: as the authority says, or when the order says."""
    usual = _usual(row, row.renew_percent)
    _, authority = issuers.issuer(ctx, row.authority_id)
    adviser = authority.able(RenewalAdviser)
    if adviser is None:
        return usual
    try:
        window = adviser.renewal_window(certificates.content(ctx, row))
    except KmError as error:
        LOG.warning('Nobody says when to renew certificate %s: %s', row.id, error.sentence)
        return min(usual, ctx.clock() + _ASK_AGAIN) if usual > ctx.clock() else usual
    return usual if window is None else _in(window, row, now=ctx.clock())


def _in(window: RenewalWindow, row: Row, *, now: datetime) -> datetime:
    """A moment in a window, of all certificates not the same; or when to ask again, if that is sooner.

    The moment of one certificate stays where it is, however often it is asked for (RFC 9773, 4.2).
    """
    part = random.Random(row.fingerprint).random()  # noqa: S311  nobody gains by guessing it
    moment = window.start + (window.end - window.start) * part
    soonest = min(row.created + _SHORTEST_LIFE, _usual(row, row.renew_percent))
    latest = _usual(row, max(row.renew_percent, _LATEST_PERCENT))
    ask = timedelta(seconds=min(max(window.ask_after_seconds, 60), _LONGEST_ASK))
    return min(max(moment, soonest), latest, now + ask)


def _usual(row: Row, percent: int) -> datetime:
    return certificates.usual_time(row.not_before, row.not_after, percent, created=row.created)


@retried
def _look_again(ctx: Context, row: Row, at: datetime) -> None:
    with ctx.transaction() as connection:
        now = rows.lock(connection, row.id)
        if now is not None and now.renew_at == row.renew_at:
            rows.change(connection, row.id, renew_at=at)
    ctx.remind(at)


@retried
def _failed(ctx: Context, row: Row, reason: str) -> None:
    """Have a renewal tried again that was not even ordered."""
    with ctx.transaction() as connection:
        now = rows.lock(connection, row.id)
        if now is not None and now.renew_at == row.renew_at:
            certificates.renewal_failed(ctx, connection, row.id, order_id=None, reason=reason)


@retried
def _place(ctx: Context, certificate_id: str) -> str | None:
    """Place the order that renews a certificate; its id, or that of the one that is at it already. None
    if the certificate is not in use any more."""
    with ctx.transaction() as connection:
        row = rows.lock(connection, certificate_id)
        if row is None or not row.is_current or row.revocation_asked or not rows.is_in_use(
                connection, row.container_id):
            if row is not None:
                rows.change(connection, row.id, renew_at=None)
            return None
        if row.renewal:
            return row.renewal
        return _insert(ctx, connection, row)


def _insert(ctx: Context, connection: Connection, row: Row) -> str:
    order_id, now = str(uuid.uuid4()), ctx.clock()
    meta = {'request_type': 'renewal', 'profile': row.profile, 'renews': row.id,
            **_details(connection, row)}
    owner = Identity(user_id=row.creator_id, project_id=row.project_id,
                     request_id=ctx.identity.request_id)
    request = _request(row, meta)
    if len(json.dumps(meta, ensure_ascii=False)) > _LONGEST_META:
        raise Rejected('What the order told the authority has no room in the one that renews.')
    placing.insert(
        connection, replace(ctx, identity=owner), order_id, due=now, authority_id=row.authority_id,
        request_type='renewal', profile=row.profile, renews=row.id, renew_percent=row.renew_percent,
        renew_key=row.renew_key, **request, meta=meta)
    rows.change(connection, row.id, renewal=order_id, renew_at=None)
    return order_id


def _details(connection: Connection, row: Row) -> dict[str, Any]:
    """What else the authority was told, if the order that told it is still there."""
    order = orders.get(connection, row.order_id, project_id=row.project_id)
    details = {} if order is None else json.loads(order.meta).get('details')
    return {'details': details} if details else {}


def _request(row: Row, meta: dict[str, Any]) -> dict[str, Any]:
    """How the request of a renewal comes to be: the same again; or, where km has the key and shall make
    another, one like it."""
    if row.private_key_id is None or not row.renew_key:
        return {'step': ISSUE, 'csr': row.csr, 'key_id': row.private_key_id,
                'passphrase_id': row.passphrase_id}
    csr = certificate_requests.decoded(row.csr)
    algorithm, bits = keys.kind_of(requests.public_key_of(csr))
    meta |= {'algorithm': algorithm, 'bit_length': bits, 'subject_dn': requests.subject_of(csr)}
    shown = {**meta, 'subject_alt_names': [
        name for name in requests.names_of(csr) if not name.startswith('CN:')]}
    if len(json.dumps(shown, ensure_ascii=False)) <= _LONGEST_META:
        meta |= shown
    return {'step': REQUEST, 'csr': None}


def _warn(ctx: Context, days: int) -> int:
    warned = 0
    while True:
        now = ctx.clock()
        with ctx.statement() as connection:
            page = rows.to_warn_of(connection, now=now, before=now + timedelta(days=days),
                                   late=now - _LATE, days=days, page=_PAGE)
        for row in page:
            warned += _warn_of(ctx, row, days)
        if len(page) < _PAGE:
            return warned


@retried
def _warn_of(ctx: Context, row: Row, days: int) -> bool:
    with ctx.transaction() as connection:
        now = rows.lock(connection, row.id)
        if now is None or not now.is_current or (now.warned_days or days + 1) <= days:
            return False
        rows.change(connection, row.id, warned_days=days)
        if row.not_after - max(row.not_before, row.created) <= timedelta(days=days):
            return False  # it would have been given with the certificate itself
        events.add(ctx, connection, 'certificate.expiring', project_id=row.project_id,
                   resource_type='certificate', resource_id=row.id, details={
                       **certificates.told(row), 'days_left': (row.not_after - ctx.clock()).days})
    return True
