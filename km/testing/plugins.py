# SPDX-License-Identifier: Apache-2.0
"""Opening a plugin without a km around it, and one that keeps everything in memory."""
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from oslo_config import cfg

from km.interfaces import (
    CertificateAuthority,
    Inventory,
    Kept,
    NotFound,
    Plugin,
    Reference,
    SecretStore,
    StoredSecret,
    StoreRequest,
)

AnyPlugin = TypeVar('AnyPlugin', bound=Plugin)
AnAuthority = TypeVar('AnAuthority', bound=CertificateAuthority)


def open_plugin(plugin: type[AnyPlugin], **settings: Any) -> AnyPlugin:
    """An open instance of ``plugin``, with ``settings`` for its options and defaults for the rest.

    :raises KmError: as its ``open`` does.
    """
    made = _made(plugin, settings)
    made.open()
    return made


def open_authority(plugin: type[AnAuthority], *, key_stores: Mapping[str, Any] | None = None,
                   responders: Mapping[str, Any] | None = None, **settings: Any) -> AnAuthority:
    """The same for a certificate authority, which gets these stores and responders.

    :raises KmError: as its ``open`` does.
    """
    made = _made(plugin, settings)
    made.key_stores, made.responders = key_stores or {}, responders or {}
    made.open()
    return made


def _made(plugin: type[AnyPlugin], settings: Mapping[str, Any]) -> AnyPlugin:
    conf = cfg.ConfigOpts()
    conf.register_group(cfg.OptGroup('plugin'))
    conf.register_opts(plugin.options, group='plugin')
    for name, value in settings.items():
        conf.set_override(name, value, group='plugin')
    conf([])
    return plugin('plugin', conf.plugin)


class MemoryStore(SecretStore, Inventory):
    """A store that forgets everything at its end, for tests.

    ``payloads`` maps secret ids to the newest payload of each, so that a test can look.
    """

    def open(self) -> None:
        self._attempts: dict[tuple[str, int], bytes] = {}
        self._numbers = itertools.count()

    @property
    def payloads(self) -> dict[str, bytes]:
        return {secret_id: payload for (secret_id, _), payload in self._attempts.items()}

    def store(self, request: StoreRequest) -> Reference:
        number = next(self._numbers)
        self._attempts[request.secret_id, number] = request.payload
        return {'attempt': number}

    def retrieve(self, stored: StoredSecret) -> bytes:
        try:
            return self._attempts[stored.secret_id, int(stored.reference['attempt'])]
        except KeyError:
            raise NotFound('Nothing is kept under this reference.') from None

    def delete(self, stored: StoredSecret) -> None:
        self._attempts.pop((stored.secret_id, int(stored.reference['attempt'])), None)

    def find(self, secret_id: str) -> Reference | None:
        return next(({'attempt': number} for kept, number in self._attempts if kept == secret_id), None)

    def kept(self, *, after: Kept | None, limit: int) -> Sequence[Kept]:
        begin = (after.secret_id, int(after.reference['attempt'])) if after else ('', 0)
        found = sorted(attempt for attempt in self._attempts if attempt > begin)
        return [Kept(secret_id=secret_id, reference={'attempt': number})
                for secret_id, number in found[:limit]]
