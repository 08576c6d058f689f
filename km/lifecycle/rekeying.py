# SPDX-License-Identifier: Apache-2.0
"""New keys in the place of old ones, while km serves: the master key of a store, the keys of a project."""
import json
from collections.abc import Iterator

from km.db import projects
from km.errors import Invalid
from km.interfaces import MasterKeyRotation, ProjectKeyRotation, StoredSecret
from km.lifecycle import stores
from km.lifecycle.context import Context

_PAGE = 100


def master_keys(ctx: Context, store: str) -> MasterKeyRotation:
    """The master keys of a store.

    :raises Unavailable: it is not enabled.
    :raises Invalid: it has none that km can replace.
    """
    found = stores.enabled(ctx, store).able(MasterKeyRotation)
    if found is None:
        raise Invalid(f"The secret store '{store}' has no master key that can be replaced.")
    return found


def rewrap(keys: MasterKeyRotation) -> Iterator[int]:
    """Seal all keys of a store under its newest master key; how many at a time.

    :raises CannotOpen, Unavailable: as the store says; what is done is done.
    """
    while done := keys.rewrap(limit=_PAGE):
        yield done


def rekey(ctx: Context, project_id: str) -> Iterator[str]:
    """Give a project a new key in every store that has one of it, and seal all its payloads anew.

    What was being stored meanwhile may be left: it is as well sealed as before, and the next time done.

    :returns: the ids of the secrets that are done, as they are.
    :raises CannotOpen, Unavailable: as a store says; what is done is done.
    """
    for name, store in ctx.stores.items():
        keys = store.able(ProjectKeyRotation)
        if keys:
            keys.new_project_key(project_id)
            while rekeyed := (yield from _rekey(ctx, name, keys, project_id)):
                pass


def _rekey(ctx: Context, store: str, keys: ProjectKeyRotation, project_id: str):
    """Seal anew what a project has in a store, once; how many there were to do."""
    done, after = 0, ''
    while True:
        with ctx.statement() as connection:
            page = projects.kept(connection, project_id, store=store, after=after, page=_PAGE)
        for row in page:
            if keys.rekey(StoredSecret(secret_id=row.id, project_id=project_id,
                                       reference=json.loads(row.reference))):
                done += 1
                yield row.id
        if len(page) < _PAGE:
            return done
        after = page[-1].id
