# SPDX-License-Identifier: Apache-2.0
"""The rows of transport keys: public halves, and where the store has the private ones."""
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from km.db import pages
from km.db.models import ACTIVE, DELETING, STORING, TRANSPORT_KEYS

_columns = TRANSPORT_KEYS.c
_active = _columns.status == ACTIVE


def get(connection: sa.Connection, key_id: str) -> sa.Row | None:
    """A key that exists for clients."""
    return _one(connection, _columns.id == key_id, _active)


def current(connection: sa.Connection) -> sa.Row | None:
    """The key that km gives out."""
    return _one(connection, _columns.is_current)


def page(connection: sa.Connection, *, plugin_name: str | None, limit: int,
         offset: int) -> tuple[Sequence[sa.Row], int]:
    """One page of the keys, oldest first, and how many there are.

    :param plugin_name: only those of that plugin; None for all.
    """
    filters = [] if plugin_name is None else [pages.Filter('plugin_name', 'eq', plugin_name)]
    return pages.page(
        connection, TRANSPORT_KEYS, _active, filters=filters, limit=limit, offset=offset)


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add a key. With ``intent`` its private half is on its way into a store."""
    status = STORING if values.get('intent') else ACTIVE
    connection.execute(TRANSPORT_KEYS.insert(), {'status': status, **values})


def make_current(connection: sa.Connection, key_id: str, *, intent: str,
                 reference: Mapping[str, str | int], instead_of: str | None, now: datetime) -> bool:
    """Record that a key's private half is stored, and give that key out from now on.

    Needs a transaction. False, and nothing done, if ``intent`` was taken for dead or if the current
    key is another than ``instead_of``, where None is none.
    """
    try:
        with connection.begin_nested() as savepoint:
            if (instead_of is None or _step_down(connection, instead_of, now=now)) and (
                    connection.execute(_of_intent(key_id, intent).values(
                        status=ACTIVE, is_current=True, reference=json.dumps(dict(reference)),
                        intent=None, intent_at=None, updated=now)).rowcount == 1):
                return True
            savepoint.rollback()
    except IntegrityError:  # there is a current key already
        pass
    return False


def mark_deleting(connection: sa.Connection, key_id: str, *, intent: str, now: datetime) -> bool:
    """Make a key invisible on its way out; False if it is so already."""
    return connection.execute(TRANSPORT_KEYS.update().where(_columns.id == key_id, _active).values(
        status=DELETING, is_current=None, intent=intent, intent_at=now)).rowcount == 1


def state(connection: sa.Connection, key_id: str) -> sa.Row | None:
    """Where a key stands, whether clients can see it or not."""
    return _one(connection, _columns.id == key_id)


def delete(connection: sa.Connection, key_id: str) -> None:
    """Remove the row of a key that clients cannot see."""
    connection.execute(TRANSPORT_KEYS.delete().where(_columns.id == key_id, sa.not_(_active)))


def superseded(connection: sa.Connection, *, before: datetime) -> Sequence[str]:
    """Ids of km's own keys that were current until that time or one before it."""
    return connection.execute(sa.select(_columns.id).where(
        _active, _columns.is_current.is_(None), _columns.store.is_not(None),
        _columns.updated <= before)).scalars().all()


def abandoned(connection: sa.Connection, *, before: datetime, page: int) -> Sequence[sa.Row]:
    """Keys whose way into or out of a store was begun before that time, oldest first."""
    return connection.execute(sa.select(TRANSPORT_KEYS).where(
        _columns.intent_at < before).order_by(_columns.intent_at).limit(page)).all()


def take_over(connection: sa.Connection, row: sa.Row, *, intent: str, now: datetime) -> bool:
    """Make an abandoned intent one's own; False if somebody did, or it came back to life."""
    return connection.execute(_of_intent(row.id, row.intent).values(
        intent=intent, intent_at=now)).rowcount == 1


def _step_down(connection: sa.Connection, key_id: str, *, now: datetime) -> bool:
    return connection.execute(TRANSPORT_KEYS.update().where(
        _columns.id == key_id, _columns.is_current).values(is_current=None, updated=now)).rowcount == 1


def _of_intent(key_id: str, intent: str) -> sa.Update:
    return TRANSPORT_KEYS.update().where(_columns.id == key_id, _columns.intent == intent)


def _one(connection: sa.Connection, *conditions: sa.ColumnElement) -> sa.Row | None:
    return connection.execute(sa.select(TRANSPORT_KEYS).where(*conditions)).first()
