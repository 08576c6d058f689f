# SPDX-License-Identifier: Apache-2.0
"""Reading km.conf into a ConfigOpts of our own, never oslo.config's global."""
import os
from collections.abc import Sequence
from importlib.metadata import version

from oslo_config import cfg
from oslo_log import log
from oslo_middleware import cors, sizelimit
from oslo_middleware import opts as middleware
from oslo_middleware.healthcheck import opts as healthcheck_options
from oslo_policy import opts as policy

from km.conf import (
    api,
    audit,
    certificates,
    database,
    events,
    keystone_notifications,
    metrics,
    orders,
    plugins,
    quotas,
    transport_keys,
    worker,
)
from km.errors import Misconfigured

#: Request bodies are cut here: a payload of 20 000 bytes with room for its JSON.
MAX_REQUEST_BODY_BYTES = 25000

_GROUPS = (
    (api.GROUP, api.OPTIONS),
    (audit.GROUP, audit.OPTIONS),
    (certificates.GROUP, certificates.OPTIONS),
    (database.GROUP, database.OPTIONS),
    (events.GROUP, events.OPTIONS),
    (events.NOTIFIER_GROUP, events.NOTIFIER_OPTIONS),
    (keystone_notifications.GROUP, keystone_notifications.OPTIONS),
    (metrics.GROUP, metrics.OPTIONS),
    (orders.GROUP, orders.OPTIONS),
    (quotas.GROUP, quotas.OPTIONS),
    (transport_keys.GROUP, transport_keys.OPTIONS),
    (worker.GROUP, worker.OPTIONS),
    (plugins.SECRET_STORE_GROUP, plugins.SECRET_STORE_OPTIONS),
    (plugins.RPC_TRANSPORT_GROUP, plugins.RPC_TRANSPORT_OPTIONS),
    (plugins.CERTIFICATE_AUTHORITY_GROUP, plugins.CERTIFICATE_AUTHORITY_OPTIONS),
    (plugins.CHALLENGE_RESPONDER_GROUP, plugins.CHALLENGE_RESPONDER_OPTIONS),
)


def list_opts() -> list:
    """km's own options, for oslo-config-generator."""
    return [(group, list(options)) for group, options in _GROUPS]


def set_library_defaults() -> None:
    """What km wants of its libraries where their own default would not do; once a process is enough.

    oslo-config-generator calls this too, so the sample shows the same defaults.
    """
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), 'alembic=WARNING',
                                            'oslo_middleware.basic_auth=WARNING',
                                            # It warns of options that [audit] hands it as it wants them.
                                            'keystonemiddleware._common.config=ERROR'])
    cors.set_defaults(
        allow_headers=['X-Auth-Token', 'OpenStack-API-Version', 'Content-Encoding'],
        expose_headers=['X-OpenStack-Request-ID', 'OpenStack-API-Version', 'Location'],
        allow_methods=['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
    cfg.set_defaults(sizelimit.OPTS, max_request_body_size=MAX_REQUEST_BODY_BYTES)
    cfg.set_defaults(healthcheck_options.HEALTHCHECK_OPTS, backends=['disable_by_file'])
    cfg.set_defaults(healthcheck_options.DISABLE_BY_FILE_OPTS,
                     disable_by_file_path='/etc/km/healthcheck_disable')


def new() -> cfg.ConfigOpts:
    """A ConfigOpts that knows km's options and those of the libraries in its pipeline, unread."""
    set_library_defaults()
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    for group, options in (
            *_GROUPS, *policy.list_opts(), *middleware.list_opts_cors(),
            *middleware.list_opts_sizelimit(), *middleware.list_opts_http_proxy_to_wsgi(),
            *middleware.list_opts_healthcheck()):
        conf.register_opts(options, group=group)
    return conf


def load(arguments: Sequence[str] = (), files: Sequence[str] | None = None) -> cfg.ConfigOpts:
    """The configuration, read.

    :param arguments: command line arguments that oslo.config understands, such as --config-file.
    :param files: INI files; None for the file $KM_CONF names, or those of the usual places
        (~/.km, /etc/km).
    :raises Misconfigured: a file cannot be read, or says something oslo.config cannot take.
    """
    conf = new()
    read(conf, arguments, files)
    return conf


def read(conf: cfg.ConfigOpts, arguments: Sequence[str] = (), files: Sequence[str] | None = None, *,
         program: str = 'km') -> None:
    """Read what ``load`` reads into ``conf``, which knows more options than ``new`` gave it.

    :param program: what the command line is of.
    """
    if files is None and 'KM_CONF' in os.environ:
        files = [os.environ['KM_CONF']]
    try:
        # A named file is the whole of it: no km.conf.d of this machine may change what it says.
        conf(list(arguments), project='km', prog=program, version=version('km'),
             default_config_files=None if files is None else list(files),
             default_config_dirs=None if files is None else [])
    except (cfg.Error, ValueError) as error:
        raise Misconfigured(f'The configuration cannot be read: {_safe(error)}') from None
    _require_values(conf)


def _safe(error: Exception) -> str:
    """What oslo.config says, without the line of a file that it cannot parse: it may be a password."""
    parsing = error.__context__
    if isinstance(parsing, cfg.ParseError):
        return f'{parsing.filename} is no INI file: line {parsing.lineno}, {parsing.msg}.'
    return str(error)


def _require_values(conf: cfg.ConfigOpts) -> None:
    """oslo.config looks at a value when somebody asks for it; the operator shall hear of it now."""
    for group, options in _GROUPS:
        for option in options:
            try:
                conf[group][option.dest]
            except (cfg.Error, ValueError) as error:
                raise Misconfigured(f'[{group}] {option.name}: {error}') from None
