# SPDX-License-Identifier: Apache-2.0
"""The extension that ``openstack`` loads; the names in capitals and the functions are its interface.

``openstack`` makes ``client_manager.km`` from ``API_NAME`` and ``make_client``, and takes the
commands from the entry point group ``openstack.km.v1``.
"""
from argparse import ArgumentParser
from typing import Any

from keystoneauth1.adapter import Adapter

from km.client.service import Service

API_NAME = 'km'
API_VERSION_OPTION = 'os_km_api_version'
API_VERSIONS = ('1',)
DEFAULT_API_VERSION = '1'

_SERVICE_TYPE = 'key-manager'


def make_client(instance: Any) -> Service:
    """The key manager, asked over the session of ``instance``, osc_lib's ``ClientManager``.

    It is found as the stock plugin finds it: by the service type in the catalog, or where the
    authentication plugin says (``OS_ENDPOINT``).
    """
    return Service(Adapter(
        instance.session, service_type=_SERVICE_TYPE, interface=instance.interface,
        region_name=instance.region_name, version=DEFAULT_API_VERSION))


def build_option_parser(parser: ArgumentParser) -> ArgumentParser:
    """``parser`` as it is: there are no global options of ours."""
    return parser
