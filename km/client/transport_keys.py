# SPDX-License-Identifier: Apache-2.0
"""``openstack secret transport key get``."""
from osc_lib.command import command

_COLUMNS = {'Transport key href': 'transport_key_ref', 'Plugin': 'plugin_name', 'Status': 'status',
            'Transport key': 'transport_key'}


class GetTransportKey(command.ShowOne):
    """Show the public key that payloads are to be encrypted with on their way

    "-f value -c 'Transport key'" prints the PEM alone.
    """

    def take_action(self, parsed_args):
        key = self.app.client_manager.km.get('/transport_key')
        return tuple(_COLUMNS), tuple(key.get(field) for field in _COLUMNS.values())
