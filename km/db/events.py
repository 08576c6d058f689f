# SPDX-License-Identifier: Apache-2.0
"""The outbox: what notifiers are still to be told, a row for each event and notifier.

A row is a job. Whoever claims it moves ``due`` into the future, so that nobody else tells of it
meanwhile, and its ``attempts`` count the claims: each claim compares that number.
"""
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import EVENTS

_columns = EVENTS.c

_of_notifier = _columns.notifier == bindparam('to')
_of_claim = sa.and_(_columns.id == bindparam('of'), _columns.attempts == bindparam('seen'))

_INSERT = EVENTS.insert()
_NOTIFIERS_DUE = sa.select(_columns.notifier).where(_columns.due <= bindparam('now')).distinct()
_DUE = sa.select(EVENTS).where(_of_notifier, _columns.due <= bindparam('now')).order_by(
    _columns.due, _columns.id).limit(bindparam('page'))
_AGED = sa.select(EVENTS).where(_of_notifier, _columns.occurred <= bindparam('before')).limit(
    bindparam('page'))
_CLAIM = EVENTS.update().where(_of_claim)
_DELETE = EVENTS.delete().where(_columns.id == bindparam('of'))
_UNTOLD = sa.select(_columns.notifier, sa.func.count(), sa.func.min(_columns.occurred)).group_by(
    _columns.notifier)


def insert(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add what is to be told, due at once. Needs a transaction if there are several rows.

    :param rows: with ``id``, ``event_id``, ``notifier``, ``kind``, ``project_id``, ``resource_type``,
        ``resource_id``, ``details`` (JSON) and ``occurred``.
    """
    connection.execute(_INSERT, [{**row, 'due': row['occurred'], 'attempts': 0} for row in rows])


def notifiers_due(connection: sa.Connection, *, now: datetime) -> set[str]:
    """The names of the notifiers that are to be told of something now."""
    return set(connection.execute(_NOTIFIERS_DUE, {'now': now}).scalars())


def due(connection: sa.Connection, notifier: str, *, now: datetime, page: int) -> Sequence[sa.Row]:
    """What a notifier is to be told of now; what has been due longest first."""
    return connection.execute(_DUE, {'to': notifier, 'now': now, 'page': page}).all()


def claim(connection: sa.Connection, row: sa.Row, *, until: datetime) -> bool:
    """Make a row one's own until then; False if somebody else has claimed it since it was read."""
    return connection.execute(_CLAIM, {
        'of': row.id, 'seen': row.attempts, 'attempts': row.attempts + 1, 'due': until}).rowcount == 1


def postpone(connection: sa.Connection, row: sa.Row, *, until: datetime) -> bool:
    """Let what one has claimed be due again at that time; False if it is somebody else's by now.

    :param row: as it was before the claim.
    """
    return connection.execute(_CLAIM, {
        'of': row.id, 'seen': row.attempts + 1, 'due': until}).rowcount == 1


def delete(connection: sa.Connection, row_id: str) -> None:
    """Remove what was told, or never will be, whoever has claimed it."""
    connection.execute(_DELETE, {'of': row_id})


def aged(connection: sa.Connection, notifier: str, *, before: datetime, page: int) -> Sequence[sa.Row]:
    """What a notifier was to be told of that occurred at that time or before."""
    return connection.execute(_AGED, {'to': notifier, 'before': before, 'page': page}).all()


def untold(connection: sa.Connection) -> dict[str, tuple[int, datetime]]:
    """Of how many events each notifier, by its name, is still to be told; when the oldest occurred."""
    return {name: (count, oldest) for name, count, oldest in connection.execute(_UNTOLD)}
