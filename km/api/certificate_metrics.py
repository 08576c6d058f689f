# SPDX-License-Identifier: Apache-2.0
"""Numbers of certificates for Prometheus: how many there are, when the first ends, how old CRLs are."""
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from oslo_config import cfg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from km.db import certificates
from km.db.engine import Database
from km.hosting.authority import HostedAuthority
from km.lifecycle.health import Probe

_COUNT_PATIENCE_SECONDS = 5.0
_SECONDS_OF_A_DAY = 86400


class Certificates(Collector):
    """What the database counts of certificates in use, by the operator's names of their authorities."""

    def __init__(self, options: cfg.ConfigOpts.GroupAttr, database: Database,
                 clock: Callable[[], datetime]):
        """:param options: the ``[metrics]`` section."""
        self._database, self._clock = database, clock
        self._counted = Probe('The count of certificates', self._count, fresh=options.count_seconds,
                              patience=_COUNT_PATIENCE_SECONDS)

    def describe(self) -> list:
        return []  # so that nothing is asked before somebody scrapes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        number = GaugeMetricFamily('km_certificates', 'Certificates in use.', labels=('authority',))
        left = GaugeMetricFamily('km_certificate_days_left', 'Days until the first of them ends.',
                                 labels=('authority',))
        failing = GaugeMetricFamily('km_certificates_not_renewed',
                                    'Those whose last renewal failed.', labels=('authority',))
        for authority, count, soonest, failed in self._counted.answer() or ():
            number.add_metric((authority,), count)
            left.add_metric((authority,),
                            (soonest - self._clock()).total_seconds() / _SECONDS_OF_A_DAY)
            failing.add_metric((authority,), failed)
        yield from (number, left, failing)

    def _count(self) -> list[tuple[str, int, datetime, int]]:
        with self._database.statement() as connection:
            return certificates.soonest(connection)


class Crls(Collector):
    """How old the newest complete CRLs are, as of the last sweep in this process.

    :param authorities: by the operator's names.
    """

    def __init__(self, authorities: Mapping[str, HostedAuthority], clock: Callable[[], datetime]):
        self._authorities, self._clock = authorities, clock

    def describe(self) -> list:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        age = GaugeMetricFamily('km_crl_age_seconds', 'Time since a CRL was made.',
                                labels=('authority', 'issuer'))
        left = GaugeMetricFamily('km_crl_seconds_left', 'Time until a CRL ends.',
                                 labels=('authority', 'issuer'))
        now = self._clock()
        for name, authority in self._authorities.items():
            for issuer, crl in authority.published.items():
                age.add_metric((name, issuer), (now - crl.this_update).total_seconds())
                left.add_metric((name, issuer), (crl.next_update - now).total_seconds())
        yield from (age, left)
