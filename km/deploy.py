# SPDX-License-Identifier: Apache-2.0
"""Puts the house together: the only file that knows every room.

A request passes, from outside to inside:

1.  request log: names the request, and is outside whatever can fail, so that it logs, and audits,
    the status that was sent;
2.  proxy headers, only if enabled: what follows sees the scheme and host the client used;
3.  CORS, only if origins are allowed: answers preflights, and decorates errors too;
4.  faults: every error from here on leaves in the contract's shape;
5.  doors: nobody further in reads a body without bound; ``/healthcheck``, ``/readiness``,
    ``/openapi.json``, ``/pki`` and the version list at ``/`` are open to everybody;
6.  authentication: client-sent identity headers off, then ``[api] auth_strategy``, then ``Identity``;
7.  CADF audit, only if enabled: it knows who asks, and hears of denials too;
8.  microversion: every answer from here on says which was spoken;
9.  the ACL: no controller runs for what is not allowed;
10. the Pecan app.

Where a library's middleware would copy each request to change nothing, it is left out of its way.
"""
import logging
import resource
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from oslo_config import cfg
from oslo_log import log
from oslo_middleware import CORS, Healthcheck, HTTPProxyToWSGI, RequestBodySizeLimiter
from oslo_utils import timeutils

from km.acl.decision import Policy
from km.acl.middleware import AccessControl
from km.api import root
from km.api.audit import Audited
from km.api.authentication import Doors, authenticated
from km.api.faults import Faults
from km.api.health import Health, Readiness
from km.api.metrics import Metrics
from km.api.openapi import Description
from km.api.publication import Publication
from km.api.requestlog import RequestLog
from km.api.resource import House, Links
from km.api.versions import Microversions, VersionList
from km.db import messages
from km.db.engine import Database
from km.errors import Misconfigured
from km.keystone import Tokens
from km.lifecycle import authorities, stores
from km.lifecycle.context import Context
from km.plugins.secret_store import key_file
from km.registry import Registry
from km.worker.auth import Guard
from km.worker.client import Worker
from km.worker.dispatcher import Dispatcher
from km.worker.seal import Seal
from km.worker.sweeper import Sweeper
from km.worker.wire import FarEnd, NearEnd

LOG = logging.getLogger(__name__)


class _House:
    """What both halves of km stand on: the rules, the metadata, the plugins, the way to the worker.

    Where messages do not leave the process it is the worker too, and tasks run in whoever calls them.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, works: bool,
                 clock: Callable[[], datetime] | None = None):
        """Open everything ``conf`` names.

        :param works: whether this process does the work, wherever messages go.
        :param clock: tells the time, UTC without a zone; for tests.
        :raises Misconfigured: an option is wrong; the sentence names it.
        :raises Unavailable: a database or a backend does not answer.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys
        self.conf, self.clock = conf, clock or timeutils.utcnow
        self.policy = Policy(conf)
        self.database = database(conf)
        self.database.require_schema()
        self.registry = Registry(conf, works=works)
        self.transport = self.registry.transport
        self.seal = None if self.transport.in_process else _seal(conf)
        _keep_apart(self.database, self.registry)
        self.registry.open()
        self.worker = Worker(NearEnd(self.transport, seal=self.seal, clock=self.clock)
                             if self.seal else self.transport)
        self.metrics = Metrics(conf.metrics) if conf.metrics.enabled else None
        if self.registry.works:
            self._prepare_work()

    def _prepare_work(self) -> None:
        options = self.conf.worker
        self.context = Context(
            stores=self.registry.secret_stores, default_store=self.registry.default_store,
            statement=self.database.statement, transaction=self.database.transaction,
            clock=self.clock, intent_timeout=timedelta(seconds=options.intent_timeout_seconds),
            quotas=dict(self.conf.quotas), orders=self.conf.orders,
            certificates=self.conf.certificates, transport_keys=self.conf.transport_keys,
            authorities=self.registry.authorities, notifiers=self.registry.notifiers,
            events=self.conf.events, may=self.policy.allowed, cast=self.worker.cast, remind=self._remind)
        stores.announce(self.context, self.registry.secret_store_plugins)
        authorities.announce(self.context)
        self.sweeper = Sweeper(self.context, options.sweep_seconds)
        if self.metrics:
            for store in self.registry.secret_stores.values():
                store.observe = self.metrics.observe_store
            for authority in self.registry.authorities.values():
                authority.observe = self.metrics.observe_authority
            self.metrics.tell_of_crls(self.registry.authorities, self.clock)
        if self.transport.in_process:
            self.transport.serve(Dispatcher(self.context).handle)

    def _remind(self, at: datetime) -> None:
        self.sweeper.remind(at)

    def close(self) -> None:
        """Let what is under way finish, then give everything back."""
        if self.metrics:
            self.metrics.stop()
        self.transport.stop()
        if self.registry.works:
            self.sweeper.stop()
        self.registry.close()
        self.database.close()


