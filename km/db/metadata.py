# SPDX-License-Identifier: Apache-2.0
"""The keys and values that users tie to their secrets."""
from collections.abc import Mapping

import sqlalchemy as sa

from km.db.models import SECRET_METADATA

_columns = SECRET_METADATA.c


def get(connection: sa.Connection, secret_id: str) -> dict[str, str]:
    """All of a secret's, by key."""
    rows = connection.execute(
        sa.select(_columns.key, _columns.value).where(_columns.secret_id == secret_id)
        .order_by(_columns.key))
    return {row.key: row.value for row in rows}


def value(connection: sa.Connection, secret_id: str, key: str) -> str | None:
    """One value; None if there is no such key."""
    return connection.execute(
        sa.select(_columns.value).where(*_of(secret_id, key))).scalar_one_or_none()


def replace(connection: sa.Connection, secret_id: str, pairs: Mapping[str, str]) -> None:
    """Put ``pairs`` in the place of everything that was there."""
    connection.execute(SECRET_METADATA.delete().where(_columns.secret_id == secret_id))
    rows = [{'secret_id': secret_id, 'key': key, 'value': value} for key, value in pairs.items()]
    if rows:
        connection.execute(SECRET_METADATA.insert(), rows)


def insert(connection: sa.Connection, secret_id: str, key: str, value: str) -> bool:
    """Add a pair; False if the key is there already.

    Needs a transaction that holds the secret, so that nobody else can add it between the two.
    """
    if _there(connection, secret_id, key):
        return False
    connection.execute(
        SECRET_METADATA.insert(), {'secret_id': secret_id, 'key': key, 'value': value})
    return True


def update(connection: sa.Connection, secret_id: str, key: str, value: str) -> bool:
    """Change a value; False if there is no such key."""
    return connection.execute(
        SECRET_METADATA.update().where(*_of(secret_id, key)), {'value': value}).rowcount == 1


def delete(connection: sa.Connection, secret_id: str, key: str) -> bool:
    """Remove a pair; False if there is no such key."""
    return connection.execute(SECRET_METADATA.delete().where(*_of(secret_id, key))).rowcount == 1


def _there(connection: sa.Connection, secret_id: str, key: str) -> bool:
    return value(connection, secret_id, key) is not None


def _of(secret_id: str, key: str) -> tuple[sa.ColumnElement, sa.ColumnElement]:
    return _columns.secret_id == secret_id, _columns.key == key
