# SPDX-License-Identifier: Apache-2.0
"""``km-keystone-listener``: has km forget projects that Keystone deletes. Needs ``km[messaging]``."""
import functools
import logging
import signal
import sys
import threading

from km import registry
from km.cmd import run
from km.conf.load import load
from km.deploy import WorkerDeployment, start_logging
from km.lifecycle import projects

try:
    from km.worker import keystone_events
except ImportError:
    sys.exit('km: km-keystone-listener needs more packages: pip install "km[messaging]".')

LOG = logging.getLogger(__name__)


def main() -> None:
    """``km-keystone-listener [--config-file FILE]``"""
    sys.exit(run(_main))


def _main() -> None:
    conf = load(sys.argv[1:])
    start_logging(conf)
    deployment = WorkerDeployment(conf)
    heard = keystone_events.listener(
        registry.foreign(conf, keystone_events.FOREIGN_OPTIONS), conf.keystone_notifications,
        functools.partial(projects.forget, deployment.context))
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    # Without a broker this waits until there is one, and must not keep the process from ending.
    starting = threading.Thread(target=heard.start, name='km-listening', daemon=True)
    starting.start()
    LOG.info('km-keystone-listener listens.')
    over.wait()
    if not starting.is_alive():
        heard.stop()
        heard.wait()
    deployment.close()
