# SPDX-License-Identifier: Apache-2.0
"""``km-manage kek``, ``rewrap``, ``rekey``, ``transport-key`` and ``seal-key``: keys of km's own."""
import argparse
import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from km import registry
from km.cmd.manage.commands import Conf, group, worker
from km.cmd.manage.commands import add as add_command
from km.cmd.manage.progress import Progress, add_pace
from km.errors import Misconfigured
from km.interfaces import MasterKeyRotation
from km.lifecycle import rekeying, transport_keys
from km.plugins.secret_store import key_file
from km.plugins.secret_store.envelope import EnvelopeStore
from km.plugins.secret_store.simple_crypto import SimpleCrypto

_PAGE = 100

Ability = TypeVar('Ability')


def kek_create(asked, conf) -> None:
    """Write a new random master key to a file with mode 0400."""
    print(f'{asked.file}: master key {key_file.create(asked.file).fingerprint}')


def rewrap(asked, conf) -> None:
    """Seal the keys of projects in a store under its newest master key, while km serves."""
    with _opened(asked.store, conf, EnvelopeStore, 'project keys to rewrap') as store:
        if asked.dry_run:
            print(f'{store.to_rewrap()} project keys would be sealed under the newest master key.')
        else:
            print(f'{_rewrap_all(store, asked)} project keys are under the newest master key now.')


def kek_rotate(asked, conf) -> None:
    """Seal under a new master key from now on, and the keys of projects in a store under it again, while
    km serves. Payloads are not touched. Cut off, run "km-manage rewrap"."""
    with _opened(asked.store, conf, MasterKeyRotation, 'a master key that can be replaced') as store:
        if asked.dry_run:
            print(f"The project keys of '{asked.store}' would be sealed under a new master key.")
            return
        newest = store.new_master_key()
        print(f'{_rewrap_all(store, asked)} project keys are under the new master key {newest} now.')


def rekey(asked, conf) -> None:
    """Give a project new keys and seal its payloads anew under them, while km serves. Cut off, run it
    again."""
    with worker(conf) as ctx:
        there = rekeying.count(ctx, asked.project)
        if asked.dry_run:
            print(f'{there} payloads would be sealed anew.')
            return
        done = 0
        with Progress('payloads', total=there, per_second=asked.per_second) as progress:
            for _ in rekeying.rekey(ctx, asked.project):
                done += 1
                progress.step()
        print(f'There were {there} payloads; {done} are sealed under new keys now.')
        if asked.destroy_old_keys:
            print(f'{rekeying.destroy_old_keys(ctx, asked.project)} old keys are destroyed.')


def kek_stage(asked, conf) -> None:
    """Put a new master key into a store's key file that opens and does not seal yet."""
    with _opened(asked.store, conf, SimpleCrypto, 'key files') as store:
        staged, file = store.stage_master_key(), store.settings.kek_file[0]
        print(f'{file}: master key {staged} is staged. Copy the file to every host that runs a worker, '
              f'run "km-manage kek rotate {asked.store}" here, and copy it once more.')


def kek_retire(asked, conf) -> None:
    """Drop from a store's key file the master keys that seal nothing any more."""
    with _opened(asked.store, conf, SimpleCrypto, 'key files') as store:
        retired, files = store.retire_master_keys(), store.settings.kek_file
        print(f'{files[0]}: {len(retired)} master keys retired{": " if retired else ""}'
              f'{", ".join(retired)}.')
        if files[1:]:
            print(f'{", ".join(files[1:])}: needed no more; take it out of kek_file.')


@contextlib.contextmanager
def _opened(name: str, conf: Conf, ability: type[Ability], has: str) -> Iterator[Ability]:
    """A store that can do something, open, without the deadlines that km has for its calls."""
    hosted = registry.Registry(conf()).secret_stores.get(name)
    if hosted is None or not isinstance(hosted.guest, ability):
        raise Misconfigured(f"'{name}' is no enabled store with {has}.")
    hosted.guest.open()
    try:
        yield hosted.guest
    finally:
        hosted.guest.close()


def _rewrap_all(store: Any, asked: argparse.Namespace) -> int:
    done = 0
    with Progress('keys', total=store.to_rewrap(), per_second=asked.per_second) as progress:
        while looked_at := store.rewrap(limit=_PAGE):
            done += looked_at
            progress.step(looked_at)
    return done


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
    rewrapping = add_command(commands, 'rewrap', rewrap)
    rewrapping.add_argument('store', help='name of a secret store')
    add_pace(rewrapping)
    rekeying_project = add_command(commands, 'rekey', rekey)
    rekeying_project.add_argument('project', help='its id')
    rekeying_project.add_argument(
        '--destroy-old-keys', action='store_true',
        help='in the end destroy the keys of before, which open what older backups have')
    add_pace(rekeying_project)
    kek = group(commands, 'kek', 'master keys of secret stores')
    add_command(kek, 'create', kek_create).add_argument('file')
    rotating = add_command(kek, 'rotate', kek_rotate)
    add_pace(rotating)
    for command in (rotating, add_command(kek, 'stage', kek_stage), add_command(
            kek, 'retire', kek_retire)):
        command.add_argument('store', help='name of a secret store')
    add_command(group(commands, 'transport-key', 'keys that clients wrap payloads with'),
                'rotate', transport_key_rotate)
    seal_key = group(commands, 'seal-key', 'keys that messages are sealed with')
    add_command(seal_key, 'create', seal_key_create).add_argument('file')
