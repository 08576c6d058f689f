# SPDX-License-Identifier: Apache-2.0
"""``km-manage sweep`` and ``reconcile``: what is in the stores, and whether it should be."""
from typing import Any

from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import worker
from km.lifecycle import upkeep
from km.lifecycle.reconcile import reconcile as compare


def sweep(asked, conf) -> int:
    """Sweep once, now: erase what expired, end what was abandoned."""
    with worker(conf) as ctx:
        swept = upkeep.sweep(ctx)
    print(f'{swept}.')
    return int(bool(swept.failed))


def reconcile(asked, conf) -> int:
    """Compare the metadata with every store, both ways, and say on what they do not agree."""
    found, left = 0, 0
    with worker(conf) as ctx:
        for difference in compare(ctx, fix=asked.fix):
            found, left = found + 1, left + (not difference.mended)
            print(f'{difference.store}: {difference.secret_id} {difference.problem}'
                  f'{"; destroyed" if difference.mended else ""}')
    print(f'{found} differences, {left} left.')
    return int(bool(left))


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    add_command(commands, 'sweep', sweep)
    add_command(commands, 'reconcile', reconcile).add_argument(
        '--fix', action='store_true', help='destroy what is in a store and has no row')
