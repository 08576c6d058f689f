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
    house = registry.Registry(conf())
    rows = [('KIND', 'PLUGIN', 'PACKAGE', 'ENABLED AS', 'STATE')]
    failed = False
    for found in registry.installed():
        instances = house.instances_of(found.kind, found.name)
        if not instances:
            rows.append((found.kind, found.name, found.package, '-', found.error or 'not enabled'))
        for name, plugin in instances.items():
            try:
                plugin.open()
                state = plugin.check()
                plugin.close()
            except KmError as error:
                state, failed = f'FAILED: {error.sentence}', True
            rows.append((found.kind, found.name, found.package, name, state))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)))
    return int(failed)


def print_openapi(asked, conf) -> None:
    """Print the description of the API, an OpenAPI 3.1 document."""
    print(json.dumps(openapi.document(), indent=1))


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    add_command(commands, 'plugins', plugins)
    add_command(commands, 'openapi', print_openapi)
