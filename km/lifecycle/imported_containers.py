# SPDX-License-Identifier: Apache-2.0
"""Bringing over containers, and the quotas of projects: rows, and no store."""
import itertools
import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row

from km.db import imports as rows
from km.db import secrets as secret_rows
from km.db import settings
from km.db.failures import retried
from km.db.models import CONTAINER
from km.lifecycle.context import Context
from km.lifecycle.imported_parts import Acl, Consumer, add_shared, head, shared_differences
from km.lifecycle.imports import IMPORTED, LEFT, Outcome, compared

_DESCRIBED = 'project_id', 'creator_id', 'name', 'type', 'created'


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container to bring over, as ``km.db.models.CONTAINERS`` has it.

    :param members: name, or None, and secret's id of each; no secret and no name is there twice.
    :param acl: None if it has none.
    """

    id: str
    project_id: str
    creator_id: str | None
    name: str | None
    type: str
    created: datetime
    updated: datetime
    members: Sequence[tuple[str | None, str]]
    acl: Acl | None
    consumers: Sequence[Consumer]


def bring_containers(ctx: Context, page: Sequence[Container], *, dry_run: bool = False,
                     left: Collection[str] = ()) -> list[Outcome]:
    """Bring over containers all of whose secrets are in km already.

    :param dry_run: whether to look only. IMPORTED is then what would be.
    :param left: ids of secrets that a dry run of theirs left.
    :returns: an outcome for each.
    :raises Unavailable: the metadata database does not answer.
    """
    with ctx.statement() as connection:
        there = rows.there(connection, CONTAINER, [container.id for container in page])
        outcomes = _compared(connection, [found for found in page if found.id in there], there)
    new = [container for container in page if container.id not in there]
    if dry_run:
        return outcomes + _outcomes(new, set(left))
    of_project = operator.attrgetter('project_id')
    for project, found in itertools.groupby(sorted(new, key=of_project), of_project):
        outcomes += _brought(ctx, project, list(found))
    return outcomes


@retried
def _brought(ctx: Context, project: str, new: Sequence[Container]) -> list[Outcome]:
    """Bring over the containers of one project, whose secrets cannot go meanwhile."""
    with ctx.transaction() as connection:
        complete, missing = list(new), set[str]()
        while gone := secret_rows.hold(connection, list(_secrets_of(complete)), project_id=project,
                                       now=ctx.clock()):
            missing |= gone
            complete = [found for found in complete if missing.isdisjoint(_secrets_of([found]))]
        _add(connection, complete)
    return _outcomes(new, missing)


def _outcomes(new: Sequence[Container], missing: set[str]) -> list[Outcome]:
    return [Outcome(container.id, IMPORTED) if missing.isdisjoint(_secrets_of([container]))
            else Outcome(container.id, LEFT, 'secrets in it are not in km') for container in new]


def _secrets_of(containers: Sequence[Container]) -> set[str]:
    return {secret for container in containers for _, secret in container.members}


def _add(connection: Connection, complete: Sequence[Container]) -> None:
    rows.add_containers(connection, [{
        'id': container.id, 'updated': container.updated, **head(container.acl),
        **{column: getattr(container, column) for column in _DESCRIBED}} for container in complete])
    rows.add_members(connection, [
        {'container_id': container.id, 'secret_id': secret, 'name': name}
        for container in complete for name, secret in container.members])
    add_shared(connection, CONTAINER, complete)


def _compared(connection: Connection, known: Sequence[Container],
              there: Mapping[str, Row]) -> list[Outcome]:
    members = rows.members(connection, [container.id for container in known])
    shared = shared_differences(connection, CONTAINER, known, there)
    outcomes = []
    for container in known:
        row = there[container.id]
        kept = {(found.name, found.secret_id) for found in members.get(container.id, ())}
        outcomes.append(compared(container.id, [
            *(column for column in _DESCRIBED if getattr(row, column) != getattr(container, column)),
            *(['list of secrets'] if kept != set(container.members) else []),
            *shared[container.id]]))
    return outcomes


def bring_quotas(ctx: Context, project_id: str, quotas: Mapping[str, int | None], *,
                 dry_run: bool = False) -> Outcome:
    """Bring over the quotas of a project; None in them is what the defaults hold for.

    :raises Unavailable: the metadata database does not answer.
    """
    with ctx.statement() as connection:
        row = settings.get(connection, project_id)
    if row is not None and row.quotas_set is not None:
        return compared(project_id, [name for name in settings.RESOURCES
                                     if getattr(row, name) != quotas[name]])
    if not dry_run:
        _set_quotas(ctx, project_id, quotas)
    return Outcome(project_id, IMPORTED)


@retried
def _set_quotas(ctx: Context, project_id: str, quotas: Mapping[str, int | None]) -> None:
    with ctx.transaction() as connection:
        settings.set_quotas(connection, project_id, quotas, now=ctx.clock())
