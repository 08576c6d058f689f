# SPDX-License-Identifier: Apache-2.0
"""Moving payloads from one store to another while they are read, and killed at any step.

A secret that moves is active all the time. Its row names the other store besides: the one in which
nothing of it must be left in the end. That is where it goes to until it has arrived, is read back and
equal; then one statement says that it is there, and the other store is the one that it came from.
So whoever ends an abandoned move erases what is in the other store; it has moved, or it has not.
"""
import hmac
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Row

from km.db import moves
from km.db import secrets as rows
from km.db.failures import retried
from km.db.models import ACTIVE
from km.errors import CannotOpen, Conflict, Invalid, NotFound, Rejected
from km.hosting.deadlines import Overdue
from km.interfaces import Reference, StoredSecret, StoreRequest
from km.lifecycle import secrets, stores
from km.lifecycle.context import Context, new_intent, task

_PAGE = 50
#: What keeps one secret from being moved, and no other.
_UNMOVABLE = (CannotOpen, NotFound, Rejected)


class Moved(NamedTuple):
    """What became of one secret that was to move.

    :param gone: whether it was deleted meanwhile, or taken over by a sweep.
    :param failure: why it stays where it is, if it does.
    """

    secret_id: str
    gone: bool = False
    failure: str | None = None


@task('secret:move')
def move(ctx: Context, *, secret_id: str, store_id: str) -> None:
    """Move a secret's payload to a store.

    :raises NotFound: there is no such store, or the secret was deleted meanwhile.
    :raises Invalid: the store is not enabled, or the secret has no payload.
    :raises Conflict: something else is being done with the payload.
    :raises CannotOpen, Rejected, Unavailable: as the stores say; then it is where it was.
    """
    target = stores.active(ctx, store_id)
    with ctx.statement() as connection:
        row = rows.state(connection, secret_id)
    if row is None or row.status != ACTIVE:
        raise NotFound('Secret not found.')
    if row.reference is None:
        raise Invalid('The secret has no payload to move.')
    if row.store == target:
        return
    _Move(ctx, source=row.store, target=target).one(secret_id)


def move_all(ctx: Context, *, source: str, target: str, project_id: str | None) -> Iterator[Moved]:
    """Move all payloads of a store, or those of one project, until none is left that can be moved.

    :raises Unavailable: a store or the metadata do not answer; what has moved has, and what has not is
        where it was.
    """
    moving, failed = _Move(ctx, source=source, target=target), set()
    while True:
        moved, after = 0, ''
        while ids := _page(ctx, source, project_id, after):
            for outcome in moving.some(ids):
                if outcome.failure is None:
                    moved += 1
                elif outcome.secret_id in failed:
                    continue
                else:
                    failed.add(outcome.secret_id)
                yield outcome
            after = ids[-1]
        if not moved:
            return


def count(ctx: Context, *, store: str, project_id: str | None) -> int:
    """How many secrets, of one project or of all, have their payload in a store."""
    with ctx.statement() as connection:
        return moves.count(connection, store, project_id=project_id, now=ctx.clock())


def count_left_behind(ctx: Context, *, store: str, project_id: str | None) -> int:
    """How many secrets, of one project or of all, are elsewhere and not yet erased in a store."""
    with ctx.statement() as connection:
        return moves.count_left_behind(connection, store, project_id=project_id)


def settle(ctx: Context, row: Row) -> None:
    """End a move whose intent is ours, wherever it was left.

    :raises Unavailable: a store does not answer; the row stays for the next sweep.
    :raises Conflict: it is not ours any more.
    """
    if row.status == ACTIVE:
        _erase(ctx, row)
        with ctx.statement() as connection:
            moves.release(connection, [row.id], intent=row.intent)
    else:
        secrets.finish_deleting(ctx, row)


def _page(ctx: Context, source: str, project_id: str | None, after: str) -> Sequence[str]:
    with ctx.statement() as connection:
        return moves.page(connection, source, project_id=project_id, after=after, limit=_PAGE,
                          now=ctx.clock())


