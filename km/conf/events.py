# SPDX-License-Identifier: Apache-2.0
"""Options of events, and of the notifiers that tell others of them."""
from oslo_config import cfg, types

#: Everything that can happen, in the order of the things it happens to.
KINDS = (
    'secret.created', 'secret.read', 'secret.deleted', 'container.created', 'container.deleted',
    'certificate.issued', 'certificate.renewed', 'certificate.renewal_failing',
    'certificate.expiring', 'certificate.revoked', 'order.failed')

_kind = types.String(choices=KINDS)

GROUP = 'events'

OPTIONS = (
    cfg.ListOpt(
        'kinds', item_type=_kind, default=[kind for kind in KINDS if kind != 'secret.read'],
        help='The kinds of events that notifiers are told of, unless the section of one says otherwise. '
             'secret.read, which is not among them, happens each time that somebody reads a payload.'),
    cfg.ListOpt(
        'expiring_days', item_type=types.Integer(min=1), default=[7, 3, 1],
        help='How many days before the end of a certificate certificate.expiring happens.'),
    cfg.IntOpt(
        'most_age_days', default=7, min=1,
        help='How old an event may get that a notifier cannot be told of. It is given up then, and the '
             'log says so.'),
)

NOTIFIER_GROUP = 'notifier'

NOTIFIER_OPTIONS = (
    cfg.ListOpt(
        'enabled', default=[],
        help='Those that tell others of events, by names you choose. Each has a section [notifier:NAME] '
             "with its plugin and that plugin's options. One that gets another name is told of nothing "
             'that occurred before.'),
)

#: What the section of every notifier has besides its plugin and that plugin's options.
NOTIFIER_INSTANCE_OPTIONS = (
    cfg.ListOpt(
        'kinds', item_type=_kind,
        help='The kinds of events that this notifier is told of; those of [events] kinds if this is not '
             'set.'),
    cfg.BoolOpt(
        'required', default=False,
        help='Whether km shall not start while this notifier does not open. Without it km starts, and '
             'events wait.'),
    cfg.FloatOpt(
        'call_timeout_seconds', default=20.0, min=0.1,
        help='How long this notifier may take to tell of an event, before km takes it that it failed '
             'and will try again.'),
    cfg.IntOpt(
        'most_calls', default=8, min=1,
        help='How many calls of this notifier a process may have under way at once, each in a thread. '
             'Calls that hang count too: when all do, further ones fail at once.'),
)