class Deployment(_House):
    """The API, in the process that serves it: make it there, after any fork.

    Where the worker is not far it is here too, with the sweep. Else there is no store here and no
    key but the one messages are sealed with, and nothing is ever written to the metadata.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, clock: Callable[[], datetime] | None = None):
        """See ``_House``."""
        super().__init__(conf, works=False, clock=clock)
        parts: dict[str, Any] = {'database': self.database, 'transport': self.transport}
        self.health = Health(worker=self.worker, **parts)
        if self.metrics:
            self.metrics.tell_of(self.health, clock=self.clock, **parts)
        self.application = self._pipeline()

    def start(self) -> None:
        """Begin to sweep, if that is to be done here, and say what an operator should know."""
        if not self.conf.api.host_href:
            LOG.warning('[api] host_href is not set: references are derived from the Host header '
                        'of each request, which a client can choose.')
        if self.registry.works:
            self.sweeper.start()
        if self.metrics:
            self.metrics.start()

    def _pipeline(self) -> Callable:
        conf = self.conf
        links = Links(conf.api.host_href)
        app: Callable = root.application(House(
            worker=self.worker, database=self.database, links=links,
            options=conf.api, clock=self.clock))
        app = AccessControl(app, policy=self.policy, database=self.database, clock=self.clock)
        app = Microversions(app)
        if conf.audit.enabled:
            app = Audited(app, conf, links)
        app = authenticated(app, conf, tokens_passed_on=self.seal is not None)
        app = Faults(Doors(
            {'': Microversions(VersionList(links)), '/healthcheck': Healthcheck(None, conf),
             '/readiness': Readiness(self.health),
             '/openapi.json': Description(conf.api.host_href)},
            open_below={'pki': Publication(
                self.worker, clock=self.clock, fresh_seconds=conf.api.publication_seconds)},
            guarded=app, counted=RequestBodySizeLimiter(app, conf),
            max_body_bytes=conf.oslo_middleware.max_request_body_size))
        if conf.cors.allowed_origin:
            app = CORS(app, conf)
        if conf.oslo_middleware.enable_proxy_headers_parsing:
            app = HTTPProxyToWSGI(app, conf)
        return RequestLog(app, self.metrics.observe if self.metrics else None)


class WorkerDeployment(_House):
    """The worker, in a process of its own, or in one that shall do its work once: make it there."""

    def __init__(self, conf: cfg.ConfigOpts, *, clock: Callable[[], datetime] | None = None):
        """See ``_House``."""
        super().__init__(conf, works=True, clock=clock)

    def start(self) -> None:
        """Begin to sweep, and to handle what others send.

        :raises Misconfigured: see ``far_end``.
        """
        far_end = self.far_end()
        self.sweeper.start()
        if self.metrics:
            self.metrics.start()
        self.transport.serve(far_end.handle)

    def far_end(self) -> FarEnd:
        """Where what others send comes out.

        :raises Misconfigured: nobody can send anything, or there is no asking who does.
        """
        if self.seal is None:
            raise Misconfigured(f'[rpc_transport] plugin: {self.conf.rpc_transport.plugin} keeps the '
                                'worker in the process of the API; km-worker is not needed.')
        guard = Guard(tokens=Tokens(self.conf), policy=self.policy, clock=self.clock,
                      statement=self.database.statement)
        return FarEnd(
            Dispatcher(self.context, guard), seal=self.seal, clock=self.clock,
            first_time=self._first_time,
            lifetime=timedelta(seconds=self.conf.worker.message_lifetime_seconds))

    def _first_time(self, number: bytes, until: datetime) -> bool:
        with self.database.statement() as connection:
            return messages.first_time(connection, number, until=until)


def _seal(conf: cfg.ConfigOpts) -> Seal:
    """What messages are sealed with that leave the process.

    :raises Misconfigured: there is no key, or a worker could not ask anew who calls it.
    """
    if conf.api.auth_strategy != 'keystone':
        raise Misconfigured(f'[rpc_transport] plugin: {conf.rpc_transport.plugin} needs [api] '
                            "auth_strategy = keystone: a worker asks Keystone again about each call's "
                            'token.')
    if not conf.worker.seal_key_file:
        raise Misconfigured('[worker] seal_key_file is required with [rpc_transport] plugin = '
                            f'{conf.rpc_transport.plugin}; "km-manage seal-key create" makes one.')
    keys = [key_file.read(path, key_file.SEAL_KEY) for path in conf.worker.seal_key_file]
    return Seal({key.fingerprint: key.key for key in keys})


def _keep_apart(metadata: Database, registry: Registry) -> None:
    """Refuse a store that would put its ciphertext into the metadata database.

    :raises Misconfigured: there is one.
    """
    for name, store in registry.secret_stores.items():
        url = getattr(store.guest.settings, 'connection', None)
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
