# SPDX-License-Identifier: Apache-2.0
"""Opening a plugin without a km around it, and one that keeps everything in memory."""
from typing import Any, TypeVar

from oslo_config import cfg

from km.interfaces import NotFound, Plugin, Reference, SecretStore, StoredSecret, StoreRequest

AnyPlugin = TypeVar('AnyPlugin', bound=Plugin)


def open_plugin(plugin: type[AnyPlugin], **settings: Any) -> AnyPlugin:
    """An open instance of ``plugin``, with ``settings`` for its options and defaults for the rest.

    :raises KmError: as its ``open`` does.
    """
    conf = cfg.ConfigOpts()
    conf.register_group(cfg.OptGroup('plugin'))
    conf.register_opts(plugin.options, group='plugin')
    for name, value in settings.items():
        conf.set_override(name, value, group='plugin')
    conf([])
    made = plugin('plugin', conf.plugin)
    made.open()
    return made


class MemoryStore(SecretStore):
    """A store that forgets everything at its end, for tests.

    ``kept`` maps secret ids to payloads, so that a test can look, and lose something on purpose.
    """

    def open(self) -> None:
        self.kept: dict[str, bytes] = {}

    def store(self, request: StoreRequest) -> Reference:
        self.kept[request.secret_id] = request.payload
        return {'id': request.secret_id}

    def retrieve(self, stored: StoredSecret) -> bytes:
        try:
            return self.kept[stored.secret_id]
        except KeyError:
            raise NotFound('Nothing is kept under this reference.') from None

    def delete(self, stored: StoredSecret) -> None:
        self.kept.pop(stored.secret_id, None)

    def find(self, secret_id: str) -> Reference | None:
        return {'id': secret_id} if secret_id in self.kept else None
