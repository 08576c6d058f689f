# SPDX-License-Identifier: Apache-2.0
"""``openstack secret store list|get preferred|set preferred|unset preferred``, and ``secret move``.

(``openstack secret store`` alone is the stock plugin's: it creates a secret.)
"""
from argparse import Namespace
from typing import Any
from urllib.parse import quote

from osc_lib.command import command
from osc_lib.exceptions import CommandError

from km.client import project
from km.client.service import Service, id_of

_COLUMNS = {
    'Store href': 'secret_store_ref', 'Name': 'name', 'Status': 'status',
    'Global default': 'global_default', 'Secret store plugin': 'secret_store_plugin',
    'Crypto plugin': 'crypto_plugin'}
_PREFERRED = '/secret-stores/preferred'
#: The first microversion in which secrets can be moved.
_MOVES = '1.3'


class ListStores(command.Lister):
    """List the secret stores of this cloud"""

    def take_action(self, parsed_args):
        stores = self.app.client_manager.km.get('/secret-stores')['secret_stores']
        return tuple(_COLUMNS), [_row(store) for store in stores]


class GetPreferred(command.ShowOne):
    """Show the secret store that a project prefers for new secrets"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        project.add_options(parser, 'Show what this project prefers')
        return parser

    def take_action(self, parsed_args):
        clients = self.app.client_manager
        store = clients.km.get(_PREFERRED + _whose(clients, parsed_args))
        return tuple(_COLUMNS), _row(store)


class SetPreferred(command.Command):
    """Have new secrets of a project kept in a secret store; those it has stay where they are"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('store', metavar='<store>', help='Secret store (name, href or ID)')
        project.add_options(parser, 'Set it for this project')
        return parser

    def take_action(self, parsed_args):
        clients = self.app.client_manager
        whose = _whose(clients, parsed_args)
        store_id = _find(clients.km, parsed_args.store)
        clients.km.post(f'/secret-stores/{store_id}/preferred{whose}')


class UnsetPreferred(command.Command):
    """Have new secrets of a project kept in the default secret store again"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        project.add_options(parser, 'Unset it for this project')
        return parser

    def take_action(self, parsed_args):
        clients = self.app.client_manager
        whose = _whose(clients, parsed_args)
        store = clients.km.get(_PREFERRED + whose)
        clients.km.delete(f'/secret-stores/{id_of(store["secret_store_ref"])}/preferred{whose}')


class MoveSecret(command.Command):
    """Move the payload of a secret to another secret store; it can be read all the while"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('secret', metavar='<secret>', help='Secret (href or ID)')
        parser.add_argument('store', metavar='<store>', help='Secret store (name, href or ID)')
        return parser

    def take_action(self, parsed_args):
        service = self.app.client_manager.km
        secret_id, store_id = id_of(parsed_args.secret), _find(service, parsed_args.store)
        service.put(f'/secrets/{secret_id}/secret-store/{store_id}', microversion=_MOVES)


def _whose(clients: Any, asked: Namespace) -> str:
    """The end of a path about a preference: nothing for the own project's."""
    project_id = project.asked_id(clients, asked)
    return '' if project_id is None else '/' + quote(project_id, safe='')


def _row(store: dict) -> tuple:
    return tuple(store.get(field) for field in _COLUMNS.values())


def _find(service: Service, asked: str) -> str:
    """The id of a store that is named by name, reference or id.

    :raises CommandError: no store is named so, or several are.
    """
    stores = service.get('/secret-stores')['secret_stores']
    named = [id_of(store['secret_store_ref']) for store in stores if store['name'] == asked]
    if len(named) > 1:
        raise CommandError(f"Several secret stores are named '{asked}'; use an ID.")
    return named[0] if named else _with_id(asked, stores)


def _with_id(asked: str, stores: list[dict]) -> str:
    for store in stores:
        store_id = id_of(store['secret_store_ref'])
        if asked in (store_id, store['secret_store_ref']):
            return store_id
    raise CommandError(f"There is no secret store '{asked}'.")
