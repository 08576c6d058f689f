# SPDX-License-Identifier: Apache-2.0
"""The base for stores that seal payloads in software under a key kept elsewhere.

Subclass :class:`EnvelopeStore` and write two methods, ``wrap`` and ``unwrap``, for a 32-byte key: an
HSM, a KMIP server or a key file does no more. Everything else is here: a key per project, wrapped by
you; a key per secret, wrapped by the project's; the ciphertext, in a database of the store's own.
The metadata database never sees any of it.
"""
import os
import secrets
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from oslo_config import cfg

from km.interfaces import (
    CannotOpen,
    Inventory,
    Kept,
    KmError,
    Misconfigured,
    NotFound,
    ProjectKeyRotation,
    Reference,
    SecretStore,
    StoredSecret,
    StoreRequest,
    Unavailable,
)
from km.plugins.database import PluginDatabase
from km.plugins.secret_store import ciphertexts, sealing
from km.plugins.secret_store.project_keys import MasterKeys, ProjectKeys, WrappedKey

__all__ = ['Blob', 'EnvelopeStore', 'WrappedKey']

#: A version is a random number, so that no attempt to store can get into another's way.
_VERSION_BITS = 62
#: How often a project may get a newer key while something is stored.
_MOST_ATTEMPTS = 20


class Blob(NamedTuple):
    """Which blob, and how it is bound: its table, whose it is, and what is in it if it is no payload."""

    place: ciphertexts.Place
    project_id: str
    secret_id: str
    version: int
    kind: tuple[str, ...] = ()


