# SPDX-License-Identifier: Apache-2.0
"""The rows of what was issued, each a version of what its container has."""
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db import pages
from km.db.models import AUTHORITIES, CERTIFICATES, CONTAINERS, ORDERS

_columns = CERTIFICATES.c
_of_id = _columns.id == bindparam('of')
_current = _columns.is_current.is_(sa.true())
_not_revoked = _columns.revocation_asked.is_(None)

_INSERT = CERTIFICATES.insert()
_GET = sa.select(CERTIFICATES).where(_of_id)
_OF_ORDER = sa.select(CERTIFICATES).where(_columns.order_id == bindparam('order'))
_CURRENT_OF = sa.select(CERTIFICATES).where(_columns.container_id == bindparam('container'), _current)
_UPDATE = CERTIFICATES.update().where(_of_id)
_LOCK = CERTIFICATES.update().where(_of_id).values(updated=_columns.updated)
_TO_RENEW = sa.select(CERTIFICATES).where(
    _columns.renew_at <= bindparam('now')).order_by(_columns.renew_at).limit(bindparam('page'))
_TO_REVOKE = sa.select(CERTIFICATES).where(
    _columns.revoke_at <= bindparam('now')).order_by(_columns.revoke_at).limit(bindparam('page'))
_contained = sa.exists().where(CONTAINERS.c.id == _columns.container_id)
#: What has been due for a while, and was neither renewed nor failed to be.
_late = sa.case(
    (_columns.renewal.is_not(None), sa.not_(sa.exists().where(
        ORDERS.c.id == _columns.renewal, ORDERS.c.created > bindparam('late')))),
    else_=sa.or_(_columns.renew_at.is_(None), _columns.renew_at <= bindparam('late')))
_not_on_course = sa.or_(
    _columns.renew_percent.is_(None), _columns.renewal_failures > 0, _late)
_TO_WARN_OF = sa.select(CERTIFICATES).where(
    _current, _columns.not_after > bindparam('now'), _columns.not_after <= bindparam('before'),
    _not_revoked, _contained, _not_on_course,
    sa.or_(_columns.warned_days.is_(None), _columns.warned_days > bindparam('days')),
).order_by(_columns.not_after).limit(bindparam('page'))
_successor = CERTIFICATES.alias('successor')
_TO_FORGET = sa.select(CERTIFICATES).where(
    _columns.is_current.is_(None), _columns.not_after < bindparam('now'), sa.exists().where(
        _successor.c.container_id == _columns.container_id, _successor.c.is_current.is_(sa.true()),
        _successor.c.version > _columns.version + bindparam('keep'))).limit(bindparam('page'))
_OF_KEY = sa.select(_columns.id).where(_columns.private_key_id == bindparam('key')).limit(1)
_DELETE = CERTIFICATES.delete().where(_of_id)
_not_renewed = sa.case((_columns.renewal_failures > 0, 1), else_=0)
_SOONEST = sa.select(
    AUTHORITIES.c.plugin_name, sa.func.count(), sa.func.min(_columns.not_after),
    sa.func.sum(_not_renewed)).select_from(
    CERTIFICATES.join(AUTHORITIES, AUTHORITIES.c.id == _columns.authority_id)).where(
    _current, _not_revoked, _contained).group_by(AUTHORITIES.c.plugin_name)


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add what was issued."""
    connection.execute(_INSERT, {'renewal_failures': 0, **values})


def get(connection: sa.Connection, certificate_id: str) -> sa.Row | None:
    """A certificate."""
    return connection.execute(_GET, {'of': certificate_id}).first()


def of_order(connection: sa.Connection, order_id: str) -> sa.Row | None:
    """What was issued for an order."""
    return connection.execute(_OF_ORDER, {'order': order_id}).first()


def current(connection: sa.Connection, container_id: str) -> sa.Row | None:
    """The version that a container has in it."""
    return connection.execute(_CURRENT_OF, {'container': container_id}).first()


def lock(connection: sa.Connection, certificate_id: str) -> sa.Row | None:
    """A certificate, which nobody else can lock or change before this transaction ends."""
    connection.execute(_LOCK, {'of': certificate_id})
    return get(connection, certificate_id)


def change(connection: sa.Connection, certificate_id: str, **values: Any) -> None:
    """Change what is said of a certificate."""
    connection.execute(_UPDATE, {'of': certificate_id, **values})


def to_renew(connection: sa.Connection, *, now: datetime, page: int) -> Sequence[sa.Row]:
    """Those at whose renewal somebody is to look, longest due first."""
    return connection.execute(_TO_RENEW, {'now': now, 'page': page}).all()


def to_revoke(connection: sa.Connection, *, now: datetime, page: int) -> Sequence[sa.Row]:
    """Those whose revocation was asked for and is due, longest due first."""
    return connection.execute(_TO_REVOKE, {'now': now, 'page': page}).all()


def to_warn_of(connection: sa.Connection, *, now: datetime, before: datetime, late: datetime,
               days: int, page: int) -> Sequence[sa.Row]:
    """Those in use that end before that time, and of which no notice of so few days was given.

    :param late: whatever is renewed by itself, did not fail to be so far, and was due or begun after
        that time is well, and is not among them.
    """
    return connection.execute(_TO_WARN_OF, {
        'now': now, 'before': before, 'late': late, 'days': days, 'page': page}).all()


def to_forget(connection: sa.Connection, *, keep: int, now: datetime, page: int) -> Sequence[sa.Row]:
    """Former versions that have ended, but for the last few of each container."""
    return connection.execute(_TO_FORGET, {'keep': keep, 'now': now, 'page': page}).all()


def has_key(connection: sa.Connection, key_id: str) -> bool:
    """Whether there is a certificate whose private key is that secret."""
    return connection.execute(_OF_KEY, {'key': key_id}).first() is not None


def delete(connection: sa.Connection, certificate_id: str) -> None:
    """Forget a certificate."""
    connection.execute(_DELETE, {'of': certificate_id})


def soonest(connection: sa.Connection) -> list[tuple[str, int, datetime, int]]:
    """Of each plugin: the operator's name of it, how many certificates of its are in use, when the first
    of them ends, and of how many the last renewal failed."""
    return [tuple(row) for row in connection.execute(_SOONEST)]


def page(connection: sa.Connection, project_id: str | None, *, filters: Sequence[pages.Filter] = (),
         former_too: bool = False, limit: int, offset: int,
         order: Sequence[str] = ('created', 'id')) -> tuple[Sequence[sa.Row], int]:
    """One page of a project's certificates, or of all projects', and how many there are.

    :param former_too: those that were renewed, too.
    """
    conditions = [_columns.project_id == project_id] if project_id is not None else []
    if not former_too:
        conditions.append(_current)
    return pages.page(connection, CERTIFICATES, *conditions, filters=filters, limit=limit,
                      offset=offset, order=order)


def is_in_use(connection: sa.Connection, container_id: str) -> bool:
    """Whether the container of a certificate is still there."""
    return connection.execute(sa.select(CONTAINERS.c.id).where(
        CONTAINERS.c.id == container_id)).first() is not None
