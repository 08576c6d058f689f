# SPDX-License-Identifier: Apache-2.0
"""The base for stores that seal payloads in software under a key kept elsewhere.

Subclass :class:`EnvelopeStore` and write two methods, ``wrap`` and ``unwrap``, for a 32-byte key: an
HSM, a KMIP server or a key file does no more. Everything else is here: a key per project, wrapped by
you; a key per secret, wrapped by the project's; the ciphertext, in a database of the store's own.
The metadata database never sees any of it.
"""
import contextlib
import os
import secrets
import threading
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sqlalchemy as sa
from cachetools import TTLCache
from oslo_config import cfg
from sqlalchemy.exc import IntegrityError

from km.interfaces import (
    CannotOpen,
    Inventory,
    Kept,
    Misconfigured,
    NotFound,
    Reference,
    SecretStore,
    StoredSecret,
    StoreRequest,
    Unavailable,
)
from km.plugins.secret_store import ciphertexts, sealing

_REWRAP_PAGE = 100
#: A version is a random number, so that no attempt to store can get into another's way.
_VERSION_BITS = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A 32-byte key, sealed by a master key.

    :param key_id: which master key opens it: a public fingerprint or label, at most 64 characters.
    :param data: whatever ``unwrap`` needs, at most 1 KiB.
    """

    key_id: str
    data: bytes = field(repr=False)


class EnvelopeStore(SecretStore, Inventory):
    """A secret store with its own ciphertext database and a master key it never holds itself."""

    options: ClassVar[Sequence[cfg.Opt]] = (
        cfg.StrOpt('connection', required=True, secret=True,
                   help='SQLAlchemy URL of the database that keeps the ciphertext. It must not be '
                        'the metadata database: whoever reads one shall not have the other.'),
        cfg.IntOpt('max_connections', default=20, min=1,
                   help='Connections to that database that one process may open.'),
        cfg.IntOpt('project_key_cache_size', default=1000, min=1,
                   help='How many unwrapped project keys a process keeps in memory; one that also '
                        'seals counts twice.'),
        cfg.IntOpt('project_key_cache_seconds', default=900, min=1,
                   help='How long it keeps each, after which the master key is asked again.'),
    )

    @abstractmethod
    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        """Seal a 32-byte key under the newest master key.

        :param context: names the project the key is for; ``unwrap`` must fail with any other.
        """

    @abstractmethod
    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """The 32 bytes again.

        :raises CannotOpen: no master key here is ``wrapped.key_id``, or it was not sealed for
            this context.
        """

    def open(self) -> None:
        self._keys: TTLCache = TTLCache(
            self.settings.project_key_cache_size, self.settings.project_key_cache_seconds)
        self._keys_lock = threading.Lock()
        try:
            self._database = ciphertexts.connect(
                self.settings.connection, self.settings.max_connections)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise Misconfigured(f'[secret_store:{self.name}] connection: it is not a database URL '
                                f'that this km can use ({type(error).__name__}).') from None
        except Unavailable:
            raise Unavailable(f'[secret_store:{self.name}] connection: the database does not '
                              'answer.') from None
        self._require_master_keys()

    def check(self) -> str:
        key = os.urandom(sealing.KEY_BYTES)
        wrapped = self.wrap(key, b'km-check')
        if self.unwrap(wrapped, b'km-check') != key:
            raise CannotOpen('The master key does not give back what it sealed.')
        waiting, = self._all(ciphertexts.COUNT_KEYS_NOT_UNDER, key_id=wrapped.key_id)[0]
        told = f'; {waiting} project keys to rewrap' if waiting else ''
        return f'sealing under master key {wrapped.key_id}{told}'

    def close(self) -> None:
        self._keys.clear()
        self._database.dispose()

    def store(self, request: StoreRequest) -> Reference:
        generation, key = self._newest_key(request.project_id)
        version = secrets.randbits(_VERSION_BITS)
        blob = sealing.seal(
            request.payload, project_key=key, generation=generation,
            bound_to=sealing.binding(request.project_id, request.secret_id, version))
        with self._database.connect() as connection:
            connection.execute(ciphertexts.INSERT, {
                'secret_id': request.secret_id, 'version': version, 'blob': blob})
        return {'version': version}

    def retrieve(self, stored: StoredSecret) -> bytes:
        version = _version(stored)
        row = self._one(ciphertexts.GET, secret_id=stored.secret_id, version=version)
        if row is None:
            raise NotFound('The secret is not in its store.')
        return sealing.unseal(
            row.blob,
            project_key=self._key(stored.project_id, sealing.generation_of(row.blob)),
            bound_to=sealing.binding(stored.project_id, stored.secret_id, version))

    def delete(self, stored: StoredSecret) -> None:
        self._run(ciphertexts.DELETE, secret_id=stored.secret_id, version=_version(stored))

    def find(self, secret_id: str) -> Reference | None:
        row = self._one(ciphertexts.FIND, secret_id=secret_id)
        return None if row is None else {'version': row.version}

    def kept(self, *, after: Kept | None, limit: int) -> Sequence[Kept]:
        rows = self._all(ciphertexts.FIRST, page=limit) if after is None else self._all(
            ciphertexts.NEXT, page=limit, secret_id=after.secret_id,
            version=after.reference['version'])
        return [Kept(secret_id=row.secret_id, reference={'version': row.version}) for row in rows]

    def rewrap(self) -> int:
        """Seal every project key under the newest master key again; no payload is touched.

        Safe beside running processes and after a crash: each key is swapped by one statement.

        :returns: how many project keys were not under the newest master key before.
        """
        newest, done = self.wrap(os.urandom(sealing.KEY_BYTES), b'km-check').key_id, 0
        while True:
            with self._database.connect() as connection:
                rows = connection.execute(
                    ciphertexts.KEYS_NOT_UNDER, {'key_id': newest, 'page': _REWRAP_PAGE}).all()
            if not rows:
                return done
            for row in rows:
                context = _context(row.project_id, row.generation)
                wrapped = self.wrap(self.unwrap(_wrapped(row), context), context)
                done += self._run(
                    ciphertexts.REWRAP, of=row.project_id, at=row.generation, was=row.key_id,
                    key_id=wrapped.key_id, wrapped=wrapped.data)

    def _newest_key(self, project_id: str) -> tuple[int, bytes]:
        with self._keys_lock:
            cached = self._keys.get(project_id)
        if cached is not None:
            return cached
        row = self._one(ciphertexts.NEWEST_KEY, project_id=project_id)
        if row is None:
            row = self._make_first_key(project_id)
        newest = row.generation, self._key(project_id, row.generation, row)
        with self._keys_lock:
            self._keys[project_id] = newest
        return newest

    def _make_first_key(self, project_id: str) -> sa.Row:
        wrapped = self.wrap(os.urandom(sealing.KEY_BYTES), _context(project_id, 1))
        # If another process was first, its key is the project's; ours has sealed nothing yet.
        with contextlib.suppress(IntegrityError):
            self._run(ciphertexts.INSERT_KEY, project_id=project_id, generation=1,
                      key_id=wrapped.key_id, wrapped=wrapped.data)
        return self._all(ciphertexts.NEWEST_KEY, project_id=project_id)[0]

    def _key(self, project_id: str, generation: int, row: sa.Row | None = None) -> bytes:
        """One of a project's keys, unwrapped, from memory if it is there."""
        with self._keys_lock:
            key = self._keys.get((project_id, generation))
        if key is None:
            row = row or self._one(ciphertexts.GET_KEY, project_id=project_id, generation=generation)
            if row is None:
                raise CannotOpen('The stored secret does not open: its project has no such key.')
            key = self.unwrap(_wrapped(row), _context(project_id, generation))
            with self._keys_lock:
                self._keys[project_id, generation] = key
        return key

    def _require_master_keys(self) -> None:
        """Refuse to start with ciphertext that the master keys here cannot open."""
        for row in self._all(ciphertexts.ONE_KEY_OF_EACH_MASTER):
            try:
                self.unwrap(_wrapped(row), _context(row.project_id, row.generation))
            except CannotOpen:
                self._database.dispose()
                raise Misconfigured(
                    f'[secret_store:{self.name}] its database holds keys sealed by master key '
                    f'{row.key_id}, which does not fit or is not configured.') from None

    def _one(self, statement: Any, **values: Any) -> sa.Row | None:
        with self._database.connect() as connection:
            return connection.execute(statement, values).first()

    def _all(self, statement: Any, **values: Any) -> Sequence[sa.Row]:
        with self._database.connect() as connection:
            return connection.execute(statement, values).all()

    def _run(self, statement: Any, **values: Any) -> int:
        with self._database.connect() as connection:
            return connection.execute(statement, values).rowcount


def _version(stored: StoredSecret) -> int:
    version = stored.reference.get('version')
    if not isinstance(version, int):
        raise NotFound('The reference is of another store.')
    return version


def _context(project_id: str, generation: int) -> bytes:
    return b'km-project-key' + sealing.binding(project_id, '', generation)


def _wrapped(row: sa.Row) -> WrappedKey:
    return WrappedKey(key_id=row.key_id, data=row.wrapped)
