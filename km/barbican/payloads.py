# SPDX-License-Identifier: Apache-2.0
"""The payloads in a Barbican database, opened by whatever back end sealed them."""
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa

from km.barbican import simple_crypto, tables
from km.barbican.database import Database
from km.errors import CannotOpen, Misconfigured

_PAGE = 500
#: The types that Barbican gives payloads out as. It normalizes to them what clients say.
_TYPES = 'text/plain', 'application/octet-stream', 'application/pkcs8'
_OCTETS = 'application/octet-stream'
_HEX = b'\\x'


class Opener(Protocol):
    """What opens payloads that one back end of Barbican sealed."""

    def check(self, wrapped_key: bytes) -> None:
        """Insist that a project's key can be had.

        :raises CannotOpen: it cannot.
        """

    def open(self, wrapped_key: bytes, ciphertext: bytes, extended: bytes | None) -> bytes:
        """A payload.

        :param wrapped_key: the project's key, as the back end wrapped it.
        :param extended: what the back end noted about this ciphertext.
        :raises CannotOpen: it does not open.
        """

    def close(self) -> None:
        """Forget all keys."""


class Payloads:
    """All payloads of a database.

    :param openers: by the last part of Barbican's name for the back end.
    """

    def __init__(self, database: Database, openers: Mapping[str, Opener]):
        self._database, self._openers = database, openers

    def check(self) -> tuple[int, int]:
        """How many keys of projects can be had, and how many cannot though there is an opener.

        :raises Misconfigured: there is none for what ``simple_crypto`` sealed, or none can be had.
        :raises Unavailable: the database, or an opener, does not answer.
        """
        good = bad = 0
        for page in self._database.pages(tables.KEK_DATA, _PAGE):
            for row in page:
                if row.deleted or not row.plugin_meta:
                    continue
                opener = self._openers.get(_last_part(row.plugin_name))
                if opener is None:
                    _require_known(row.plugin_name)
                    continue
                try:
                    opener.check(_bytes(row.plugin_meta))
                    good += 1
                except CannotOpen:
                    bad += 1
        if bad and not good:
            raise Misconfigured(f"None of Barbican's {bad} project keys opens under the master keys "
                                'given: these are not its keys. Nothing was imported.')
        return good, bad

    def page(self, ids: Sequence[str]) -> 'PageOfPayloads':
        """The payloads of some secrets."""
        data = self._database.of(tables.ENCRYPTED_DATA, 'secret_id', ids)
        keys = self._database.of(
            tables.KEK_DATA, 'id', [row.kek_id for rows in data.values() for row in rows])
        return PageOfPayloads(data, keys, self._openers)

    def close(self) -> None:
        """Forget all keys."""
        for opener in self._openers.values():
            opener.close()


class PageOfPayloads:
    """The payloads of the secrets of one page, sealed until they are asked for."""

    def __init__(self, data: Mapping[str, Sequence[sa.Row]], keys: Mapping[str, Sequence[sa.Row]],
                 openers: Mapping[str, Opener]):
        """Take the rows of ``encrypted_data`` by secret, and those of ``kek_data`` by id."""
        self._data, self._keys, self._openers = data, keys, openers

    def of(self, secret_id: str, store: Mapping[str, str]) -> tuple[bytes | None, str | None]:
        """A secret's payload and its content type; None for both if it has none.

        :param store: the rows of ``secret_store_metadata``.
        :raises CannotOpen: it has one, but that does not open; the sentence is the end of one.
        """
        data = self._data.get(secret_id)
        if not data:
            if store:
                raise _elsewhere(store.get('plugin_name', 'unknown'))
            return None, None
        if len(data) > 1:
            raise CannotOpen('it has more than one payload')
        payload = self._opened(data[0])
        if not payload:
            raise CannotOpen('its payload is empty')
        said = store.get('content_type') or data[0].content_type
        return payload, said if said in _TYPES else _OCTETS

    def _opened(self, datum: sa.Row) -> bytes:
        keys = self._keys.get(datum.kek_id)
        if not keys or not keys[0].plugin_meta or not datum.cypher_text:
            raise CannotOpen('its payload has no key')
        opener = self._openers.get(_last_part(keys[0].plugin_name))
        if opener is None:
            raise _elsewhere(keys[0].plugin_name)
        try:
            ciphertext = base64.b64decode(_bytes(datum.cypher_text))
        except binascii.Error:
            raise CannotOpen('its ciphertext is no base64') from None
        extended = datum.kek_meta_extended
        return opener.open(
            _bytes(keys[0].plugin_meta), ciphertext, _bytes(extended) if extended else None)


def _elsewhere(plugin: str) -> CannotOpen:
    return CannotOpen(f'its payload is with {_last_part(plugin)}, which km was given no way to read')


def _require_known(plugin: str) -> None:
    if _last_part(plugin) == simple_crypto.PLUGIN:
        raise Misconfigured('Payloads in this database are under master keys of simple_crypto: give '
                            'them with --kek, or name the barbican.conf with --barbican-conf.')


def _last_part(plugin: str) -> str:
    return plugin.rpartition('.')[2]


def _bytes(value: str | bytes) -> bytes:
    """A column that Barbican writes bytes to though it is text, as whichever driver made of them."""
    found = value.encode() if isinstance(value, str) else bytes(value)
    return bytes.fromhex(found[2:].decode()) if found.startswith(_HEX) else found
