# SPDX-License-Identifier: Apache-2.0
"""``km-manage plugins`` and ``openapi``: what this km is made of, and what it answers to."""
import json
from typing import Any

from km import registry
from km.api import openapi
from km.cmd.manage.commands import add as add_command
from km.errors import KmError


def plugins(asked, conf) -> int:
    """List installed plugins, their packages, whether they are enabled, and how they are."""
    tried = list(registry.Registry(conf()).tried())
    rows = [('KIND', 'PLUGIN', 'PACKAGE', 'ENABLED AS', 'STATE')]
    for found in registry.installed():
        instances = [(name, state) for (*made, name), state in tried
                     if made == [found.kind, found.name]]
        rows += [(found.kind, found.name, found.package, name, _told(state))
                 for name, state in instances or [('-', found.error or 'not enabled')]]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)))
    return int(any(isinstance(state, KmError) for _, state in tried))


def _told(state: str | KmError) -> str:
    return f'FAILED: {state.sentence}' if isinstance(state, KmError) else state


def print_openapi(asked, conf) -> None:
    """Print the description of the API, an OpenAPI 3.1 document."""
    print(json.dumps(openapi.document(), indent=1))


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    add_command(commands, 'plugins', plugins)
    add_command(commands, 'openapi', print_openapi)
