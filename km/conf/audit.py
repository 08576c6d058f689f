# SPDX-License-Identifier: Apache-2.0
"""Options of the CADF audit by keystonemiddleware, beside km's own audit record in the log."""
from oslo_config import cfg

GROUP = 'audit'

OPTIONS = (
    cfg.BoolOpt(
        'enabled', default=False,
        help='Send two CADF events for each request to the API, through oslo.messaging, as '
             '[audit_middleware_notifications] and [oslo_messaging_notifications] say. Needs the '
             'extra km[messaging]; without it the events are log lines.'),
    cfg.StrOpt(
        'map_file', default='/etc/km/api_audit_map.conf',
        help='The file that tells CADF names of the things in a path.'),
    cfg.ListOpt(
        'ignored_methods', default=[],
        help='HTTP methods without events, such as GET.'),
)
