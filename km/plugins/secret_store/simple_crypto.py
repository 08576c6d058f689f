# SPDX-License-Identifier: Apache-2.0
"""Simple Crypto: the store whose master keys are files on the worker's disk."""
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from oslo_config import cfg

from km.interfaces import CannotOpen, Misconfigured
from km.plugins.secret_store import key_file
from km.plugins.secret_store.envelope import EnvelopeStore, WrappedKey

_NONCE_BYTES = 12


class SimpleCrypto(EnvelopeStore):
    """Master keys in key files, AES-256-GCM in software."""

    options = (
        *EnvelopeStore.options,
        cfg.ListOpt('kek_file', required=True,
                    help='Master key files made by "km-manage kek create". The first seals, all '
                         'open: to rotate, put a new file in front on every host, restart, run '
                         '"km-manage rewrap", then remove the old one.'),
    )

    def open(self) -> None:
        try:
            keys = [key_file.read(path) for path in self.settings.kek_file]
        except Misconfigured as error:
            raise Misconfigured(
                f'[secret_store:{self.name}] kek_file: {error.sentence}') from None
        self._newest = keys[0]
        self._master_keys = {key.fingerprint: AESGCM(key.key) for key in keys}
        super().open()

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        nonce = os.urandom(_NONCE_BYTES)
        name = self._newest.fingerprint
        return WrappedKey(
            key_id=name, data=nonce + self._master_keys[name].encrypt(nonce, key, context))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        nonce, sealed = wrapped.data[:_NONCE_BYTES], wrapped.data[_NONCE_BYTES:]
        try:
            return self._master_keys[wrapped.key_id].decrypt(nonce, sealed, context)
        except (KeyError, InvalidTag, ValueError):
            raise CannotOpen(f'Master key {wrapped.key_id} does not open this project key, '
                             'or is not configured.') from None
