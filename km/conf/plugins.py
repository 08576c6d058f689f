# SPDX-License-Identifier: Apache-2.0
"""Options that choose plugins. A plugin's own options are on its class; the registry adds them."""
from oslo_config import cfg

SECRET_STORE_GROUP = 'secret_store'
SECRET_STORE_OPTIONS = (
    cfg.ListOpt(
        'enabled', default=[],
        help='The secret stores of this deployment, by names you choose. Each has a section '
             "[secret_store:NAME] with its plugin and that plugin's options. The names are kept "
             'with every secret: do not change them.'),
    cfg.StrOpt(
        'default',
        help='The one of them that new secrets go to.'),
)

RPC_TRANSPORT_GROUP = 'rpc_transport'
RPC_TRANSPORT_OPTIONS = (
    cfg.StrOpt(
        'plugin', default='embedded',
        help='How the API reaches the worker: embedded keeps both in one process; messaging puts '
             'RabbitMQ between the API and km-worker, with [DEFAULT] transport_url, '
             '[oslo_messaging_rabbit] and [worker] seal_key_file.'),
)

#: What the section of every named instance has.
INSTANCE_OPTIONS = (cfg.StrOpt('plugin', help='Which plugin this is, by its entry point.'),)
