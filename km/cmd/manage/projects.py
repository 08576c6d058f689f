# SPDX-License-Identifier: Apache-2.0
"""``km-manage project``: projects of Keystone."""
from typing import Any

from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group, worker
from km.lifecycle import projects


def forget(asked, conf) -> None:
    """Erase all that a project has, as when Keystone tells that it is gone."""
    with worker(conf) as ctx:
        print(f'{projects.forget(ctx, asked.id)} secrets and containers erased.')


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    found = group(commands, 'project', 'projects of Keystone')
    add_command(found, 'forget', forget).add_argument('id', help='of the project')