class EnvelopeStore(SecretStore, Inventory, ProjectKeyRotation):
    """A secret store with its own ciphertext database and a master key it never holds itself.

    One that can have its master key replaced adds ``MasterKeyRotation`` to its bases and writes
    ``new_master_key``; ``to_rewrap`` and ``rewrap`` are here.
    """

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
        cfg.IntOpt('database_timeout_seconds', default=20, min=1,
                   help='How long to wait for a connection to that database and for each answer. Let '
                        'it be less than call_timeout_seconds.'),
    )

    #: What seals payloads and their keys: in software, unless a store has it done elsewhere.
    _cipher: sealing.Cipher = AESGCM

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
        settings = self.settings
        try:
            self._database = PluginDatabase(
                settings.connection, ciphertexts.TABLES, name='secret store',
                max_connections=settings.max_connections,
                seconds=settings.database_timeout_seconds)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise Misconfigured(f'[secret_store:{self.name}] connection: it is not a database URL '
                                f'that this km can use ({type(error).__name__}).') from None
        except Unavailable:
            raise Unavailable(f'[secret_store:{self.name}] connection: the database does not '
                              'answer.') from None
        self._keys = ProjectKeys(
            self._database, MasterKeys(self.wrap, self.unwrap),
            size=settings.project_key_cache_size, seconds=settings.project_key_cache_seconds)
        try:
            self._require_master_keys()
        except KmError:
            self.close()
            raise

    def check(self) -> str:
        key = os.urandom(sealing.KEY_BYTES)
        wrapped = self.wrap(key, b'km-check')
        if self.unwrap(wrapped, b'km-check') != key:
            raise CannotOpen('The master key does not give back what it sealed.')
        waiting = self._keys.to_rewrap()
        told = f'; {waiting} project keys to rewrap' if waiting else ''
        return f'sealing under master key {wrapped.key_id}{told}'

    def close(self) -> None:
        self._keys.clear()
        self._database.close()

    def store(self, request: StoreRequest) -> Reference:
        return {'version': self._keep(
            _payload(request.project_id, request.secret_id, new_version()), request.payload)}

    def retrieve(self, stored: StoredSecret) -> bytes:
        return self._open(_stored_payload(stored))

    def delete(self, stored: StoredSecret) -> None:
        self._destroy(_stored_payload(stored))

    def find(self, secret_id: str) -> Reference | None:
        row = self._database.one(ciphertexts.PAYLOADS.find, secret_id=secret_id)
        return None if row is None else {'version': row.version}

    def kept(self, *, after: Kept | None, limit: int) -> Sequence[Kept]:
        place = ciphertexts.PAYLOADS
        rows = self._database.all(place.first, page=limit) if after is None else self._database.all(
            place.next, page=limit, secret_id=after.secret_id, version=after.reference['version'])
        return [Kept(secret_id=row.secret_id, reference={'version': row.version}) for row in rows]

    def to_rewrap(self) -> int:
        return self._keys.to_rewrap()

    def rewrap(self, *, limit: int) -> int:
        return self._keys.rewrap(limit)

    def new_project_key(self, project_id: str) -> None:
        self._keys.renew(project_id)

    def rekey(self, stored: StoredSecret) -> bool:
        return self._rekey(_stored_payload(stored))

    def destroy_project_keys(self, project_id: str, *, newest: bool) -> int:
        return self._keys.destroy(project_id, newest=newest)

    def _keep(self, blob: Blob, content: bytes) -> int:
        """Seal ``content`` under the newest key of its project; its version."""
        for _ in range(_MOST_ATTEMPTS):
            generation, key = self._keys.newest(blob.project_id)
            sealed = sealing.seal(
                content, project_key=key, generation=generation, cipher=self._cipher,
                bound_to=sealing.binding(*blob[1:4], *blob.kind))
            if self._database.run(
                    blob.place.insert, secret_id=blob.secret_id, version=blob.version, blob=sealed,
                    project_id=blob.project_id, generation=generation):
                return blob.version
            self._keys.forget(blob.project_id)  # another process made a newer one, or destroyed it
        raise Unavailable('The key of the project is being replaced.')

    def _open(self, blob: Blob) -> bytes:
        """What is in a blob.

        :raises NotFound: there is none.
        :raises CannotOpen: it does not open, and that is not because it was being sealed anew.
        """
        sealed = self._sealed(blob)
        while sealed is not None:
            try:
                return self._unsealed(blob, sealed)
            except CannotOpen:
                before, sealed = sealed, self._sealed(blob)
                if sealed == before:
                    raise
        raise NotFound('The secret is not in its store.')

    def _rekey(self, blob: Blob) -> bool:
        """Seal a blob anew, unless it is under the newest key; whether it was done."""
        while (sealed := self._sealed(blob)) is not None:
            # In this order: a key that is older than the blob's would be one that may be destroyed.
            generation, key = self._keys.look_up_newest(blob.project_id)
            if sealing.generation_of(sealed) == generation:
                return False
            anew = sealing.seal(
                self._unsealed(blob, sealed), project_key=key, generation=generation,
                cipher=self._cipher, bound_to=sealing.binding(*blob[1:4], *blob.kind))
            if self._database.run(
                    blob.place.replace, of=blob.secret_id, at=blob.version, old=sealed, new=anew):
                return True
        return False

    def _destroy(self, blob: Blob) -> None:
        self._database.run(blob.place.delete, secret_id=blob.secret_id, version=blob.version)

    def _sealed(self, blob: Blob) -> bytes | None:
        row = self._database.one(blob.place.get, secret_id=blob.secret_id, version=blob.version)
        return None if row is None else row.blob

    def _unsealed(self, blob: Blob, sealed: bytes) -> bytes:
        key = self._keys.get(blob.project_id, sealing.generation_of(sealed))
        return sealing.unseal(
            sealed, project_key=key, cipher=self._cipher,
            bound_to=sealing.binding(*blob[1:4], *blob.kind))

    def _require_master_keys(self) -> None:
        """Refuse to start with ciphertext that the master keys here cannot open."""
        missing = self._keys.unopened_master()
        if missing is not None:
            raise Misconfigured(
                f'[secret_store:{self.name}] its database holds keys sealed by master key '
                f'{missing}, which does not fit or is not configured.')


def new_version() -> int:
    """A version nobody else has."""
    return secrets.randbits(_VERSION_BITS)


def _payload(project_id: str, secret_id: str, version: int) -> Blob:
    return Blob(ciphertexts.PAYLOADS, project_id, secret_id, version)


def _stored_payload(stored: StoredSecret) -> Blob:
    version = stored.reference.get('version')
    if not isinstance(version, int):
        raise NotFound('The reference is of another store.')
    return _payload(stored.project_id, stored.secret_id, version)
