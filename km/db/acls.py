# SPDX-License-Identifier: Apache-2.0
"""ACLs. Their head (project access, times) is in the row they belong to; their users are here."""
from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from km.db.models import ACL_USERS, ACTIVE, CONTAINER, CONTAINERS, SECRET, SECRETS

_HEADS = {SECRET: SECRETS, CONTAINER: CONTAINERS}


def users(connection: sa.Connection, kind: str, object_id: str) -> Sequence[str]:
    """The users an ACL names, sorted."""
    return connection.execute(
        sa.select(ACL_USERS.c.user_id).where(*_of(kind, object_id))
        .order_by(ACL_USERS.c.user_id)).scalars().all()


def put(connection: sa.Connection, kind: str, object_id: str, *, project_access: bool | None,
        users: Iterable[str] | None, now: datetime) -> bool:
    """Set an ACL, creating it if there is none; what is None stays as it is.

    Needs a transaction. Returns False if the object is gone.
    """
    head = _HEADS[kind]
    changes = {'acl_updated': now, 'updated': now,
               'acl_created': sa.func.coalesce(head.c.acl_created, now)}
    if project_access is not None:
        changes['project_access'] = project_access
    if not _changed(connection, head, object_id, changes):
        return False
    if users is not None:
        connection.execute(ACL_USERS.delete().where(*_of(kind, object_id)))
        rows = [{'kind': kind, 'object_id': object_id, 'user_id': user} for user in set(users)]
        if rows:
            connection.execute(ACL_USERS.insert(), rows)
    return True


def delete(connection: sa.Connection, kind: str, object_id: str, *, now: datetime) -> bool:
    """Back to the default: the project may read, nobody else. Returns False if the object is gone.

    Needs a transaction. The head goes first, as in ``put``: it is what one of them waits for.
    """
    changed = _changed(connection, _HEADS[kind], object_id, {
        'project_access': True, 'acl_created': None, 'acl_updated': None, 'updated': now})
    if changed:
        forget(connection, kind, object_id)
    return changed


def forget(connection: sa.Connection, kind: str, object_id: str) -> None:
    """Remove the users of an ACL whose object goes."""
    connection.execute(ACL_USERS.delete().where(*_of(kind, object_id)))


def _of(kind: str, object_id: str) -> tuple[sa.ColumnElement, sa.ColumnElement]:
    return ACL_USERS.c.kind == kind, ACL_USERS.c.object_id == object_id


def _changed(connection: sa.Connection, head: sa.Table, object_id: str, changes: dict) -> bool:
    return connection.execute(head.update().where(
        head.c.id == object_id, head.c.status == ACTIVE).values(changes)).rowcount == 1
