# SPDX-License-Identifier: Apache-2.0
"""``km-worker``: does what the API asks for over a message broker, and sweeps."""
import logging
import multiprocessing
import sys

from oslo_config import cfg

from km.cmd import run, tried_apart
from km.conf.load import load
from km.deploy import WorkerDeployment, start_logging

try:
    import cotyledon
    from cotyledon.types import WorkerId
except ImportError:
    sys.exit('km: km-worker needs more packages: pip install "km[messaging]".')

LOG = logging.getLogger(__name__)

# As long as the slowest task that a client still waits for may take.
_GRACE_SECONDS = 60


class Service(cotyledon.Service):
    """One of the processes of km-worker."""

    def __init__(self, number: WorkerId, conf: cfg.ConfigOpts):
        super().__init__(number)
        self._deployment = WorkerDeployment(conf)

    def run(self) -> None:
        self._deployment.start()
        LOG.info('km-worker: a process serves.')

    def terminate(self) -> None:
        self._deployment.close()


def main() -> None:
    """``km-worker [--config-file FILE]``"""
    sys.exit(run(_main))


def _main() -> None:
    conf = load(sys.argv[1:])
    start_logging(conf)
    tried_apart(lambda: _check(conf))  # what is wrong is said here, once
    # A configuration that was read cannot be sent to a process, only inherited by one.
    processes = cotyledon.ServiceManager(
        graceful_shutdown_timeout=_GRACE_SECONDS, mp_context=multiprocessing.get_context('fork'))
    processes.add(Service, workers=conf.worker.processes, args=(conf,))
    processes.run()


def _check(conf: cfg.ConfigOpts) -> None:
    deployment = WorkerDeployment(conf)
    deployment.far_end()
    deployment.close()
