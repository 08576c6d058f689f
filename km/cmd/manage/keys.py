# SPDX-License-Identifier: Apache-2.0
"""``km-manage kek``, ``rewrap``, ``transport-key`` and ``seal-key``: keys of km's own."""
from typing import Any

from km import registry
from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group, worker
from km.errors import Misconfigured
from km.lifecycle import transport_keys
from km.plugins.secret_store import key_file
from km.plugins.secret_store.envelope import EnvelopeStore


def kek_create(asked, conf) -> None:
    """Write a new random master key to a file with mode 0400."""
    print(f'{asked.file}: master key {key_file.create(asked.file).fingerprint}')


def rewrap(asked, conf) -> None:
    """Seal the project keys of a store under its newest master key."""
    hosted = registry.Registry(conf()).secret_stores.get(asked.store)
    store = hosted and hosted.guest
    if not isinstance(store, EnvelopeStore):
        raise Misconfigured(f"'{asked.store}' is no enabled store with project keys to rewrap.")
    store.open()
    print(f'{store.rewrap()} project keys are under the newest master key now.')
    store.close()


def transport_key_rotate(asked, conf) -> None:
    """Put a new transport key in the place of the current one, which opens payloads until it retires."""
    with worker(conf) as ctx:
        print(f'The current transport key is {transport_keys.rotate(ctx)}.')


def seal_key_create(asked, conf) -> None:
    """Write a new random key for messages between API and workers to a file with mode 0400."""
    made = key_file.create(asked.file, key_file.SEAL_KEY)
    print(f'{asked.file}: seal key {made.fingerprint}')


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    add_command(commands, 'rewrap', rewrap).add_argument('store', help='name of a secret store')
    kek = group(commands, 'kek', 'master keys of secret stores')
    add_command(kek, 'create', kek_create).add_argument('file')
    add_command(group(commands, 'transport-key', 'keys that clients wrap payloads with'),
                'rotate', transport_key_rotate)
    seal_key = group(commands, 'seal-key', 'keys that messages are sealed with')
    add_command(seal_key, 'create', seal_key_create).add_argument('file')
