# SPDX-License-Identifier: Apache-2.0
"""How much a project may have.

Who adds something holds the project's row until it is there, so that no two requests can both take
the last place. A project without limits costs a look and no lock.
"""
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection, Row

from km.db import authorities, consumers, containers, orders, secrets, settings
from km.db.failures import retried
from km.errors import NotFound, QuotaExceeded
from km.lifecycle.context import Context, task

#: How many a project has.
_COUNT: dict[str, Callable[[Connection, str, datetime], int]] = {
    'secrets': lambda connection, project_id, now: secrets.count(connection, project_id, now=now),
    'orders': lambda connection, project_id, _now: orders.count(connection, project_id),
    'containers': lambda connection, project_id, _now: containers.count(connection, project_id),
    'consumers': lambda connection, project_id, _now: consumers.count(connection, project_id),
    'cas': lambda connection, project_id, _now: authorities.count(connection, project_id),
}


def require_room(ctx: Context, connection: Connection, **wanted: int) -> Row | None:
    """Insist that there is room for more, and keep it until the transaction ends.

    :param wanted: how many of each resource come to be.
    :returns: the settings of the project, if it has any.
    :raises QuotaExceeded: there would be too many.
    """
    project_id = ctx.identity.project_id
    project = settings.get(connection, project_id)
    if not _limited(ctx, project, wanted):
        return project
    project = settings.lock(connection, project_id)
    for resource, more in wanted.items():
        limit = limit_of(ctx.quotas, project, resource)
        if 0 <= limit < _COUNT[resource](connection, project_id, ctx.clock()) + more:
            raise QuotaExceeded('Creation not allowed because a quota has been reached.')
    return project


def limit_of(defaults: Mapping[str, int], project: Row | None, resource: str) -> int:
    """What holds for a project: its own quota, or the default; -1 for no limit.

    :param project: its settings, if it has any.
    """
    own = None if project is None else getattr(project, resource)
    return max(-1, defaults[resource] if own is None else own)


@task('project_quotas:put')
@retried
def put(ctx: Context, *, project_id: str, quotas: dict[str, int | None]) -> None:
    """Give a project quotas of its own. What is not named stays; None lets the default hold."""
    with ctx.transaction() as connection:
        settings.set_quotas(connection, project_id, quotas, now=ctx.clock())


@task('project_quotas:delete')
def delete(ctx: Context, *, project_id: str) -> None:
    """Let the defaults hold for a project.

    :raises NotFound: they do.
    """
    with ctx.statement() as connection:
        if not settings.remove_quotas(connection, project_id):
            raise NotFound('Project quotas not found.')


@task('quotas:get')
def defaults(ctx: Context) -> dict[str, int]:
    """The quotas of a project that has none of its own, which the worker's configuration says."""
    return dict(ctx.quotas)


def _limited(ctx: Context, project: Row | None, wanted: Mapping[str, int]) -> bool:
    return any(limit_of(ctx.quotas, project, resource) >= 0 for resource in wanted)
