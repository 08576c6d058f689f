# SPDX-License-Identifier: Apache-2.0
"""Numbers for Prometheus, on a listener of their own.

Not on the API's port: nobody is asked for a token here, and the counts of a cloud's secrets are not for
its tenants. Each process has a registry and a port of its own, the first of ``[metrics]`` that is free,
and Prometheus scrapes them all. So nothing is shared between processes, through files or otherwise, and
the numbers of a dead one are gone with it. What is the same whichever process tells it (orders,
secrets, health) is a gauge of which a query takes the ``max``; requests are counters to ``sum``.
"""
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from wsgiref.simple_server import WSGIServer

from oslo_config import cfg
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from km.api.certificate_metrics import Certificates, Crls
from km.api.health import Health
from km.db import totals
from km.db.engine import Database
from km.hosting.authority import HostedAuthority
from km.interfaces import RpcTransport
from km.lifecycle.health import Probe

LOG = logging.getLogger(__name__)

_METHODS = frozenset(('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'))
_OPEN_PATHS = frozenset(('/', '/healthcheck', '/readiness'))
#: Seconds; a payload out of a software store takes milliseconds, a key out of an HSM most of a second.
_BUCKETS = (.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
#: How long a scrape waits for counts; Prometheus gives up after ten seconds.
_COUNT_PATIENCE_SECONDS = 5.0


class Metrics:
    """The numbers of one process, and the listener that serves them.

    ``observe`` is for the request log, ``observe_store`` for the secret stores of this process.
    """

    def __init__(self, options: cfg.ConfigOpts.GroupAttr):
        """:param options: the ``[metrics]`` section."""
        self._options = options
        self._registry = CollectorRegistry()
        self._requests = Counter('km_requests', 'Requests answered.', ('method', 'route', 'status'),
                                 registry=self._registry)
        self._seconds = Histogram('km_request_seconds', 'Time until a request was answered.',
                                  ('method', 'route'), buckets=_BUCKETS, registry=self._registry)
        # The library finds a series by its labels behind a lock; there are few, and a dict is quick.
        self._series: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._calls = Counter('km_secret_store_calls', 'Calls of a secret store that ended.',
                              ('store', 'operation', 'outcome'), registry=self._registry)
        self._call_seconds = Histogram(
            'km_secret_store_call_seconds', 'Time until a secret store had answered, or was given up.',
            ('store', 'operation'), buckets=_BUCKETS, registry=self._registry)
        self._authority_calls = Counter(
            'km_authority_calls', 'Calls of a certificate authority that ended.',
            ('authority', 'operation', 'outcome'), registry=self._registry)
        self._authority_seconds = Histogram(
            'km_authority_call_seconds', 'Time until an authority had answered, or was given up.',
            ('authority', 'operation'), buckets=_BUCKETS, registry=self._registry)
        self._server: WSGIServer | None = None

    def tell_of(self, health: Health, *, database: Database, transport: RpcTransport,
                clock: Callable[[], datetime]) -> None:
        """Tell also how what this process stands on is, and what the database counts."""
        self._registry.register(_Parts(health, transport))
        self._registry.register(_Totals(self._options, database))
        self._registry.register(Certificates(self._options, database, clock))

    def observe(self, environ: dict[str, Any], status: str, seconds: float) -> None:
        """Count a request that was answered.

        :param status: three digits.
        """
        key = _method(environ), _route(environ), status
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = (
                self._requests.labels(*key), self._seconds.labels(*key[:2]))
        series[0].inc()
        series[1].observe(seconds)

    def observe_store(self, store: str, operation: str, outcome: str, seconds: float) -> None:
        """Count a call of a secret store.

        :param outcome: ``ok``, or the name of an error.
        """
        self._calls.labels(store, operation, outcome).inc()
        self._call_seconds.labels(store, operation).observe(seconds)

    def observe_authority(self, authority: str, operation: str, outcome: str,
                          seconds: float) -> None:
        """Count a call of a certificate authority; see ``observe_store``."""
        self._authority_calls.labels(authority, operation, outcome).inc()
        self._authority_seconds.labels(authority, operation).observe(seconds)

    def tell_of_crls(self, authorities: Mapping[str, HostedAuthority],
                     clock: Callable[[], datetime]) -> None:
        """Tell also how old the CRLs of these authorities are."""
        self._registry.register(Crls(authorities, clock))

    def start(self) -> None:
        """Serve at the first free port. If there is none km works all the same, and says so."""
        first = self._options.bind_port
        for port in range(first, first + self._options.ports):
            try:
                self._server, _ = start_http_server(port, self._options.bind_host, self._registry)
            except OSError:
                continue
            LOG.info('Numbers for Prometheus are on port %d.', port)
            return
        LOG.error('[metrics] bind_port, ports: none of the ports is free; this process serves no '
                  'numbers for Prometheus.')

    def stop(self) -> None:
        """Serve no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()


class _Parts(Collector):
    """Whether what this process stands on works."""

    def __init__(self, health: Health, transport: RpcTransport):
        self._health = health
        self._waiting = Probe('The length of the queue', transport.waiting)

    def describe(self) -> list:
        return []  # so that nothing is asked before somebody scrapes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        parts, stores = self._health.states()
        yield _gauge('km_part_up', 'Whether a part works.', 'part', parts)
        yield _gauge('km_secret_store_up', 'Whether a secret store works.', 'store',
                     {name: works for name, (works, _) in stores.items()})
        waiting = self._waiting.answer()
        if waiting is not None:
            yield GaugeMetricFamily(
                'km_queue_messages', 'Messages that wait for a worker.', value=waiting)


class _Totals(Collector):
    """What the database counts."""

    def __init__(self, options: cfg.ConfigOpts.GroupAttr, database: Database):
        self._orders = _counted('orders', totals.orders_by_state, database, options.count_seconds)
        self._secrets = _counted('secrets', totals.secrets_by_project, database,
                                 options.count_seconds) if options.secrets_by_project else None

    def describe(self) -> list:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge('km_orders', 'Orders.', 'state', self._orders.answer())
        if self._secrets:
            yield _gauge('km_secrets', 'Secrets.', 'project', self._secrets.answer())


def _counted(what: str, count: Callable, database: Database, fresh: float) -> Probe:
    def ask() -> dict[str, int]:
        with database.statement() as connection:
            return count(connection)

    return Probe(f'The count of {what}', ask, fresh=fresh, patience=_COUNT_PATIENCE_SECONDS)


def _gauge(name: str, help_: str, label: str, values: dict[str, Any] | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_, labels=(label,))
    for key, value in (values or {}).items():
        family.add_metric((key,), value)
    return family


def _method(environ: dict[str, Any]) -> str:
    """The method; one word for all that HTTP does not know, or a client could make series at will."""
    method = environ['REQUEST_METHOD']
    return method if method in _METHODS else 'other'


def _route(environ: dict[str, Any]) -> str:
    """The path of the rule, without ids; one word for all that has none."""
    rule = environ.get('km.rule')
    if rule:
        return f'/v1/{rule.path}'
    path = environ.get('PATH_INFO', '')
    if path.startswith('/pki/'):
        return '/pki'
    return path if path in _OPEN_PATHS else 'other'
