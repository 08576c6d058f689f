# SPDX-License-Identifier: Apache-2.0
"""Options of the API: who may ask, from where, how much."""
from oslo_config import cfg

GROUP = 'api'

OPTIONS = (
    cfg.StrOpt(
        'auth_strategy', default='keystone', choices=(
            ('keystone', 'tokens, validated by keystonemiddleware; see [keystone_authtoken]'),
            ('http_basic', 'names and bcrypt-hashed passwords in a file, for one project'),
            ('noauth', 'nobody is asked; for development on one machine')),
        help='How km learns who asks.'),
    cfg.URIOpt(
        'host_href', schemes=('http', 'https'),
        help='The URL clients reach km by, such as https://keys.example.org:9311, without /v1. '
             'Every reference km hands out begins with it. Unset, references are derived from '
             'the Host header of each request, which a client can choose freely.'),
    cfg.HostAddressOpt(
        'bind_host', default='127.0.0.1',
        help='Address that km-api listens on.'),
    cfg.PortOpt(
        'bind_port', default=9311,
        help='Port that km-api listens on.'),
    cfg.IntOpt(
        'workers', default=1, min=1,
        help='Processes of km-api.'),
    cfg.IntOpt(
        'threads', default=8, min=1,
        help='Threads of each process of km-api.'),
    cfg.IntOpt(
        'max_payload_bytes', default=20000, min=1,
        help='Largest payload, counted as it is sent: base64 text counts before it is decoded. '
             'Raise [oslo_middleware] max_request_body_size with it.'),
    cfg.IntOpt(
        'default_page_size', default=10, min=1,
        help='Elements on a page of a list when the client names no limit.'),
    cfg.IntOpt(
        'max_page_size', default=100, min=1,
        help='Elements on a page of a list at the most, whatever the client asks for.'),
    cfg.IntOpt(
        'token_memory_seconds', default=10, min=0,
        help='How long a process remembers who a Keystone token is, beside the cache of '
             '[keystone_authtoken], whose token_cache_time is how late a revocation may be noticed; '
             'this many seconds are added to it. 0 remembers nothing.'),
    cfg.StrOpt(
        'http_basic_user_file',
        help='For auth_strategy = http_basic: lines of "name:bcrypt hash", as "htpasswd -B" makes.'),
    cfg.StrOpt(
        'http_basic_project_id', default='standalone',
        help='For auth_strategy = http_basic: the project every user of the file belongs to.'),
    cfg.ListOpt(
        'http_basic_roles', default=['admin', 'member', 'reader'],
        help='For auth_strategy = http_basic: the roles every user of the file has.'),
    cfg.BoolOpt(
        'noauth_for_everyone', default=False,
        help='With auth_strategy = noauth km answers on the loopback interface only. Set this to '
             'let anyone who reaches the port read and destroy every secret.'),
    cfg.IntOpt(
        'publication_seconds', default=60, min=0,
        help='How long a CRL or an OCSP answer below /pki is told again from memory, though never after '
             'its end. A revocation may stay unseen for so long.'),
)
