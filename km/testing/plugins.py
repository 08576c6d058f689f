# SPDX-License-Identifier: Apache-2.0
"""Opening a plugin without a km around it, and one that keeps everything in memory."""
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from oslo_config import cfg

from km.interfaces import (
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


def open_plugin(plugin: type[AnyPlugin], *, given: Mapping[str, Any] | None = None,
                **settings: Any) -> AnyPlugin:
    """An open instance of ``plugin``, with ``settings`` for its options and defaults for the rest.

    :param given: what km gives one of its kind before it is opened, by attribute, such as the
        ``key_stores`` of a certificate authority.
    :raises KmError: as its ``open`` does.
    """
    conf = cfg.ConfigOpts()
    conf.register_group(cfg.OptGroup('plugin'))
    conf.register_opts(plugin.options, group='plugin')
    for name, value in settings.items():
        conf.set_override(name, value, group='plugin')
    conf([])
    made = plugin('plugin', conf.plugin)
    for name, value in (given or {}).items():
        setattr(made, name, value)
    made.open()
    return made


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
