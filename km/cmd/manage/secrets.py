# SPDX-License-Identifier: Apache-2.0
"""``km-manage sweep``, ``reconcile`` and ``secrets``: what is in the stores, and where it should be."""
import sys
from typing import Any

from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group, worker
from km.cmd.manage.progress import Progress, add_pace
from km.errors import Misconfigured
from km.lifecycle import moving, upkeep
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


def move(asked, conf) -> int:
    """Move payloads from one store to another, while km serves. Each is read back and compared before it
    is erased where it was. Cut off, run it again: it goes on with what is left."""
    source, target = asked.source, asked.target
    if source == target:
        raise Misconfigured(f"--from and --to are both '{source}'.")
    with worker(conf) as ctx:
        def left() -> int:
            return moving.count(ctx, store=source, project_id=asked.project)

        there = left()
        if asked.dry_run:
            print(f"{there} secrets would move from '{source}' to '{target}'.")
            return 0
        moved = 0
        with Progress('secrets', total=there, per_second=asked.per_second) as progress:
            for outcome in moving.move_all(
                    ctx, source=source, target=target, project_id=asked.project):
                moved += outcome.failure is None and not outcome.gone
                if outcome.failure:
                    print(f'km: {outcome.secret_id} stays: {outcome.failure}', file=sys.stderr)
                progress.step()
        stayed = left()
        behind = moving.count_left_behind(ctx, store=source, project_id=asked.project)
    print(_told(source, target, there=there, moved=moved, stayed=stayed))
    if behind:
        print(f"{behind} others are still to be erased in '{source}': the sweep does that.")
    return int(bool(stayed or behind))


def _told(source: str, target: str, *, there: int, moved: int, stayed: int) -> str:
    """What came of a move; every secret that was there is in one of its numbers."""
    gone, new = max(0, there - moved - stayed), max(0, moved + stayed - there)
    meanwhile = f', {gone} were deleted meanwhile' if gone else ''
    meanwhile += f', {new} came meanwhile' if new else ''
    return (f"{there} secrets were in '{source}'{meanwhile}: {moved} are in '{target}' now, "
            f"{stayed} are left in '{source}'.")


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    add_command(commands, 'sweep', sweep)
    add_command(commands, 'reconcile', reconcile).add_argument(
        '--fix', action='store_true', help='destroy what is in a store and has no row')
    moved = add_command(group(commands, 'secrets', 'where payloads are'), 'move', move)
    moved.add_argument('--from', dest='source', required=True, metavar='STORE', help='where they are')
    moved.add_argument('--to', dest='target', required=True, metavar='STORE', help='where they shall be')
    moved.add_argument('--project', metavar='ID', help='only the payloads of this project')
    add_pace(moved)
