# SPDX-License-Identifier: Apache-2.0
"""The rows of orders: what is asked of them, a function each.

A row is a job. Whoever claims it gets its fencing number, and nothing is written to it afterwards by
anybody who cannot name the last one.
"""
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db import pages
from km.db.models import ACTIVE, CERTIFICATE_ORDERS, DELETING, ERROR, ORDERS, PENDING

#: A sub-status and a sentence.
Told = tuple[str, str] | None

_columns = ORDERS.c

_of_id = _columns.id == bindparam('of')
_of_project = _columns.project_id == bindparam('project')
_visible = _columns.status != DELETING
#: Still to be worked on. One that is on its way out may have something at an authority to give up.
_open = _columns.status.in_((PENDING, DELETING))
_due = sa.and_(_open, _columns.lease_until <= bindparam('now'))

_GET = sa.select(ORDERS).where(_of_id, _of_project, _visible)
_STATE = sa.select(ORDERS).where(_of_id)
_INSERT = ORDERS.insert()
#: What an authority may be at is not simply removed.
_at_authority = sa.and_(_columns.type == 'certificate', _columns.status == PENDING)
_DELETE = ORDERS.delete().where(_of_id, _of_project, _visible, sa.not_(_at_authority))
_REMOVE = ORDERS.delete().where(_of_id)
_COUNT = sa.select(sa.func.count()).select_from(ORDERS).where(_of_project, _visible)
_DUE = sa.select(ORDERS).where(_due).with_for_update(skip_locked=True)
_NEXT_DUE = _DUE.order_by(_columns.lease_until).limit(1)
_ENDED = sa.select(_columns.id, _columns.project_id).where(
    _columns.status.in_((ACTIVE, ERROR)), _columns.updated < bindparam('before')).limit(
        bindparam('page'))
_CLAIM = ORDERS.update().where(_of_id, _columns.fence == bindparam('seen'), _open)
_OUTCOME = ORDERS.update().where(_of_id, _columns.fence == bindparam('by'), _open)
# Whoever has claimed it must not put it off again, knowing nothing of why it is to be looked at.
_HURRY = ORDERS.update().where(_of_id, _of_project, _at_authority).values(fence=_columns.fence + 1)


def get(connection: sa.Connection, order_id: str, *, project_id: str) -> sa.Row | None:
    """An order of a project."""
    return connection.execute(_GET, {'of': order_id, 'project': project_id}).first()


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add a pending order. It is due at ``lease_until``; ``fence`` is 1 if somebody has it already."""
    connection.execute(_INSERT, {'status': PENDING, 'attempts': 0, **values})


def claim(connection: sa.Connection, order_id: str | None = None, *, now: datetime,
          until: datetime) -> sa.Row | None:
    """Make a due order one's own until then. Needs a transaction.

    :param order_id: which; None for the one that has been due longest and that nobody else is
        claiming right now.
    :returns: the order, with the claim's number in ``fence``; None if it is not due, or there is none.
    """
    wanted, values = (_NEXT_DUE, {}) if order_id is None else (_DUE.where(_of_id), {'of': order_id})
    found = connection.execute(wanted, {**values, 'now': now}).first()
    if found is None or not connection.execute(_CLAIM, {
            'of': found.id, 'seen': found.fence, 'fence': found.fence + 1,
            'attempts': found.attempts + 1, 'lease_until': until}).rowcount:
        return None
    return connection.execute(_STATE, {'of': found.id}).one()


def still_claimed(connection: sa.Connection, order_id: str, *, fence: int, until: datetime) -> bool:
    """Make a claim good until then; False if it is not the last one, or the order is gone."""
    return connection.execute(_OUTCOME, {
        'of': order_id, 'by': fence, 'lease_until': until}).rowcount == 1


def due_now(connection: sa.Connection, order_id: str, *, project_id: str, now: datetime,
            deleting: bool) -> bool:
    """Have a pending order of a certificate looked at anew at once, whoever is at it; False if there is
    none.

    :param deleting: whether it shall not exist for clients any more.
    """
    return connection.execute(_HURRY, {
        'of': order_id, 'project': project_id, 'status': DELETING if deleting else PENDING,
        'lease_until': now}).rowcount == 1


def give_up_certificates(connection: sa.Connection, project_id: str, *, now: datetime) -> None:
    """Have a project's pending orders of certificates given up and removed. Needs a transaction."""
    values = {'project': project_id}
    connection.execute(ORDERS.update().where(_of_project, _at_authority).values(
        fence=_columns.fence + 1), {**values, 'status': DELETING, 'lease_until': now})
    # By what is so already: one that came in between would be removed, and yet not given up.
    leaving = sa.select(_columns.id).where(
        _of_project, _columns.type == 'certificate', _columns.status == DELETING)
    connection.execute(CERTIFICATE_ORDERS.update().where(
        CERTIFICATE_ORDERS.c.order_id.in_(leaving)), {**values, 'cancelled': True})


def fulfilled(connection: sa.Connection, order_id: str, *, fence: int, secret_id: str | None,
              container_id: str | None, now: datetime, told: Told = None) -> bool:
    """Record what an order has made; False if the claim is not the last one, or the order is gone.

    :param told: its sub-status and a sentence, if there is more to say.
    """
    return connection.execute(_OUTCOME, {
        'of': order_id, 'by': fence, 'status': ACTIVE, 'secret_id': secret_id,
        'container_id': container_id, 'updated': now, **_told(told)}).rowcount == 1


def failed(connection: sa.Connection, order_id: str, *, fence: int, code: str, reason: str,
           now: datetime, told: Told = None) -> bool:
    """Give an order up.

    :param code: what HTTP would call it, as text.
    """
    return connection.execute(_OUTCOME, {
        'of': order_id, 'by': fence, 'status': ERROR, 'error_status_code': code,
        'error_reason': reason, 'updated': now, **_told(told)}).rowcount == 1


def postponed(connection: sa.Connection, order_id: str, *, fence: int, until: datetime,
              told: Told = None) -> bool:
    """Let an order be due again at a later time."""
    return connection.execute(_OUTCOME, {
        'of': order_id, 'by': fence, 'lease_until': until, **_told(told)}).rowcount == 1


def _told(told: Told) -> dict[str, str]:
    return {} if told is None else {'sub_status': told[0], 'sub_status_message': told[1]}


def delete(connection: sa.Connection, order_id: str, *, project_id: str) -> bool:
    """Remove an order; False if there is none, or it is a pending one of a certificate."""
    return connection.execute(_DELETE, {'of': order_id, 'project': project_id}).rowcount == 1


def remove(connection: sa.Connection, order_id: str) -> None:
    """Remove an order that has ended, of which clients know nothing any more."""
    connection.execute(_REMOVE, {'of': order_id})


def ended(connection: sa.Connection, *, before: datetime, page: int) -> Sequence[sa.Row]:
    """Orders that were fulfilled or given up before that time: id and project."""
    return connection.execute(_ENDED, {'before': before, 'page': page}).all()


def count(connection: sa.Connection, project_id: str) -> int:
    """How many orders a project has."""
    return connection.execute(_COUNT, {'project': project_id}).scalar_one()


def page(connection: sa.Connection, project_id: str, *, types: Sequence[str],
         filters: Sequence[pages.Filter], limit: int, offset: int) -> tuple[Sequence[sa.Row], int]:
    """One page of a project's orders of these types, and how many there are."""
    return pages.page(connection, ORDERS, _columns.project_id == project_id, _visible,
                      _columns.type.in_(types), filters=filters, limit=limit, offset=offset)