class _Move:
    """The way from one store to another."""

    def __init__(self, ctx: Context, *, source: str, target: str):
        """:raises Unavailable: one of them is not enabled."""
        self._ctx = ctx
        self._source, self._target = stores.enabled(ctx, source), stores.enabled(ctx, target)

    def one(self, secret_id: str) -> None:
        """Move one secret; see ``move``."""
        for moved in self.some([secret_id], patiently=False):
            if moved.gone:
                raise NotFound('Secret not found.')
            return
        raise Conflict('Something else is being done with the payload of the secret.')

    def some(self, ids: Sequence[str], *, patiently: bool = True) -> Iterator[Moved]:
        """Move secrets; those that somebody else is at are left out.

        :param patiently: whether one that cannot be moved is told of, and the others are moved.
        :raises Unavailable: a store or the metadata do not answer.
        :raises CannotOpen, Rejected: one cannot be moved, without patience.
        """
        claimed = self._claim(ids, intent := new_intent())
        arrived: dict[str, Reference] = {}
        failures: dict[str, str] = {}
        stopped: Exception | None = None
        try:
            for row in list(claimed):
                try:
                    arrived[row.id] = self._copy(row)
                except Overdue:
                    claimed.remove(row)  # it may arrive yet: the sweep waits for it
                    raise
                except _UNMOVABLE as error:
                    if not patiently:
                        raise
                    failures[row.id] = error.sentence
        except Exception as error:
            stopped = error
        left = self._end(claimed, arrived, intent)
        if stopped:
            raise stopped
        for row in claimed:
            yield Moved(row.id, gone=row.id not in left, failure=failures.get(row.id))

    def _claim(self, ids: Sequence[str], intent: str) -> list[Row]:
        with self._ctx.statement() as connection:
            return list(moves.claim(
                connection, ids, source=self._source.name, target=self._target.name, intent=intent,
                now=self._ctx.clock()))

    def _copy(self, row: Row) -> Reference:
        """The reference in the target of what was read from the source, kept, and read again."""
        payload = self._source.retrieve(_stored(row, json.loads(row.reference)))
        reference = self._target.store(StoreRequest(
            secret_id=row.id, project_id=row.project_id, payload=payload, secret_type=row.secret_type,
            algorithm=row.algorithm, bit_length=row.bit_length))
        if not hmac.compare_digest(payload, self._target.retrieve(_stored(row, reference))):
            raise CannotOpen(f"The store '{self._target.name}' does not give back what it was given.")
        return reference

    def _end(self, claimed: Sequence[Row], arrived: dict[str, Reference], intent: str) -> set[str]:
        """Switch what has arrived, and erase what is in the other store of each.

        :returns: the ids of those that are not gone.
        """
        ours = {row.id: row for row in self._switched(claimed, arrived, intent)}
        for row in claimed:
            if row.id not in ours and row.id in arrived:  # a sweep took us for dead
                with stores.left_to_the_sweep(f'Secret {row.id}'):
                    self._target.delete(_stored(row, arrived[row.id]))
        done = []
        for row in ours.values():
            with stores.left_to_the_sweep(f'Secret {row.id}'):
                if row.status == ACTIVE:
                    _erase(self._ctx, row)
                    done.append(row.id)
                else:
                    secrets.finish_deleting(self._ctx, row)
        with self._ctx.statement() as connection:
            moves.release(connection, done, intent=intent)
        return {row.id for row in ours.values() if row.status == ACTIVE}

    @retried
    def _switched(self, claimed: Sequence[Row], arrived: dict[str, Reference],
                  intent: str) -> Sequence[Row]:
        with self._ctx.transaction() as connection:
            if arrived:
                moves.switch(connection, arrived, source=self._source.name, target=self._target.name,
                             intent=intent)
            return moves.claimed(connection, [row.id for row in claimed], intent=intent)


def _stored(row: Row, reference: Reference) -> StoredSecret:
    return StoredSecret(secret_id=row.id, project_id=row.project_id, reference=reference)


def _erase(ctx: Context, row: Row) -> None:
    """Leave nothing of a secret in the other store."""
    stores.destroy_claimed(ctx, row, row.other_store)
