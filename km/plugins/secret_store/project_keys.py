# SPDX-License-Identifier: Apache-2.0
"""The keys of projects: unwrapped in memory for a while; made, replaced and destroyed while in use.

Each key of a project has a generation, and the highest is the newest. The first is a random number, so
that after all keys of a project were destroyed no process can take a new one for one that it remembers.
"""
import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import sqlalchemy as sa
from cachetools import TTLCache
from sqlalchemy.exc import IntegrityError

from km.interfaces import CannotOpen
from km.plugins.database import PluginDatabase
from km.plugins.secret_store import ciphertexts, sealing

LOG = logging.getLogger(__name__)

_FIRST_GENERATION_BELOW = 2 ** 30
#: How many keys must not open for their master key to be taken for another.
_TRIED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A 32-byte key, sealed by a master key.

    :param key_id: which master key opens it: a public fingerprint or label, at most 64 characters.
    :param data: whatever ``unwrap`` needs, at most 1 KiB.
    """

    key_id: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """What seals the keys of projects: two methods of a store."""

    wrap: Callable[[bytes, bytes], WrappedKey]
    unwrap: Callable[[WrappedKey, bytes], bytes]


class ProjectKeys:
    """The keys of all projects, as one process has them.

    All methods raise ``Unavailable`` when the database or the master key's keeper does not answer.
    """

    def __init__(self, database: PluginDatabase, master_keys: MasterKeys, *, size: int,
                 seconds: float):
        """:param size: how many keys to keep in memory, and ``seconds`` how long."""
        self._database, self._master_keys = database, master_keys
        self._unwrapped: TTLCache = TTLCache(size, seconds)
        self._lock = threading.Lock()
        #: The generations that ``renew`` made here, by project.
        self._renewed: dict[str, int] = {}

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._unwrapped)

    def clear(self) -> None:
        """Keep none in memory."""
        with self._lock:
            self._unwrapped.clear()

    def newest(self, project_id: str) -> tuple[int, bytes]:
        """The generation of the key to seal with, and the key; it is made if there is none.

        Another process may have made a newer one: see ``forget``.
        """
        with self._lock:
            cached = self._unwrapped.get(project_id)
        if cached is not None:
            return cached
        row = self._database.one(ciphertexts.NEWEST_KEY, project_id=project_id)
        while row is None:  # whoever was first; somebody may destroy it again
            self._make(project_id, 1 + secrets.randbelow(_FIRST_GENERATION_BELOW))
            row = self._database.one(ciphertexts.NEWEST_KEY, project_id=project_id)
        return self._remembered(row)

    def forget(self, project_id: str) -> None:
        """Ask the database anew which key is the newest."""
        with self._lock:
            self._unwrapped.pop(project_id, None)

    def look_up_newest(self, project_id: str) -> tuple[int, bytes]:
        """As ``newest``, but as the database has it at this moment.

        :raises CannotOpen: there is none.
        """
        row = self._database.one(ciphertexts.NEWEST_KEY, project_id=project_id)
        if row is None:
            raise CannotOpen('The stored secret does not open: its project has no key.')
        return self._remembered(row)

    def get(self, project_id: str, generation: int) -> bytes:
        """One of a project's keys.

        :raises CannotOpen: there is no such key, or it does not open.
        """
        with self._lock:
            key = self._unwrapped.get((project_id, generation))
        if key is not None:
            return key
        row = self._database.one(ciphertexts.GET_KEY, project_id=project_id, generation=generation)
        if row is None:
            raise CannotOpen('The stored secret does not open: its project has no such key.')
        return self._unwrap(row)

    def renew(self, project_id: str) -> None:
        """Make a newer key, if there is one at all."""
        row = self._database.one(ciphertexts.NEWEST_KEY, project_id=project_id)
        if row is not None:
            self._make(project_id, row.generation + 1)
            self._renewed[project_id] = row.generation + 1
        self.forget(project_id)

    def destroy(self, project_id: str, *, newest: bool, kept: Collection[int] = ()) -> int:
        """Destroy those before the newest, and that too if so said; how many.

        Somebody else may have made a newer one since ``renew``, under which not everything is yet: then
        the one of ``renew`` stays as well.

        :param kept: generations that stay.
        """
        row = self._database.one(ciphertexts.NEWEST_KEY, project_id=project_id)
        if row is None:
            return 0
        until = row.generation
        if not newest:
            until = min(until, self._renewed.get(project_id, until)) - 1
        destroyed = self._database.run(
            ciphertexts.DELETE_KEYS, project_id=project_id, until=until, kept=list(kept))
        with self._lock:
            for known in list(self._unwrapped):
                if known == project_id or known[:1] == (project_id,):
                    self._unwrapped.pop(known, None)
        return destroyed

    def newest_master(self) -> str:
        """The id of the master key that seals."""
        return self._master_keys.wrap(os.urandom(sealing.KEY_BYTES), b'km-check').key_id

    def to_rewrap(self) -> int:
        """How many are sealed by another master key than the newest."""
        row = self._database.one(ciphertexts.COUNT_KEYS_NOT_UNDER, key_id=self.newest_master())
        return row.waiting if row else 0

    def rewrap(self, limit: int) -> int:
        """Seal some under the newest master key again; how many were looked at."""
        rows = self._database.all(
            ciphertexts.KEYS_NOT_UNDER, key_id=self.newest_master(), page=limit)
        for row in rows:
            context = _context(row.project_id, row.generation)
            wrapped = self._master_keys.wrap(
                self._master_keys.unwrap(_wrapped(row), context), context)
            self._database.run(
                ciphertexts.REWRAP, of=row.project_id, at=row.generation, was=row.key_id,
                key_id=wrapped.key_id, wrapped=wrapped.data)
        return len(rows)

    def unopened_master(self) -> str | None:
        """The id of a master key that seals something here and is not at hand, if there is one."""
        for row in self._database.all(ciphertexts.ONE_KEY_OF_EACH_MASTER):
            # A row may be damaged: that is no reason not to open the others.
            if not self._opens(row) and not any(map(self._opens, self._database.all(
                    ciphertexts.KEYS_UNDER, key_id=row.key_id, page=_TRIED))):
                return row.key_id
        return None

    def _opens(self, row: sa.Row) -> bool:
        try:
            self._master_keys.unwrap(_wrapped(row), _context(row.project_id, row.generation))
        except CannotOpen:
            LOG.error('Key %d of project %s does not open under master key %s.', row.generation,
                      row.project_id, row.key_id)
            return False
        return True

    def _make(self, project_id: str, generation: int) -> None:
        wrapped = self._master_keys.wrap(
            os.urandom(sealing.KEY_BYTES), _context(project_id, generation))
        # If another process was faster, its key is the project's; ours has sealed nothing.
        with contextlib.suppress(IntegrityError):
            self._database.run(ciphertexts.INSERT_KEY, project_id=project_id, generation=generation,
                               key_id=wrapped.key_id, wrapped=wrapped.data)

    def _remembered(self, row: sa.Row) -> tuple[int, bytes]:
        """The newest key, from its row."""
        with self._lock:
            key = self._unwrapped.get((row.project_id, row.generation))
        newest = row.generation, key or self._unwrap(row)
        with self._lock:
            self._unwrapped[row.project_id] = newest
        return newest

    def _unwrap(self, row: sa.Row) -> bytes:
        key = self._master_keys.unwrap(_wrapped(row), _context(row.project_id, row.generation))
        with self._lock:
            self._unwrapped[row.project_id, row.generation] = key
        return key


def _context(project_id: str, generation: int) -> bytes:
    return b'km-project-key' + sealing.binding(project_id, '', generation)


def _wrapped(row: sa.Row) -> WrappedKey:
    return WrappedKey(key_id=row.key_id, data=row.wrapped)
