# SPDX-License-Identifier: Apache-2.0
"""The plugin: payloads in a folder, a file each, encrypted with age.

A file is named ``SECRET-ID.SHA-256.age``, after the SHA-256 of itself. The reference, which km keeps in
another database, has that too: so a file that was replaced does not fit, whoever could encrypt it. In
it is a line of JSON that says whose payload it is, and behind that the payload as it is. So ``age
--decrypt`` and ``tail --lines=+2`` are all it takes to have a payload back without km.
"""
import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence

import pyrage
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
from oslo_config import cfg

from km_age import identities, naming
from km_age.folder import SHARDS, Folder


class AgeStore(SecretStore, Inventory):
    """Keeps payloads in files that only the holder of an age identity can read."""

    options = (
        cfg.StrOpt('folder', required=True,
                   help='Where the files are: a folder that exists, belongs to the user km runs as and '
                        'has mode 0700. Hosts may share it if their file system keeps its promises '
                        'about fsync.'),
        cfg.StrOpt('identity_file', required=True,
                   help='A file made by age-keygen, of mode 0400. What is new is encrypted to its '
                        'first identity; all of them open what there is. Whoever loses it loses '
                        'every payload.'),
        cfg.ListOpt('recovery_recipients', default=[],
                    help='Public keys of age ("age1...") that can read everything too, such as that '
                         'of an identity in a safe. For what is new only.'),
    )

    def open(self) -> None:
        try:
            self._identities = identities.read(self.settings.identity_file)
        except identities.NoIdentities as error:
            raise self._misconfigured('identity_file', str(error)) from None
        self._recipients = [self._identities[0].to_public(), *self._recovery_recipients()]
        try:
            self._folder = Folder(self.settings.folder)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise self._misconfigured(
                'folder', f'{self.settings.folder}: {error.strerror}.') from None
        except OSError as error:
            raise self._unavailable(error) from None

    def check(self) -> str:
        payload = os.urandom(32)
        request = StoreRequest(secret_id=str(uuid.uuid4()), project_id='km-check', payload=payload)
        stored = StoredSecret(secret_id=request.secret_id, project_id=request.project_id,
                              reference=self.store(request))
        try:
            if self.retrieve(stored) != payload:
                raise CannotOpen('The folder does not give back what was put into it.')
        finally:
            self.delete(stored)
        return f'encrypting to {", ".join(map(str, self._recipients))}'

    def close(self) -> None:
        self._folder.close()

    def store(self, request: StoreRequest) -> Reference:
        header = _header(request.secret_id, request.project_id)
        sealed = pyrage.encrypt(header + request.payload, self._recipients)
        digest = hashlib.sha256(sealed).hexdigest()
        with self._working():
            self._folder.write(naming.name(request.secret_id, digest), sealed)
        return {'sha256': digest}

    def retrieve(self, stored: StoredSecret) -> bytes:
        name = naming.of(stored)
        if name is None:
            raise NotFound('The reference is of another store.')
        with self._working():
            sealed = self._folder.read(name)
        if sealed is None:
            raise NotFound('The secret is not in its store.')
        if hashlib.sha256(sealed).hexdigest() != stored.reference['sha256']:
            raise CannotOpen('The stored secret is not the one that was put there.')
        return self._opened(sealed, _header(stored.secret_id, stored.project_id))

    def delete(self, stored: StoredSecret) -> None:
        name = naming.of(stored)
        if name is not None:
            with self._working():
                self._folder.remove(name)

    def find(self, secret_id: str) -> Reference | None:
        return next((kept.reference for kept in self._kept(secret_id[:2])
                     if kept.secret_id == secret_id), None)

    def kept(self, *, after: Kept | None, limit: int) -> Sequence[Kept]:
        begin = _order(after) if after else ('', '')
        found: list[Kept] = []
        for shard in SHARDS:
            if shard >= begin[0][:2] and len(found) < limit:
                found += [kept for kept in self._kept(shard) if _order(kept) > begin]
        return found[:limit]

    def _kept(self, shard: str) -> list[Kept]:
        """All that is kept in one of the folders, in order, and nothing else that lies there."""
        with self._working():
            names = self._folder.names(shard)
        return sorted(filter(None, map(naming.read, names)), key=_order)

    def _opened(self, sealed: bytes, header: bytes) -> bytes:
        """What was sealed with ``header`` before it."""
        try:
            opened = pyrage.decrypt(sealed, self._identities)
        except pyrage.DecryptError:
            raise CannotOpen('The stored secret does not open with the identities here.') from None
        if not opened.startswith(header):
            raise CannotOpen('The stored secret is that of another.')
        return opened[len(header):]

    def _recovery_recipients(self) -> list[pyrage.x25519.Recipient]:
        try:
            return [pyrage.x25519.Recipient.from_str(told) for told in self.settings.recovery_recipients]
        except pyrage.RecipientError:
            raise self._misconfigured(
                'recovery_recipients', 'one of them is no public key of age ("age1...").') from None

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Turns what a file system says into what km understands."""
        try:
            yield
        except OSError as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: OSError) -> Unavailable:
        return Unavailable(f"The folder of '{self.name}' does not work: {error.strerror}.")

    def _misconfigured(self, option: str, sentence: str) -> Misconfigured:
        return Misconfigured(f'[secret_store:{self.name}] {option}: {sentence}')


def _header(secret_id: str, project_id: str) -> bytes:
    """The line before a payload. JSON has no line break in it, so nothing else ends the line."""
    return json.dumps({'secret_id': secret_id, 'project_id': project_id}).encode() + b'\n'


def _order(kept: Kept) -> tuple[str, str]:
    return kept.secret_id, str(kept.reference['sha256'])
