# SPDX-License-Identifier: Apache-2.0
"""The thread that sweeps in the background."""
import logging
import threading

from km.lifecycle import upkeep
from km.lifecycle.context import Context

LOG = logging.getLogger(__name__)


class Sweeper:
    """Sweeps every so often until stopped. A sweep that fails is logged; the next one comes anyway."""

    def __init__(self, context: Context, seconds: float):
        self._context, self._seconds = context, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='km-sweeper', daemon=True)

    def start(self) -> None:
        """Begin, with a first sweep right away: the last process may have been killed."""
        self._thread.start()

    def stop(self) -> None:
        """Let a sweep under way finish, and sweep no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                swept = upkeep.sweep(self._context)
                if swept != upkeep.Swept():
                    LOG.info('Swept: %s.', swept)
            except Exception:
                LOG.exception('The sweep failed; the next one tries again.')
            self._stop.wait(self._seconds)
