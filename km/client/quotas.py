# SPDX-License-Identifier: Apache-2.0
"""``openstack secret quota``: how much a project may keep. -1 is without limit, 0 is nothing."""
from urllib.parse import quote

from osc_lib.command import command
from osc_lib.exceptions import CommandError

from km.client import project

#: The resources of the API, as a person calls them.
_RESOURCES = {'secrets': 'secrets', 'orders': 'orders', 'containers': 'containers',
              'consumers': 'consumers', 'cas': 'certificate authorities'}


class ShowQuota(command.ShowOne):
    """Show the quotas in force for the own project, or those set for another"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        project.add_options(parser, 'Show what is set for this project')
        return parser

    def take_action(self, parsed_args):
        clients = self.app.client_manager
        project_id = project.asked_id(clients, parsed_args)
        if project_id is None:
            quotas = clients.km.get('/quotas')['quotas']
        else:
            quotas = clients.km.get(_path(project_id))['project_quotas']
        return tuple(_RESOURCES), tuple(quotas.get(resource) for resource in _RESOURCES)


class SetQuota(command.Command):
    """Set quotas of a project; those that are not named stay"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        project.add_options(parser, 'Set quotas of this project')
        for resource in _RESOURCES:
            parser.add_argument(f'--{resource}', metavar='<number>', type=int,
                                help=f'How many {_RESOURCES[resource]} it may have; -1: any number')
        return parser

    def take_action(self, parsed_args):
        quotas = {resource: value for resource in _RESOURCES
                  if (value := getattr(parsed_args, resource)) is not None}
        if not quotas:
            raise CommandError(f'Name a quota: --{", --".join(_RESOURCES)}.')
        clients = self.app.client_manager
        clients.km.put(_path(project.needed_id(clients, parsed_args)), {'project_quotas': quotas})


class UnsetQuota(command.Command):
    """Forget what is set for a project, so that the defaults are in force again"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        project.add_options(parser, 'Forget what is set for this project')
        return parser

    def take_action(self, parsed_args):
        clients = self.app.client_manager
        clients.km.delete(_path(project.needed_id(clients, parsed_args)))


def _path(project_id: str) -> str:
    return f'/project-quotas/{quote(project_id, safe="")}'
