# SPDX-License-Identifier: Apache-2.0
"""Options that choose plugins. A plugin's own options are on its class; the registry adds them."""
from oslo_config import cfg

from km.conf.events import NOTIFIER_INSTANCE_OPTIONS

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

CERTIFICATE_AUTHORITY_GROUP = 'certificate_authority'
CERTIFICATE_AUTHORITY_OPTIONS = (
    cfg.ListOpt(
        'enabled', default=[],
        help='The certificate authorities of this deployment, by names you choose. Each has a section '
             "[certificate_authority:NAME] with its plugin and that plugin's options. The names are "
             'kept with every certificate, and may be in its URLs: do not change them. Where nothing '
             'was chosen, orders go to the first.'),
)

CHALLENGE_RESPONDER_GROUP = 'challenge_responder'
CHALLENGE_RESPONDER_OPTIONS = (
    cfg.ListOpt(
        'enabled', default=[],
        help='What proves to authorities elsewhere that names are yours, by names you choose. Each has '
             'a section [challenge_responder:NAME]; the option responders of an authority names those '
             'that it may use.'),
)

#: What the section of every named instance has.
INSTANCE_OPTIONS = (cfg.StrOpt('plugin', help='Which plugin this is, by its entry point.'),)


def hosted_options(what: str, hint: str = '') -> tuple[cfg.Opt, ...]:
    """What the section of every instance has that km hosts.

    :param what: the kind of plugin, in sentences.
    :param hint: what to heed about deadlines.
    """
    return (
        *INSTANCE_OPTIONS,
        cfg.BoolOpt(
            'required', default=False,
            help=f'Whether km shall not start while this {what} is down. Without it km starts, answers '
                 f'503 to what needs this {what}, and opens it as soon as that can be done.'),
        cfg.FloatOpt(
            'call_timeout_seconds', default=30.0, min=0.1,
            help=f'How long a request waits for this {what} before it is answered with 503.{hint}'),
        cfg.IntOpt(
            'most_calls', default=64, min=1,
            help=f'How many calls of this {what} a process may have under way at once, each in a '
                 'thread. Calls that hang count too: when all do, further ones fail at once.'),
    )


#: Of each kind of plugin that km hosts: what the section of an instance has besides its own options.
HOSTED = {
    'secret_store': hosted_options('store', ' Keep it below [worker] intent_timeout_seconds and '
                                            '[orders] lease_seconds.'),
    'challenge_responder': hosted_options('responder'),
    'certificate_authority': (
        *hosted_options('authority', ' Keep it below [orders] lease_seconds.'),
        cfg.BoolOpt(
            'approval', default=False,
            help='Whether somebody else than who placed an order must approve it before this authority '
                 'is asked for anything. Renewals need no approval.')),
    'notifier': (*INSTANCE_OPTIONS, *NOTIFIER_INSTANCE_OPTIONS),
}
