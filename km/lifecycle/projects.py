# SPDX-License-Identifier: Apache-2.0
"""Forgetting a project that Keystone has no more.

Nothing records that it was begun: begun anew after being cut off, it goes on with what is left.
"""
import logging
from collections.abc import Callable, Iterator

from sqlalchemy import Row, Table

from km.db import orders, projects
from km.db import secrets as rows
from km.db.failures import retried
from km.db.models import ACTIVE, CONTAINERS, SECRETS, STORING
from km.errors import NotFound
from km.interfaces import ProjectKeyRotation
from km.lifecycle import containers, secrets, stores, subordinates
from km.lifecycle.context import Context, new_intent, require_project

LOG = logging.getLogger(__name__)

_PAGE = 100


def forget(ctx: Context, project_id: str) -> int:
    """Erase all that km has of a project: orders, containers, secrets with their payloads, ACLs, user
    metadata and consumers, its authorities, quotas, its preferred store, what it registered with others'
    things, and its keys in the stores, so that no backup of a store's database opens with what is in
    use. What was issued for it is not revoked; what is being issued is given up.

    A payload whose store does not answer is erased by the sweep; the keys then stay until the project is
    forgotten once more.

    :returns: how many secrets and containers there were.
    :raises Invalid: the id is empty.
    """
    require_project(project_id)
    _forget_settings(ctx, project_id)  # orders first: they would make more
    subordinates.forget(ctx, project_id)
    gone = 0
    for container in _all(ctx, CONTAINERS, project_id):
        gone += _is_gone(containers.delete, ctx, container_id=container.id)
    for secret in _all(ctx, SECRETS, project_id):
        if secret.status == ACTIVE:
            gone += _is_gone(secrets.delete, ctx, secret_id=secret.id)
        elif secret.status == STORING:
            gone += _is_gone(_stop_storing, ctx, secret_id=secret.id)
    _destroy_keys(ctx, project_id)
    if gone:
        LOG.info('Project %s is forgotten, with %d secrets and containers.', project_id, gone)
    return gone


def _destroy_keys(ctx: Context, project_id: str) -> None:
    with ctx.statement() as connection:
        if projects.has_secrets(connection, project_id):
            return
    for name, store in ctx.stores.items():
        if keys := store.able(ProjectKeyRotation):
            with stores.left_to_the_sweep(f'The key of project {project_id} in store {name}'):
                keys.destroy_project_keys(project_id, newest=True)


@retried
def _forget_settings(ctx: Context, project_id: str) -> None:
    with ctx.transaction() as connection:
        orders.give_up_certificates(connection, project_id, now=ctx.clock())
        projects.forget(connection, project_id)


def _all(ctx: Context, table: Table, project_id: str) -> Iterator[Row]:
    after = ''
    while True:
        with ctx.statement() as connection:
            page = projects.page(connection, table, project_id, after=after, page=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _is_gone(delete: Callable[..., None], ctx: Context, **what: str) -> bool:
    """Whether it was here that a thing went, and not elsewhere meanwhile."""
    try:
        delete(ctx, **what)
    except NotFound:
        return False
    return True


def _stop_storing(ctx: Context, *, secret_id: str) -> None:
    """Take back a secret whose payload is on its way into a store; who is at it will find it gone.

    :raises NotFound: it is gone.
    """
    with ctx.statement() as connection:
        row = rows.state(connection, secret_id)
        taken = row is not None and row.status == STORING and rows.take_over(
            connection, row, intent=new_intent(), now=ctx.clock())
        row = rows.state(connection, secret_id)
    if row is None:
        raise NotFound('Secret not found.')
    if taken:
        with stores.left_to_the_sweep(f'Secret {secret_id}'):
            secrets.undo_storing(ctx, row)
    else:
        secrets.delete(ctx, secret_id=secret_id)
