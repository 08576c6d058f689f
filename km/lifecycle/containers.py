# SPDX-License-Identifier: Apache-2.0
"""The life of a container: created, secrets added and removed, deleted. Its secrets outlive it."""
import uuid

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from km.db import acls, consumers, containers, secrets
from km.db.failures import retried
from km.db.models import CONTAINER
from km.errors import Conflict, NotFound
from km.lifecycle import events, quotas
from km.lifecycle.context import Context, task


@task('containers:post')
@retried
def create(ctx: Context, *, name: str | None, container_type: str,
           members: dict[str, str]) -> str:
    """Create a container.

    :param container_type: generic, rsa or certificate.
    :param members: the ids of its secrets by their names in it.
    :returns: the id.
    :raises NotFound: one of the secrets is not there, or is another project's.
    :raises QuotaExceeded: the project has as many as it may have.
    """
    container_id, now = str(uuid.uuid4()), ctx.clock()
    with ctx.transaction() as connection:
        for missing in _hold(ctx, connection, members):
            raise NotFound(f"Secret provided for '{missing}' doesn't exist.")
        quotas.require_room(ctx, connection, containers=1)
        containers.insert(
            connection, id=container_id, project_id=ctx.identity.project_id,
            creator_id=ctx.identity.user_id, name=name, type=container_type,
            created=now, updated=now)
        containers.add(connection, container_id, members)
        events.add(ctx, connection, 'container.created', project_id=ctx.identity.project_id,
                   resource_type=CONTAINER, resource_id=container_id)
    return container_id


@task('container_secret:post')
@retried
def add(ctx: Context, *, container_id: str, name: str, secret: str) -> None:
    """Add a secret to a container.

    :param name: what to call it there; empty for nothing.
    :param secret: its id. (``secret_id`` would name the thing that the ACL is asked about.)
    :raises NotFound: it is not there, or is another project's.
    :raises Conflict: it, or another of that name, is in there already.
    """
    with ctx.transaction() as connection:
        if _hold(ctx, connection, {name: secret}):
            raise NotFound("Secret provided doesn't exist.")
        _touch(ctx, connection, container_id)
        containers.forget_dead(connection, container_id, now=ctx.clock())
        try:
            containers.add(connection, container_id, {name: secret})
        except IntegrityError:
            raise Conflict('The secret, or another one of that name, is in the container already.'
                           ) from None


@task('container_secret:delete')
@retried
def remove(ctx: Context, *, container_id: str, name: str | None, secret: str) -> None:
    """Remove a secret from a container.

    :param name: what it must be called there; None for any name.
    :raises NotFound: it is not in there.
    """
    with ctx.transaction() as connection:
        _touch(ctx, connection, container_id)
        if not containers.remove(connection, container_id, name=name, secret=secret):
            raise NotFound('Secret provided is not in the container')


@task('container:delete')
@retried
def delete(ctx: Context, *, container_id: str) -> None:
    """Delete a container, its ACL and its consumers; its secrets stay.

    :raises NotFound: it is gone already.
    """
    with ctx.transaction() as connection:
        told = events.wanted(ctx, 'container.deleted') and containers.get(
            connection, container_id, reader=None)
        # First the row: who registers a consumer has it until that is there to be found.
        if not containers.delete(connection, container_id):
            raise _gone()
        if told:
            events.add(ctx, connection, 'container.deleted', project_id=told.project_id,
                       resource_type=CONTAINER, resource_id=container_id)
        acls.forget(connection, CONTAINER, container_id)
        consumers.forget(connection, CONTAINER, container_id)


def _hold(ctx: Context, connection: Connection, members: dict[str, str]) -> list[str]:
    """Keep secrets from being deleted before they are in a container; the names of those not there.

    Any secret of the own project may be named, one that a colleague keeps private too: to be in a
    container gives nobody a right to it, so whoever wants to read it is asked by its own ACL.
    """
    missing = secrets.hold(connection, list(members.values()), project_id=ctx.identity.project_id,
                           now=ctx.clock())
    return [name for name, secret in members.items() if secret in missing]


def _touch(ctx: Context, connection: Connection, container_id: str) -> None:
    if not containers.touch(connection, container_id, now=ctx.clock()):
        raise _gone()


def _gone() -> NotFound:
    return NotFound('Secrets container not found.')
