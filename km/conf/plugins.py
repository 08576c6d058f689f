# SPDX-License-Identifier: Apache-2.0
"""Options that choose plugins. A plugin's own options are on its class; the registry adds them."""
from oslo_config import cfg

SECRET_STORE_GROUP = 'secret_store'
SECRET_STORE_OPTIONS = (
    cfg.ListOpt(
        'enabled', default=[],
        help='The secret stores of this deployment, by names you choose. Each has a section '
             "[secret_store:NAME] with its plugin and that plugin's options; two can be of one plugin. "
             'The names are kept with every secret: do not change them.'),
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

#: What the section of every secret store has besides.
STORE_INSTANCE_OPTIONS = (
    *INSTANCE_OPTIONS,
    cfg.BoolOpt(
        'required', default=False,
        help='Whether km shall not start while this store is down. Without it km starts, answers 503 '
             'to what needs this store, and opens it as soon as that can be done.'),
    cfg.FloatOpt(
        'call_timeout_seconds', default=30.0, min=0.1,
        help='How long a request waits for this store before it is answered with 503. Keep it below '
             '[worker] intent_timeout_seconds and [orders] lease_seconds.'),
    cfg.IntOpt(
        'most_calls', default=64, min=1,
        help='How many calls of this store a process may have under way at once, each in a thread. '
             'Calls that hang count too: when all do, further ones fail at once.'),
)
