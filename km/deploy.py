# SPDX-License-Identifier: Apache-2.0
"""Puts the house together: the only file that knows every room.

A request passes, from outside to inside:

1.  request log: names the request, and is outside whatever can fail, so that it logs, and audits,
    the status that was sent;
2.  proxy headers, only if enabled: what follows sees the scheme and host the client used;
3.  CORS, only if origins are allowed: answers preflights, and decorates errors too;
4.  faults: every error from here on leaves in the contract's shape;
5.  doors: nobody further in reads a body without bound; ``/healthcheck`` and the version list at
    ``/`` are open to everybody;
6.  authentication: client-sent identity headers off, then ``[api] auth_strategy``, then ``Identity``;
7.  microversion: every answer from here on says which was spoken;
8.  the ACL: no controller runs for what is not allowed;
9.  the Pecan app.

Where a library's middleware would copy each request to change nothing, it is left out of its way.
"""
import logging
import resource
from collections.abc import Callable
from datetime import datetime, timedelta

from oslo_config import cfg
from oslo_log import log
from oslo_middleware import CORS, Healthcheck, HTTPProxyToWSGI, RequestBodySizeLimiter
from oslo_utils import timeutils

from km.acl.decision import Policy
from km.acl.middleware import AccessControl
from km.api import root
from km.api.authentication import Doors, authenticated
from km.api.faults import Faults
from km.api.requestlog import RequestLog
from km.api.resource import House, Links
from km.api.versions import Microversions, VersionList
from km.db.engine import Database
from km.errors import Misconfigured
from km.lifecycle import stores
from km.lifecycle.context import Context
from km.registry import Registry
from km.worker.client import Worker
from km.worker.dispatcher import Dispatcher
from km.worker.sweeper import Sweeper

LOG = logging.getLogger(__name__)


class Deployment:
    """A whole km in one process: API, worker and sweep over one database and its stores.

    Make it in the process that serves, after any fork.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, clock: Callable[[], datetime] | None = None):
        """Open everything ``conf`` names.

        :param clock: tells the time, UTC without a zone; for tests.
        :raises Misconfigured: an option is wrong; the sentence names it.
        :raises Unavailable: a database or a backend does not answer.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys
        self.conf, self.clock = conf, clock or timeutils.utcnow
        self.policy = Policy(conf)
        self.database = database(conf)
        self.database.require_schema()
        self.registry = Registry(conf)
        _keep_apart(self.database, self.registry)
        self.registry.open()
        self.worker = Worker(self.registry.transport)
        self.context = Context(
            stores=self.registry.secret_stores, default_store=self.registry.default_store,
            statement=self.database.statement, transaction=self.database.transaction,
            clock=self.clock, intent_timeout=timedelta(seconds=conf.worker.intent_timeout_seconds),
            quotas=dict(conf.quotas), orders=conf.orders,
            transport_keys=conf.transport_keys, cast=self.worker.cast)
        stores.announce(self.context, self.registry.secret_store_plugins)
        self.registry.transport.serve(Dispatcher(self.context).handle)
        self.sweeper = Sweeper(self.context, conf.worker.sweep_seconds)
        self.application = self._pipeline()

    def start(self) -> None:
        """Begin to sweep, and say what an operator should know."""
        if not self.conf.api.host_href:
            LOG.warning('[api] host_href is not set: references are derived from the Host header '
                        'of each request, which a client can choose.')
        self.sweeper.start()

    def close(self) -> None:
        """End the sweep, then give everything back."""
        self.sweeper.stop()
        self.registry.transport.stop()
        self.registry.close()
        self.database.close()

    def _pipeline(self) -> Callable:
        conf = self.conf
        links = Links(conf.api.host_href)
        app: Callable = root.application(House(
            worker=self.worker, database=self.database, links=links,
            options=conf.api, clock=self.clock))
        app = AccessControl(app, policy=self.policy, database=self.database, clock=self.clock)
        app = authenticated(Microversions(app), conf)
        app = Faults(Doors(
            {'': Microversions(VersionList(links)), '/healthcheck': Healthcheck(None, conf)},
            guarded=app, counted=RequestBodySizeLimiter(app, conf),
            max_body_bytes=conf.oslo_middleware.max_request_body_size))
        if conf.cors.allowed_origin:
            app = CORS(app, conf)
        if conf.oslo_middleware.enable_proxy_headers_parsing:
            app = HTTPProxyToWSGI(app, conf)
        return RequestLog(app)


def _keep_apart(metadata: Database, registry: Registry) -> None:
    """Refuse a store that would put its ciphertext into the metadata database.

    :raises Misconfigured: there is one.
    """
    for name, store in registry.secret_stores.items():
        url = getattr(store.settings, 'connection', None)
        if url and metadata.is_at(url):
            raise Misconfigured(f'[secret_store:{name}] connection: this is the metadata database, '
                                'which must not hold ciphertext; give the store one of its own.')


def database(conf: cfg.ConfigOpts) -> Database:
    """The metadata database that ``conf`` names, not yet connected to.

    :raises Misconfigured: it names none.
    """
    return Database(conf.database.connection, max_connections=conf.database.max_connections,
                    recycle_seconds=conf.database.connection_recycle_seconds)


def start_logging(conf: cfg.ConfigOpts) -> None:
    """Log as ``conf`` says, once a process."""
    log.setup(conf, 'km')
