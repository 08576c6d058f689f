# SPDX-License-Identifier: Apache-2.0
"""``km-manage db``: the metadata database."""
from typing import Any

from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group, worker
from km.deploy import database
from km.lifecycle import orders


def upgrade(asked, conf) -> None:
    """Bring the metadata database to the schema of this km."""
    metadata = database(conf())
    metadata.upgrade()
    print(f'The metadata database is at schema version {metadata.current()}.')


def current(asked, conf) -> None:
    """Print the schema version of the metadata database."""
    print(database(conf()).current() or 'empty')


def check(asked, conf) -> None:
    """Fail if the metadata database is not at the schema of this km."""
    database(conf()).require_schema()
    print('The metadata database has the schema of this km.')


def clean(asked, conf) -> None:
    """Delete orders that ended long ago; what they made stays. Nothing else of km needs cleaning."""
    with worker(conf) as ctx:
        print(f'{orders.clean(ctx, days=asked.min_days)} orders deleted.')


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    found = group(commands, 'db', 'the metadata database')
    add_command(found, 'upgrade', upgrade)
    add_command(found, 'current', current)
    add_command(found, 'check', check)
    add_command(found, 'clean', clean).add_argument(
        '--min-days', type=_days, default=90, metavar='DAYS', help='how long ago; 90 if not given')


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= 36500:
        raise ValueError('out of range')
    return days
