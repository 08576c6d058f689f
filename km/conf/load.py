# SPDX-License-Identifier: Apache-2.0
"""Reading km.conf into a ConfigOpts of our own, never oslo.config's global."""
import os
from collections.abc import Sequence
from importlib.metadata import version

from oslo_config import cfg
from oslo_log import log
from oslo_middleware import opts as middleware
from oslo_policy import opts as policy

from km.conf import api, database, plugins, worker
from km.errors import Misconfigured

#: Request bodies are cut here: a payload of 20 000 bytes with room for its JSON.
MAX_REQUEST_BODY_BYTES = 25000

_GROUPS = (
    (api.GROUP, api.OPTIONS),
    (database.GROUP, database.OPTIONS),
    (worker.GROUP, worker.OPTIONS),
    (plugins.SECRET_STORE_GROUP, plugins.SECRET_STORE_OPTIONS),
    (plugins.RPC_TRANSPORT_GROUP, plugins.RPC_TRANSPORT_OPTIONS),
)


def list_opts() -> list:
    """km's own options, for oslo-config-generator."""
    return [(group, list(options)) for group, options in _GROUPS]


def new() -> cfg.ConfigOpts:
    """A ConfigOpts that knows km's options and those of the libraries in its pipeline, unread."""
    conf = cfg.ConfigOpts()
    for group, options in _GROUPS:
        conf.register_opts(options, group=group)
    log.register_options(conf)
    for group, options in (
            *policy.list_opts(), *middleware.list_opts_cors(), *middleware.list_opts_sizelimit(),
            *middleware.list_opts_http_proxy_to_wsgi(), *middleware.list_opts_healthcheck()):
        conf.register_opts(options, group=group)
    _set_defaults(conf)
    return conf


def _set_defaults(conf: cfg.ConfigOpts) -> None:
    """What km wants of its libraries where their own default would not do."""
    conf.set_default('max_request_body_size', MAX_REQUEST_BODY_BYTES, group='oslo_middleware')
    conf.set_default('backends', ['disable_by_file'], group='healthcheck')
    conf.set_default('disable_by_file_path', '/etc/km/healthcheck_disable', group='healthcheck')
    conf.set_default('default_log_levels', [*log.get_default_log_levels(), 'alembic=WARNING'])
    conf.set_default('expose_headers', ['X-OpenStack-Request-ID', 'OpenStack-API-Version',
                                        'Location'], group='cors')
    conf.set_default('allow_methods', ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], group='cors')
    conf.set_default('allow_headers', ['X-Auth-Token', 'OpenStack-API-Version', 'Content-Encoding'],
                     group='cors')


def load(arguments: Sequence[str] = (), files: Sequence[str] | None = None) -> cfg.ConfigOpts:
    """The configuration, read.

    :param arguments: command line arguments that oslo.config understands, such as --config-file.
    :param files: INI files; None for the file $KM_CONF names, or those of the usual places
        (~/.km, /etc/km).
    :raises Misconfigured: a file cannot be read, or says something oslo.config cannot take.
    """
    conf = new()
    if files is None and 'KM_CONF' in os.environ:
        files = [os.environ['KM_CONF']]
    try:
        conf(list(arguments), project='km', prog='km', version=version('km'),
             default_config_files=files)
    except (cfg.Error, ValueError) as error:
        raise Misconfigured(f'The configuration cannot be read: {error}') from None
    return conf
