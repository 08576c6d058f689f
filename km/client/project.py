# SPDX-License-Identifier: Apache-2.0
"""``--project``: which project a command is about."""
from argparse import ArgumentParser, Namespace
from typing import Any

from openstackclient.identity.common import find_project
from osc_lib.exceptions import CommandError


def add_options(parser: ArgumentParser, purpose: str) -> None:
    """Add ``--project`` and ``--project-domain``; ``purpose`` is help for the first."""
    parser.add_argument('--project', metavar='<project>',
                        help=f'{purpose} (name or ID; the own project by default; '
                             'another needs an admin)')
    parser.add_argument('--project-domain', metavar='<project-domain>',
                        help='Domain of <project> (name or ID), if several have one of its name')


def asked_id(clients: Any, asked: Namespace) -> str | None:
    """The id of the project that was named; None if none was.

    Keystone is asked for it. Who may not ask Keystone must name an id, and so must who has no
    Keystone at all.

    :raises CommandError: there is no such project.
    """
    if asked.project is None or not clients.km.has_keystone:
        return asked.project
    return find_project(clients.identity, asked.project, asked.project_domain).id


def needed_id(clients: Any, asked: Namespace) -> str:
    """The id of the project that was named, or else of the own one.

    :raises CommandError: there is no such project, or none was named and the own one is unknown.
    """
    found = asked_id(clients, asked) or clients.km.own_project_id
    if not found:
        raise CommandError('Name the project with --project: these credentials do not tell it.')
    return found
