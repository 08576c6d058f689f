# SPDX-License-Identifier: Apache-2.0
"""Comparing the metadata with the stores, both ways, while km serves."""
import json
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Row

from km.db import references
from km.hosting.store import HostedStore
from km.interfaces import Inventory, Kept, StoredSecret
from km.lifecycle.context import Context

LOG = logging.getLogger(__name__)

_PAGE = 100


class Difference(NamedTuple):
    """Something on which a store and the metadata do not agree.

    :param problem: what it is, for an operator.
    :param mended: whether it is so no more.
    """

    store: str
    secret_id: str
    problem: str
    mended: bool = False


def reconcile(ctx: Context, *, fix: bool = False) -> Iterator[Difference]:
    """Find what is missing from the stores, and what is in them and nobody's.

    :param fix: destroy what is nobody's. What is missing nobody can mend.
    :raises Unavailable: a store or the metadata do not answer.
    """
    for store in ctx.stores.values():
        yield from _missing(ctx, store)
        inventory = store.able(Inventory)
        if inventory:
            yield from _of_nobody(ctx, store, inventory, fix=fix)


def _missing(ctx: Context, store: HostedStore) -> Iterator[Difference]:
    after = ''
    while page := _settled(ctx, store, after):
        for row in page:
            # Deleted while we looked, it is missing rightly.
            if store.find(row.id) is None and _still(ctx, row):
                yield Difference(store.name, row.id, 'is missing from the store')
        after = page[-1].id


def _settled(ctx: Context, store: HostedStore, after: str) -> Sequence[Row]:
    with ctx.statement() as connection:
        return references.settled(connection, store.name, after=after, page=_PAGE)


def _still(ctx: Context, row: Row) -> bool:
    with ctx.statement() as connection:
        return references.known(connection, [row.id]).get(row.id) == row


def _of_nobody(ctx: Context, store: HostedStore, inventory: Inventory, *,
               fix: bool) -> Iterator[Difference]:
    after = None
    while page := inventory.kept(after=after, limit=_PAGE):
        with ctx.statement() as connection:  # after the store: whatever is in it had a row before
            rows = references.known(connection, [kept.secret_id for kept in page])
        for kept in page:
            if not _is_somebodys(kept, rows.get(kept.secret_id)) and store.find(kept.secret_id):
                if fix:
                    store.delete(StoredSecret(
                        secret_id=kept.secret_id, project_id='', reference=kept.reference))
                yield Difference(store.name, kept.secret_id, 'is in the store and has no row', fix)
        after = page[-1]


def _is_somebodys(kept: Kept, row: Row | None) -> bool:
    """Whether a row says that this is kept, or that work on it is under way."""
    return row is not None and (row.intent is not None or (
        row.reference is not None and json.loads(row.reference) == kept.reference))
