# SPDX-License-Identifier: Apache-2.0
"""Changing who may read a thing beside its project."""
from km.db import acls
from km.db.failures import retried
from km.errors import NotFound
from km.lifecycle.context import Context, task


@task('{kind}_acls:put_patch')
@retried
def put(ctx: Context, *, kind: str, object_id: str, project_access: bool | None,
        users: list[str] | None) -> None:
    """Set an ACL, creating it if there is none.

    :param kind: what ``object_id`` is the id of, such as 'secret'.
    :param project_access: whether the whole project may read; None leaves it as it is.
    :param users: Keystone user ids who may read; None leaves them as they are.
    """
    with ctx.transaction() as connection:
        if not acls.put(connection, kind, object_id, project_access=project_access, users=users,
                        now=ctx.clock()):
            raise NotFound(f'{kind.capitalize()} not found.')


@task('{kind}_acls:delete', '{kind}_acls:put_patch')
@retried
def delete(ctx: Context, *, kind: str, object_id: str) -> None:
    """Remove an ACL: the project may read, nobody else."""
    with ctx.transaction() as connection:
        if not acls.delete(connection, kind, object_id, now=ctx.clock()):
            raise NotFound(f'{kind.capitalize()} not found.')
