# SPDX-License-Identifier: Apache-2.0
"""``km-manage``: what an operator does beside running km. Exit status 1 means that it failed.

Each module here has the commands about one thing, and an ``add`` that puts them into the parser.
"""
import argparse
import sys
from collections.abc import Sequence

from km.cmd import run
from km.cmd.manage import about, authorities, barbican, certs, conf, db, hsm, keys, projects, secrets
from km.conf.load import load

_PARTS = (db, about, secrets, keys, hsm, authorities, certs, projects, conf, barbican)


def main() -> None:
    """Run the command of ``sys.argv``."""
    sys.exit(run(lambda: command(sys.argv[1:])))


def command(arguments: Sequence[str]) -> int | None:
    """Run one command; see ``km-manage --help``."""
    asked = parser().parse_args(arguments)
    files = [asked.config_file] if asked.config_file else None
    return asked.run(asked, lambda: load(files=files))


def parser() -> argparse.ArgumentParser:
    """What knows every command; ``run`` of what it parses takes that, and what loads the km.conf."""
    made = argparse.ArgumentParser(prog='km-manage', description=(__doc__ or '').partition('\n')[0])
    made.add_argument('--config-file', metavar='FILE', help='instead of the usual km.conf')
    commands = made.add_subparsers(required=True, metavar='COMMAND')
    for part in _PARTS:
        part.add(commands)
    return made
