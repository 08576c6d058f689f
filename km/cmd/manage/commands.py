# SPDX-License-Identifier: Apache-2.0
"""How a module of ``km-manage`` puts its commands into the parser, and what they work with."""
import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from oslo_config import cfg

from km.deploy import WorkerDeployment
from km.lifecycle.context import Context

#: Loads the km.conf.
Conf = Callable[[], cfg.ConfigOpts]


def add(commands: Any, name: str, function: Callable[[argparse.Namespace, Conf], int | None]
        ) -> argparse.ArgumentParser:
    """Add a command, whose help is the function's docstring."""
    parser = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
    parser.set_defaults(run=function)
    return parser


def group(commands: Any, name: str, about: str) -> Any:
    """Add a word that commands come behind, such as ``db``; give where to add them.

    :param about: its help.
    """
    return commands.add_parser(name, help=about, description=about).add_subparsers(
        required=True, metavar='COMMAND')


@contextlib.contextmanager
def worker(conf: Conf) -> Iterator[Context]:
    """What a task works with, in a worker of this command's own, on the stores and databases of km.

    :raises Misconfigured, Unavailable: km cannot work as configured.
    """
    deployment = WorkerDeployment(conf())
    try:
        yield deployment.context
    finally:
        deployment.close()
