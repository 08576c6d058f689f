# SPDX-License-Identifier: Apache-2.0
"""From a Barbican database into km: every secret, then the containers of them, then quotas."""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from km.barbican import reading, tables
from km.barbican.database import Database
from km.barbican.payloads import Payloads
from km.db.models import CONTAINER, SECRET
from km.interfaces import SecretStore
from km.lifecycle import imported_containers, imports
from km.lifecycle.context import Context
from km.lifecycle.imports import Outcome

#: Is told of each page: the tally so far, and what of the page was left.
Tell = Callable[['Tally', Sequence[Outcome]], None]


@dataclass
class Tally:
    """What became of all things of one kind. ``total`` is how many there were to look at, deleted ones
    not counted; ``looked_at`` is how many were."""

    kind: str
    total: int
    imported: int = 0
    there: int = 0
    left: int = 0
    expired: int = 0
    deleted: int = 0
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


class Import:
    """An import that can begin."""

    def __init__(self, ctx: Context, database: Database, payloads: Payloads, *, store: SecretStore,
                 dry_run: bool, tell: Tell):
        """Take what to work with.

        :param store: where payloads go.
        :param dry_run: whether to look only.
        :param tell: is told of each page.
        """
        self._ctx, self._database, self._payloads, self._store = ctx, database, payloads, store
        self._dry_run, self._tell = dry_run, tell

    def run(self) -> list[Tally]:
        """Bring over everything. What is left keeps nothing else from coming.

        :raises Unavailable: a database or a store does not answer; what was done until then stays.
        """
        secrets = self._secrets()
        return [secrets, self._containers(secrets), self._quotas()]

    def _secrets(self) -> Tally:
        tally = Tally('secret', self._database.count(tables.SECRETS))
        for page in reading.secrets(self._database, self._payloads, now=self._ctx.clock()):
            self._note(tally, SECRET, page, imports.bring_secrets(
                self._ctx, page.found, store=self._store, dry_run=self._dry_run))
        return tally

    def _containers(self, secrets: Tally) -> Tally:
        tally = Tally('container', self._database.count(tables.CONTAINERS))
        for page in reading.containers(self._database, now=self._ctx.clock()):
            self._note(tally, CONTAINER, page, imported_containers.bring_containers(
                self._ctx, page.found, dry_run=self._dry_run, left=secrets.left_ids))
        return tally

    def _quotas(self) -> Tally:
        tally = Tally('quotas of project', self._database.count(tables.QUOTAS))
        for page in reading.quotas(self._database):
            self._tell(tally, tally.note(imported_containers.bring_quotas(
                self._ctx, project, quotas, dry_run=self._dry_run) for project, quotas in page))
        return tally

    def _note(self, tally: Tally, kind: str, page: reading.Page[Any], outcomes: list[Outcome]) -> None:
        tally.deleted += len(page.deleted)
        tally.expired += len(page.expired)
        self._tell(tally, tally.note([
            *outcomes, *page.left, *imports.still_there(self._ctx, kind, page.deleted)]))
