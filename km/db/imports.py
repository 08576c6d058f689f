# SPDX-License-Identifier: Apache-2.0
"""What an import asks of the metadata database, a page of things in each statement."""
import itertools
import operator
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from km.db.models import (
    ACL_USERS,
    ACTIVE,
    CONSUMERS,
    CONTAINER,
    CONTAINER_SECRETS,
    CONTAINERS,
    SECRET,
    SECRET_METADATA,
    SECRETS,
    STORING,
)

_HEADS = {SECRET: SECRETS, CONTAINER: CONTAINERS}

#: Rows of one table, as values by the names of its columns: the same names in each.
Values = Sequence[dict[str, Any]]


def there(connection: sa.Connection, kind: str, ids: Collection[str]) -> dict[str, sa.Row]:
    """The secrets or containers of these ids, whatever state they are in, by id."""
    head = _HEADS[kind]
    found = connection.execute(sa.select(head).where(head.c.id.in_(sorted(ids)))).all()
    return {row.id: row for row in found}


def user_metadata(connection: sa.Connection, ids: Collection[str]) -> dict[str, list[sa.Row]]:
    """The keys and values that users tied to these secrets, by secret."""
    return _grouped(connection, SECRET_METADATA, 'secret_id', ids)


def acl_users(connection: sa.Connection, kind: str, ids: Collection[str]) -> dict[str, list[sa.Row]]:
    """The users that the ACLs of these things name, by thing."""
    return _grouped(connection, ACL_USERS, 'object_id', ids, ACL_USERS.c.kind == kind)


def consumers(connection: sa.Connection, kind: str, ids: Collection[str]) -> dict[str, list[sa.Row]]:
    """The consumers of these things, by thing."""
    return _grouped(connection, CONSUMERS, 'object_id', ids, CONSUMERS.c.kind == kind)


def members(connection: sa.Connection, ids: Collection[str]) -> dict[str, list[sa.Row]]:
    """What is in these containers, by container."""
    return _grouped(connection, CONTAINER_SECRETS, 'container_id', ids)


def add_secrets(connection: sa.Connection, rows: Values) -> None:
    """Add secrets; those with ``intent`` are on their way into a store and exist for nobody yet."""
    _add(connection, SECRETS, [
        {**row, 'status': STORING if row['intent'] else ACTIVE} for row in rows])


def add_containers(connection: sa.Connection, rows: Values) -> None:
    """Add empty containers."""
    _add(connection, CONTAINERS, [{**row, 'status': ACTIVE} for row in rows])


def add_members(connection: sa.Connection, rows: Values) -> None:
    """Put secrets into containers."""
    _add(connection, CONTAINER_SECRETS, rows)


def add_user_metadata(connection: sa.Connection, rows: Values) -> None:
    """Tie keys and values to secrets."""
    _add(connection, SECRET_METADATA, rows)


def add_acl_users(connection: sa.Connection, rows: Values) -> None:
    """Name users in ACLs."""
    _add(connection, ACL_USERS, rows)


def add_consumers(connection: sa.Connection, rows: Values) -> None:
    """Add consumers, under ids of ``km.db.consumers.id_of``."""
    _add(connection, CONSUMERS, rows)


def _add(connection: sa.Connection, table: sa.Table, rows: Values) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _grouped(connection: sa.Connection, table: sa.Table, column: str, ids: Collection[str],
             *where: sa.ColumnElement) -> dict[str, list[sa.Row]]:
    key = table.c[column]
    found = connection.execute(
        sa.select(table).where(key.in_(sorted(ids)), *where).order_by(key)).all()
    return {of: list(rows) for of, rows in itertools.groupby(found, operator.attrgetter(column))}
