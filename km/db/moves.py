# SPDX-License-Identifier: Apache-2.0
"""The rows of secrets whose payloads move from one store to another."""
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import ACTIVE, SECRETS
from km.db.secrets import ALIVE

_columns = SECRETS.c
_kept = sa.and_(_columns.store == bindparam('source'), _columns.reference.is_not(None), ALIVE)
_movable = sa.and_(_kept, _columns.intent.is_(None))
_of_intent = _columns.intent == bindparam('by')
_these = _columns.id.in_(bindparam('ids', expanding=True))

_COUNT = sa.select(sa.func.count()).select_from(SECRETS).where(_kept)
_COUNT_LEFT_BEHIND = sa.select(sa.func.count()).select_from(SECRETS).where(
    _columns.other_store == bindparam('source'))
_NEXT = sa.select(_columns.id).where(_movable, _columns.id > bindparam('after')).order_by(
    _columns.id).limit(bindparam('page'))
_CLAIM = SECRETS.update().where(_these, _movable)
_CLAIMED = sa.select(
    _columns.id, _columns.project_id, _columns.secret_type, _columns.algorithm, _columns.bit_length,
    _columns.status, _columns.store, _columns.reference, _columns.other_store, _columns.intent
    ).where(_these, _of_intent).order_by(_columns.id)
_SWITCH = SECRETS.update().where(
    _columns.id == bindparam('of'), _of_intent, _columns.status == ACTIVE)
_RELEASE = SECRETS.update().where(_these, _of_intent, _columns.status == ACTIVE)


def count(connection: sa.Connection, store: str, *, project_id: str | None, now: datetime) -> int:
    """How many secrets have their payload in a store, on the move or not.

    :param project_id: only that project's; None for all.
    """
    return connection.execute(
        _of(_COUNT, project_id), {'source': store, 'project': project_id, 'now': now}).scalar_one()


def count_left_behind(connection: sa.Connection, store: str, *, project_id: str | None) -> int:
    """How many secrets are in another store, or on their way, and something of them may be in
    this one.

    :param project_id: only that project's; None for all.
    """
    return connection.execute(
        _of(_COUNT_LEFT_BEHIND, project_id), {'source': store, 'project': project_id}).scalar_one()


def page(connection: sa.Connection, store: str, *, project_id: str | None, after: str, limit: int,
         now: datetime) -> Sequence[str]:
    """Ids of secrets that are in a store and could be moved, by id from ``after`` on."""
    return connection.execute(_of(_NEXT, project_id), {
        'source': store, 'project': project_id, 'after': after, 'page': limit,
        'now': now}).scalars().all()


def claim(connection: sa.Connection, ids: Sequence[str], *, source: str, target: str, intent: str,
          now: datetime) -> Sequence[sa.Row]:
    """Begin to move secrets; the rows of those that are still in ``source`` with nobody else at them."""
    connection.execute(_CLAIM, {'ids': ids, 'source': source, 'now': now, 'intent': intent,
                                'intent_at': now, 'other_store': target})
    return claimed(connection, ids, intent=intent)


def claimed(connection: sa.Connection, ids: Sequence[str], *, intent: str) -> Sequence[sa.Row]:
    """Those of the secrets that still have this intent, as they are."""
    return connection.execute(_CLAIMED, {'ids': ids, 'by': intent}).all()


def switch(connection: sa.Connection, arrived: Mapping[str, Mapping[str, str | int]], *, source: str,
           target: str, intent: str) -> None:
    """Let secrets be where they have arrived; those that were deleted or taken over stay as they are.

    :param arrived: their new references, by id.
    """
    connection.execute(_SWITCH, [
        {'of': secret_id, 'by': intent, 'store': target, 'reference': json.dumps(dict(reference)),
         'other_store': source} for secret_id, reference in arrived.items()])


def release(connection: sa.Connection, ids: Sequence[str], *, intent: str) -> None:
    """Record that of these nothing is left in the other store."""
    connection.execute(_RELEASE, {
        'ids': ids, 'by': intent, 'intent': None, 'intent_at': None, 'other_store': None})


def _of(statement: sa.Select, project_id: str | None) -> sa.Select:
    return statement if project_id is None else statement.where(
        _columns.project_id == bindparam('project'))
