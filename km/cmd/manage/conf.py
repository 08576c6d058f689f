# SPDX-License-Identifier: Apache-2.0
"""``km-manage conf``: the configuration."""
import sys
from typing import Any

from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group
from km.conf import barbican


def conf_import(asked, conf) -> None:
    """Print a km.conf made from a barbican.conf, with its passwords; warn of what has no equal."""
    text, warnings = barbican.imported(asked.file)
    print(text, end='')
    for warning in warnings:
        print(f'km: {warning}', file=sys.stderr)


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    add_command(group(commands, 'conf', 'the configuration'), 'import', conf_import).add_argument(
        'file', help='a barbican.conf')
