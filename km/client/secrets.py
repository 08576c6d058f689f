# SPDX-License-Identifier: Apache-2.0
"""``openstack secret show``."""
from osc_lib.cli.format_columns import DictColumn, ListDictColumn
from osc_lib.command import command

from km.client.service import id_of

#: The stock plugin's headings, and those it leaves out.
_COLUMNS = {
    'Secret href': 'secret_ref', 'Name': 'name', 'Status': 'status', 'Secret type': 'secret_type',
    'Algorithm': 'algorithm', 'Bit length': 'bit_length', 'Mode': 'mode',
    'Content types': 'content_types', 'Creator': 'creator_id', 'Created': 'created',
    'Updated': 'updated', 'Expiration': 'expiration', 'Consumers': 'consumers'}
#: How a table shows what is no plain value.
_FORMATTED = {'content_types': DictColumn, 'consumers': ListDictColumn}
#: The first that tells consumers.
_MICROVERSION = '1.1'


class ShowSecret(command.ShowOne):
    """Show all that is known of a secret, but not its payload"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('secret', metavar='<secret>', help='Secret (href or ID)')
        return parser

    def take_action(self, parsed_args):
        shown = self.app.client_manager.km.get(
            f'/secrets/{id_of(parsed_args.secret)}', microversion=_MICROVERSION)
        return tuple(_COLUMNS), tuple(_cell(shown, field) for field in _COLUMNS.values())


def _cell(shown: dict, field: str) -> object:
    value = shown.get(field)
    return _FORMATTED[field](value) if value and field in _FORMATTED else value
