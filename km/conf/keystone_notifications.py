# SPDX-License-Identifier: Apache-2.0
"""Options of km-keystone-listener: where Keystone tells that a project is gone."""
from oslo_config import cfg

GROUP = 'keystone_notifications'

OPTIONS = (
    cfg.StrOpt(
        'control_exchange', default='keystone',
        help="Keystone's own [DEFAULT] control_exchange. Only Keystone may be allowed to write to it: "
             'whoever else does can have the secrets of any project erased.'),
    cfg.StrOpt(
        'topic', default='notifications',
        help="One of Keystone's [oslo_messaging_notifications] topics that nobody else takes messages "
             'from, unless pool_name is set.'),
    cfg.StrOpt(
        'pool_name',
        help='Set it where other services listen to the same topic: the listeners of one pool share '
             'what comes, and each pool gets all of it.'),
)
