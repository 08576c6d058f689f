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
        help="One of Keystone's [oslo_messaging_notifications] topics."),
    cfg.StrOpt(
        'pool_name', default='km',
        help='The listeners of one pool share what comes, and each pool gets all of it, so that other '
             'services can listen to the same topic.'),
)
