# SPDX-License-Identifier: Apache-2.0
"""New keys for projects, under which their payloads are sealed anew while they are read and written."""
import json
from collections.abc import Iterator

from km.db import moves, projects
from km.errors import Conflict
from km.interfaces import ProjectKeyRotation, StoredSecret
from km.lifecycle.context import Context, require_project

_PAGE = 100


def count(ctx: Context, project_id: str) -> int:
    """How many payloads a project has in stores where it has a key of its own."""
    with ctx.statement() as connection:
        return sum(moves.count(connection, name, project_id=project_id, now=ctx.clock())
                   for name, _ in _with_keys(ctx))


def rekey(ctx: Context, project_id: str) -> Iterator[str]:
    """Give a project a new key in every store where it has one, and seal all its payloads anew.

    :returns: the ids of the secrets that are done, as they are done.
    :raises CannotOpen, Unavailable: as a store says; what is done is done.
    :raises Invalid: the id is empty.
    """
    require_project(project_id)
    for name, keys in _with_keys(ctx):
        keys.new_project_key(project_id)
        for _ in range(2):  # the second time what was still being stored the first time
            yield from _rekey(ctx, name, keys, project_id)


def destroy_old_keys(ctx: Context, project_id: str) -> int:
    """Destroy all keys of a project but the newest of each store, after ``rekey``.

    :returns: how many were destroyed.
    :raises Conflict: something of it is on its way into a store or out of it, or has expired, and may be
        sealed under an older one.
    :raises CannotOpen, Unavailable: as a store says; the keys stay.
    """
    with ctx.statement() as connection:
        unsettled = projects.unsettled(connection, project_id, now=ctx.clock())
    if unsettled:
        raise Conflict(f'{unsettled} secrets of the project are on their way into a store or out of it; '
                       'the old keys stay until a sweep has ended that.')
    # What was on its way when its store was rekeyed has arrived by now, perhaps under an older key; what
    # has set out since is under the newest.
    for name, keys in _with_keys(ctx):
        for _ in _rekey(ctx, name, keys, project_id):
            pass
    return sum(keys.destroy_project_keys(project_id, newest=False) for _, keys in _with_keys(ctx))


def _with_keys(ctx: Context) -> Iterator[tuple[str, ProjectKeyRotation]]:
    for name, store in ctx.stores.items():
        if keys := store.able(ProjectKeyRotation):
            yield name, keys


def _rekey(ctx: Context, store: str, keys: ProjectKeyRotation, project_id: str) -> Iterator[str]:
    found, after = _PAGE, ''
    while found == _PAGE:
        with ctx.statement() as connection:
            rows = projects.kept(connection, project_id, store=store, after=after, page=_PAGE)
        for row in rows:
            if keys.rekey(StoredSecret(secret_id=row.id, project_id=project_id,
                                       reference=json.loads(row.reference))):
                yield row.id
            after = row.id
        found = len(rows)
