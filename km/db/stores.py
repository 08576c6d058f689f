# SPDX-License-Identifier: Apache-2.0
"""The rows of secret stores: which ones the workers have enabled. What they keep is not here."""
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from km.db.models import (
    ACTIVE,
    DISABLED,
    PROJECT_SETTINGS,
    SECRET_STORES,
    SECRETS,
    TRANSPORT_KEYS,
)

_columns = SECRET_STORES.c


def all_of_them(connection: sa.Connection) -> Sequence[sa.Row]:
    """Every store, by name."""
    return connection.execute(sa.select(SECRET_STORES).order_by(_columns.name)).all()


def ids(connection: sa.Connection) -> dict[str, str]:
    """The id of every store, by name."""
    return dict(connection.execute(sa.select(_columns.name, _columns.id)).tuples().all())


def get(connection: sa.Connection, store_id: str) -> sa.Row | None:
    """A store."""
    return _one(connection, _columns.id == store_id)


def named(connection: sa.Connection, name: str) -> sa.Row | None:
    """The store of that name."""
    return _one(connection, _columns.name == name)


def default(connection: sa.Connection) -> sa.Row | None:
    """The store that new secrets go to; None before any worker has started."""
    return _one(connection, _columns.global_default)


def outdated(connection: sa.Connection, plugins: Mapping[str, str], *, default: str,
             now: datetime) -> list[sa.Executable]:
    """The statements that make the rows say which stores are enabled; none if they say so already.

    :param plugins: the plugin of every enabled store, by the operator's name.
    :param default: one of these names.
    """
    rows = {row.name: row for row in all_of_them(connection)}
    found: list[sa.Executable] = []
    for name in sorted(rows.keys() | plugins.keys()):
        row, plugin = rows.get(name), plugins.get(name)
        if plugin is None and not _is_referred_to(connection, name):
            found.append(SECRET_STORES.delete().where(_columns.name == name))
            continue
        wanted: dict[str, Any] = {
            'plugin': plugin or (row and row.plugin), 'global_default': name == default,
            'status': ACTIVE if plugin else DISABLED}
        if row is None:
            found.append(SECRET_STORES.insert().values(
                id=str(uuid.uuid4()), name=name, created=now, updated=now, **wanted))
        elif any(row._mapping[column] != value for column, value in wanted.items()):
            found.append(SECRET_STORES.update().where(_columns.name == name).values(
                updated=now, **wanted))
    return found


def _one(connection: sa.Connection, condition: sa.ColumnElement) -> sa.Row | None:
    return connection.execute(sa.select(SECRET_STORES).where(condition)).first()


def _is_referred_to(connection: sa.Connection, name: str) -> bool:
    return any(connection.execute(sa.select(sa.literal(1)).where(column == name).limit(1)).first()
               for column in (PROJECT_SETTINGS.c.preferred_store, TRANSPORT_KEYS.c.store,
                              SECRETS.c.store, SECRETS.c.other_store))
