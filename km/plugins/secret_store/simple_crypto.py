# SPDX-License-Identifier: Apache-2.0
"""Simple Crypto: the store whose master keys are files on the worker's disk."""
import logging
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from oslo_config import cfg

from km.interfaces import CannotOpen, MasterKeyRotation, Misconfigured
from km.plugins.secret_store import key_file, key_ring
from km.plugins.secret_store.envelope import EnvelopeStore, WrappedKey
from km.plugins.secret_store.key_ring import Ring
from km.plugins.secret_store.software_signing import SoftwareSigning

LOG = logging.getLogger(__name__)

_NONCE_BYTES = 12

Something = TypeVar('Something')


class _Loaded(NamedTuple):
    """The master keys as they were read, and from which state of the files."""

    states: list[tuple[int, ...]]
    newest: str
    ciphers: dict[str, AESGCM]


class SimpleCrypto(SoftwareSigning, MasterKeyRotation):
    """Master keys in key files, AES-256-GCM and signatures in software."""

    options = (
        *EnvelopeStore.options,
        cfg.ListOpt('kek_file', required=True,
                    help='Files of master keys, made by "km-manage kek create". The first key of the '
                         'first file seals, all open. "km-manage kek rotate" puts a new key into the '
                         'first file; running processes notice it.'),
    )

    def open(self) -> None:
        self._loaded = self._named(self._load)
        super().open()

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        self._notice_changes()
        nonce, loaded = os.urandom(_NONCE_BYTES), self._loaded
        return WrappedKey(
            key_id=loaded.newest,
            data=nonce + loaded.ciphers[loaded.newest].encrypt(nonce, key, context))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        if wrapped.key_id not in self._loaded.ciphers:
            self._notice_changes()
        nonce, sealed = wrapped.data[:_NONCE_BYTES], wrapped.data[_NONCE_BYTES:]
        try:
            return self._loaded.ciphers[wrapped.key_id].decrypt(nonce, sealed, context)
        except (KeyError, InvalidTag, ValueError):
            raise CannotOpen(f'Master key {wrapped.key_id} does not open this project key, '
                             'or is not configured.') from None

    def new_master_key(self) -> str:
        """Promote the staged key of the first file, or make a new one there.

        :raises Misconfigured: the file cannot be replaced; nothing was changed.
        """
        def promoted(ring: Ring) -> Ring:
            return Ring((ring.staged or key_file.new(), *ring.keys))

        return self._change(promoted).keys[0].fingerprint

    def stage_master_key(self) -> str:
        """Put a new key into the first file that opens and does not seal yet, unless there is one; its
        public id.

        :raises Misconfigured: the file cannot be replaced; nothing was changed.
        """
        staged = self._change(lambda ring: Ring(ring.keys, ring.staged or key_file.new())).staged
        return staged.fingerprint if staged else ''

    def retire_master_keys(self) -> Sequence[str]:
        """Drop from the first file the keys that seal nothing any more; their public ids.

        :raises Misconfigured: some still do, or the file cannot be replaced; nothing was changed.
        """
        if waiting := self.to_rewrap():
            raise Misconfigured(f'[secret_store:{self.name}] {waiting} project keys are still sealed by '
                                f'an older master key; run "km-manage rewrap {self.name}" first.')
        retired: list[str] = []

        def without(ring: Ring) -> Ring:
            retired[:] = [key.fingerprint for key in ring.keys[1:]]
            return Ring(ring.keys[:1], ring.staged)

        self._change(without)
        return retired

    def _change(self, changed: Callable[[Ring], Ring]) -> Ring:
        _, after = self._named(lambda: key_ring.change(self.settings.kek_file[0], changed))
        self._loaded = self._named(self._load)
        return after

    def _load(self) -> _Loaded:
        paths = self.settings.kek_file
        states = [_state(path) for path in paths]  # before the keys: what changes meanwhile is seen next
        rings = [key_ring.read(path) for path in paths]
        return _Loaded(states, rings[0].keys[0].fingerprint, {
            key.fingerprint: AESGCM(key.key) for ring in rings for key in ring.all})

    def _notice_changes(self) -> None:
        """Read the files again if they are not what was read."""
        if [_state(path) for path in self.settings.kek_file] == self._loaded.states:
            return
        try:
            self._loaded = self._named(self._load)
        except Misconfigured as error:  # perhaps it is being copied; the keys of before are good
            LOG.warning('%s The master keys read before are used.', error.sentence)

    def _named(self, work: Callable[[], Something]) -> Something:
        """What ``work`` gives; an error of it with the name of the option."""
        try:
            return work()
        except Misconfigured as error:
            raise Misconfigured(
                f'[secret_store:{self.name}] kek_file: {error.sentence}') from None


def _state(path: str) -> tuple[int, ...]:
    """What is another when a file was changed or replaced."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
