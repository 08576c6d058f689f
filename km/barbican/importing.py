# SPDX-License-Identifier: Apache-2.0
"""From a Barbican database into km: every secret, then the containers of them, then quotas."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from km.barbican import reading, tables
from km.barbican.database import Database
from km.barbican.payloads import Payloads
from km.db.models import CONTAINER, SECRET
from km.hosting.store import HostedStore
from km.lifecycle import imported_containers, imports
from km.lifecycle.context import Context
from km.lifecycle.imports import Outcome


@dataclass
class Tally:
    """What became of all things of one kind so far.

    :param total: how many there were in the beginning, deleted ones not counted.
    :param expired: past their expiration, so that Barbican does not show them any more either.
    :param left: not brought over, or not the same any more; ``left_ids`` are theirs.
    :param lingering: deleted since they were brought over, and still in km; in none of the others.
    """

    kind: str
    total: int
    imported: int = 0
    there: int = 0
    left: int = 0
    expired: int = 0
    lingering: int = 0
    left_ids: set[str] = field(default_factory=set)

    @property
    def looked_at(self) -> int:
        """How many were looked at so far."""
        return self.imported + self.there + self.left + self.expired

    def note(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Count outcomes; those that were left are returned."""
        left = []
        for outcome in outcomes:
            self.imported += outcome.done == imports.IMPORTED
            self.there += outcome.done == imports.THERE
            if outcome.done == imports.LEFT:
                left.append(outcome)
                self.left_ids.add(outcome.id)
        self.left += len(left)
        return left


#: What was left of a page.
Left = list[Outcome]


class Import:
    """An import that can begin."""

    def __init__(self, ctx: Context, database: Database, payloads: Payloads, *, store: HostedStore,
                 dry_run: bool):
        """Take what to work with.

        :param store: where payloads go.
        :param dry_run: whether to look only.
        """
        self._ctx, self._database, self._payloads, self._store = ctx, database, payloads, store
        self._dry_run = dry_run

    def parts(self) -> Iterator[tuple[Tally, Iterator[Left]]]:
        """What there is to do, kind by kind: a tally, and the work, which goes on by a page whenever
        it is asked for more. What is left keeps nothing else from coming.

        The work raises ``Unavailable`` if a database or a store does not answer; what was done until
        then stays.
        """
        secrets = Tally('secret', self._database.count(tables.SECRETS))
        yield secrets, self._secrets(secrets)
        containers = Tally('container', self._database.count(tables.CONTAINERS))
        yield containers, self._containers(containers, secrets.left_ids)
        quotas = Tally('project quota', self._database.count(tables.QUOTAS))
        yield quotas, self._quotas(quotas)

    def _secrets(self, tally: Tally) -> Iterator[Left]:
        for page in reading.secrets(self._database, self._payloads, now=self._ctx.clock()):
            yield self._noted(tally, SECRET, page, imports.bring_secrets(
                self._ctx, page.found, store=self._store, dry_run=self._dry_run))

    def _containers(self, tally: Tally, left: set[str]) -> Iterator[Left]:
        for page in reading.containers(self._database, now=self._ctx.clock()):
            yield self._noted(tally, CONTAINER, page, imported_containers.bring_containers(
                self._ctx, page.found, dry_run=self._dry_run, left=left))

    def _quotas(self, tally: Tally) -> Iterator[Left]:
        for page in reading.quotas(self._database):
            yield tally.note(imported_containers.bring_quotas(
                self._ctx, project, quotas, dry_run=self._dry_run) for project, quotas in page)

    def _noted(self, tally: Tally, kind: str, page: reading.Page[Any], outcomes: list[Outcome]) -> Left:
        lingering = imports.still_there(self._ctx, kind, page.deleted)
        tally.lingering += len(lingering)
        tally.expired += len(page.expired)
        return tally.note([*outcomes, *page.left]) + lingering
