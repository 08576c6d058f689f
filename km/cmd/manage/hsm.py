# SPDX-License-Identifier: Apache-2.0
"""``km-manage hsm``: the token of a PKCS#11 store, and the master keys on it."""
import contextlib
from collections.abc import Iterator
from typing import Any

from km import registry
from km.cmd.manage import keys
from km.cmd.manage.commands import Conf, group
from km.cmd.manage.commands import add as add_command
from km.cmd.manage.progress import add_pace
from km.errors import Conflict, Misconfigured


def init(asked, conf) -> None:
    """Make the first master key of a store on its token."""
    with _token(asked.store, conf) as store:
        found = store.master_keys()
        if found:
            raise Conflict(f'The token has master key {found[0]} already; "km-manage hsm rotate '
                           f'{asked.store}" makes another.')
        print(f'Master key {store.new_master_key()} is on the token.')


def check(asked, conf) -> int:
    """Log in to a store's token; tell what it is, what km makes of it and which master keys it has."""
    with _token(asked.store, conf) as store:
        lines, master_keys = store.describe()
        sessions = store.settings.sessions + 1
    print('\n'.join(lines))
    print(f'sessions: {sessions} for each process that opens the store; workers x {sessions}, and 2 for '
          'a command, must fit the token')
    for number, found in enumerate(master_keys):
        print(f'master key {found.name}: {"seals" if not number else "opens"}, by suite {found.suite}, '
              f'{", ".join(found.attributes)}')
    if not master_keys:
        print(f'no master key; make the first with "km-manage hsm init {asked.store}"')
    return int(not master_keys or master_keys[0].suite == 'none')


@contextlib.contextmanager
def _token(name: str, conf: Conf) -> Iterator[Any]:
    """A store, logged in to its token and not open: it may have no master key yet."""
    house = registry.Registry(conf())
    hosted = house.secret_stores.get(name)
    # By its name and not its class: that wants a library which is not everywhere.
    if hosted is None or house.secret_store_plugins[name] != 'pkcs11':
        raise Misconfigured(f"'{name}' is no enabled store of plugin pkcs11.")
    store: Any = hosted.guest
    store.open_token()
    try:
        yield store
    finally:
        store.close_token()


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    hsm = group(commands, 'hsm', 'tokens of PKCS#11 stores')
    for name, function in (('init', init), ('check', check)):
        add_command(hsm, name, function).add_argument('store', help='name of a secret store')
    rotating = add_command(hsm, 'rotate', keys.kek_rotate)
    rotating.add_argument('store', help='name of a secret store')
    add_pace(rotating)
