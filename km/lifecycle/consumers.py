# SPDX-License-Identifier: Apache-2.0
"""Who uses a secret or a container, as they say themselves."""
from sqlalchemy import Connection

from km.db import consumers, containers, secrets
from km.db.failures import retried
from km.db.models import CONTAINER, SECRET
from km.errors import Forbidden, NotFound
from km.lifecycle import quotas
from km.lifecycle.context import Context, task

_TOUCH = {SECRET: secrets.touch, CONTAINER: containers.touch}


@task('{kind}_consumers:post')
@retried
def register(ctx: Context, *, kind: str, object_id: str, **said: str) -> str:
    """Register a consumer. Once more is no error, takes no room and adds nothing.

    :param kind: what ``object_id`` is the id of, such as 'secret'.
    :param said: service, resource_type and resource_id.
    :returns: its id.
    :raises QuotaExceeded: the project has registered as many as it may.
    """
    consumer_id, now = consumers.id_of(kind, object_id, **said), ctx.clock()
    with ctx.transaction() as connection:
        _touch(ctx, connection, kind, object_id)
        if not consumers.renew(connection, consumer_id, now=now):
            quotas.require_room(ctx, connection, consumers=1)
            consumers.insert(connection, consumer_id, kind=kind, object_id=object_id,
                             project_id=ctx.identity.project_id, **said, now=now)
    return consumer_id


@task('{kind}_consumers:delete', reread=('project_id',))
@retried
def remove(ctx: Context, *, kind: str, object_id: str, project_id: str, **said: str) -> None:
    """Remove a consumer.

    :param project_id: whose the thing is, from its row.
    :param said: see ``register``.
    :raises NotFound: there is no such one.
    :raises Forbidden: another project registered it, and the thing is another project's as well.
    """
    consumer_id = consumers.id_of(kind, object_id, **said)
    with ctx.transaction() as connection:
        _touch(ctx, connection, kind, object_id)
        row = consumers.get(connection, kind, object_id, consumer_id)
        if row is None:
            raise NotFound('Consumer not found.')
        if ctx.identity.project_id not in (row.project_id, project_id):
            raise Forbidden('Not Allowed. Sorry, only the creator of a consumer can delete it.')
        consumers.delete(connection, consumer_id)


def _touch(ctx: Context, connection: Connection, kind: str, object_id: str) -> None:
    if not _TOUCH[kind](connection, object_id, now=ctx.clock()):
        raise NotFound(f'{kind.capitalize()} not found.')
