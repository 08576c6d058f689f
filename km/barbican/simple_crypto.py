# SPDX-License-Identifier: Apache-2.0
"""What Barbican's ``simple_crypto`` made of payloads, opened.

Everything is a Fernet token (AES-128-CBC with PKCS #7, then HMAC-SHA256; see the specification at
github.com/fernet/spec). A master key, of which there may be several since they can be replaced, sealed
the project's key, which is itself the base64 text that Fernet takes as a key; that sealed the payload.
"""
import functools
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from km.errors import CannotOpen, Misconfigured

#: The last part of the name that Barbican has for this back end.
PLUGIN = 'SimpleCryptoPlugin'

_KEYS_REMEMBERED = 1000


class SimpleCrypto:
    """Opens under given master keys."""

    def __init__(self, master_keys: Sequence[bytes | str]):
        """Take the values of ``[simple_crypto_plugin] kek``, at least one.

        :raises Misconfigured: one of them is no such key.
        """
        try:
            self._master = MultiFernet([Fernet(key) for key in master_keys])
        except ValueError:
            raise Misconfigured('A master key of Barbican is 32 bytes in base64, as the option kek of '
                                '[simple_crypto_plugin] in barbican.conf; this is none.') from None
        self._project_key = functools.lru_cache(_KEYS_REMEMBERED)(self._open_project_key)

    def check(self, wrapped_key: bytes) -> None:
        """Insist that a project's key opens.

        :raises CannotOpen: none of the master keys opens it.
        """
        self._project_key(wrapped_key)

    def open(self, wrapped_key: bytes, ciphertext: bytes, _extended: bytes | None) -> bytes:
        """The payload.

        :param wrapped_key: the project's key, as ``kek_data.plugin_meta`` has it.
        :param ciphertext: what ``encrypted_data.cypher_text`` is the base64 of.
        :raises CannotOpen: it does not open.
        """
        project_key = self._project_key(wrapped_key)
        try:
            return project_key.decrypt(ciphertext)
        except InvalidToken:
            raise CannotOpen("its payload does not open under its project's key") from None

    def close(self) -> None:
        """Forget the keys of projects."""
        self._project_key.cache_clear()

    def _open_project_key(self, wrapped_key: bytes) -> Fernet:
        try:
            return Fernet(self._master.decrypt(wrapped_key))
        except (InvalidToken, ValueError):
            raise CannotOpen("its project's key opens under none of the master keys given") from None
