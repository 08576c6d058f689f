# SPDX-License-Identifier: Apache-2.0
"""``openstack ca show|create|delete``, ``ca [global] preferred ...`` and ``ca project ...``.

(``openstack ca list`` and ``ca get`` are the stock plugin's.)
"""
from argparse import ArgumentParser
from typing import Any, ClassVar
from urllib.parse import quote

from osc_lib.command import command
from osc_lib.exceptions import CommandError

from km.client.service import Service, id_of

_COLUMNS = {'Name': 'name', 'Description': 'description', 'Status': 'status',
            'Plugin name': 'plugin_name', 'Plugin CA ID': 'plugin_ca_id', 'Created': 'created',
            'Updated': 'updated', 'Expiration': 'expiration',
            'Certificate': 'ca_signing_certificate', 'Intermediates': 'intermediates'}


class ShowAuthority(command.ShowOne):
    """Show a certificate authority, with its certificate and those above it

    "-f value -c Certificate" prints the PEM alone.
    """

    def get_parser(self, prog_name):
        return _with_authority(super().get_parser(prog_name))

    def take_action(self, parsed_args):
        service = self.app.client_manager.km
        return _shown(service, _find(service, parsed_args.ca))


class CreateAuthority(command.ShowOne):
    """Have a subordinate certificate authority made for the own project"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='<name>', help='What to call it')
        parser.add_argument('--parent', metavar='<ca>', required=True,
                            help='The CA above it (name, href or ID)')
        parser.add_argument('--subject', metavar='<dn>', required=True,
                            help='Its distinguished name, such as "CN=Ours,O=Example"')
        parser.add_argument('--description', metavar='<text>', help='A line about it')
        return parser

    def take_action(self, parsed_args):
        service = self.app.client_manager.km
        body = {'name': parsed_args.name, 'subject_dn': parsed_args.subject,
                'parent_ca_ref': _find(service, parsed_args.parent)}
        if parsed_args.description is not None:
            body['description'] = parsed_args.description
        return _shown(service, id_of(service.post('/cas', body)['ca_ref']))


class DeleteAuthority(command.Command):
    """Delete a subordinate certificate authority of the own project; its key is destroyed"""

    def get_parser(self, prog_name):
        return _with_authority(super().get_parser(prog_name))

    def take_action(self, parsed_args):
        service = self.app.client_manager.km
        service.delete(f'/cas/{_find(service, parsed_args.ca)}')


class ShowPreferred(command.ShowOne):
    """Show the certificate authority that the own project prefers, or else that all prefer"""

    def take_action(self, parsed_args):
        return _of_path(self.app.client_manager.km, '/cas/preferred')


class ShowGlobalPreferred(command.ShowOne):
    """Show the certificate authority of projects that prefer none"""

    def take_action(self, parsed_args):
        return _of_path(self.app.client_manager.km, '/cas/global-preferred')


class UnsetGlobalPreferred(command.Command):
    """Have no certificate authority preferred by all projects"""

    def take_action(self, parsed_args):
        self.app.client_manager.km.post('/cas/unset-global-preferred')


class _Action(command.Command):
    action: ClassVar[str]

    def get_parser(self, prog_name):
        return _with_authority(super().get_parser(prog_name))

    def take_action(self, parsed_args):
        service = self.app.client_manager.km
        service.post(f'/cas/{_find(service, parsed_args.ca)}/{self.action}')


class SetPreferred(_Action):
    """Have the own project prefer a certificate authority that it has chosen"""

    action = 'set-preferred'


class SetGlobalPreferred(_Action):
    """Have all projects that prefer none prefer a certificate authority"""

    action = 'set-global-preferred'


class AddToProject(_Action):
    """Have the own project choose a certificate authority; it then orders of those it chose alone

    The first one it chooses is the one it prefers.
    """

    action = 'add-to-project'


class RemoveFromProject(_Action):
    """Have the own project choose a certificate authority no more"""

    action = 'remove-from-project'


class ListProjects(command.Lister):
    """List the projects that have chosen a certificate authority"""

    def get_parser(self, prog_name):
        return _with_authority(super().get_parser(prog_name))

    def take_action(self, parsed_args):
        service = self.app.client_manager.km
        found = service.get(f'/cas/{_find(service, parsed_args.ca)}/projects')
        return ('Project',), [(project_id,) for project_id in found['projects']]


def _with_authority(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument('ca', metavar='<ca>', help='CA (name, href or ID)')
    return parser


def _shown(service: Service, ca_id: str) -> tuple[tuple, tuple]:
    """The columns of an authority, and what it has in them."""
    told: dict[str, Any] = service.get(f'/cas/{ca_id}')
    for one in told.pop('meta'):
        told.update(one)
    return ('CA ID', *_COLUMNS), (ca_id, *(told.get(field) for field in _COLUMNS.values()))


def _of_path(service: Service, path: str) -> tuple[tuple, tuple]:
    return _shown(service, id_of(service.get(path)['ca_ref']))


def _find(service: Service, asked: str) -> str:
    """The id of an authority that is named by name, reference or id.

    :raises CommandError: none is named so, or several are.
    """
    named = [id_of(ref) for ref in service.get(f'/cas?name={quote(asked, safe="")}')['cas']]
    if len(named) > 1:
        raise CommandError(f"Several CAs are named '{asked}'; use an ID.")
    if named:
        return named[0]
    try:
        return id_of(asked)
    except CommandError:
        raise CommandError(f"There is no CA '{asked}'.") from None
