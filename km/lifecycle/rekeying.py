# SPDX-License-Identifier: Apache-2.0
"""New keys in the place of old ones, while km serves: a store's master key, a project's own."""
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
    """Give a project a new key in every store where it has one, and seal all its payloads anew.

    :returns: the ids of the secrets that are done, as they are done.
    :raises CannotOpen, Unavailable: as a store says; what is done is done.
    """
    for name, store in ctx.stores.items():
        keys = store.able(ProjectKeyRotation)
        if keys:
            keys.new_project_key(project_id)
            for _ in range(2):  # the second time what was still being stored the first time
                yield from _rekey(ctx, name, keys, project_id)


def _rekey(ctx: Context, store: str, keys: ProjectKeyRotation, project_id: str) -> Iterator[str]:
    page, after = _PAGE, ''
    while page == _PAGE:
        with ctx.statement() as connection:
            rows = projects.kept(connection, project_id, store=store, after=after, page=_PAGE)
        for row in rows:
            if keys.rekey(StoredSecret(secret_id=row.id, project_id=project_id,
                                       reference=json.loads(row.reference))):
                yield row.id
            after = row.id
        page = len(rows)
