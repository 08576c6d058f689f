# SPDX-License-Identifier: Apache-2.0
"""The thread that sweeps in the background."""
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from km.lifecycle import upkeep
from km.lifecycle.context import Context

LOG = logging.getLogger(__name__)


class Sweeper:
    """Sweeps every so often until stopped, and does in between what it was reminded of.

    A sweep that fails is logged; the next one comes anyway.
    """

    def __init__(self, context: Context, seconds: float):
        self._context, self._seconds = context, seconds
        self._changed = threading.Condition()
        self._stopped = False
        #: When to look next, of ``time.monotonic``.
        self._reminder = float('inf')
        self._thread = threading.Thread(target=self._run, name='km-sweeper', daemon=True)

    def start(self) -> None:
        """Begin, with a first sweep right away: the last process may have been killed."""
        self._thread.start()

    def remind(self, at: datetime) -> None:
        """Do what is due then, if no sweep comes before. A reminder is lost with the process.

        :param at: by the context's clock.
        """
        seconds = (at - self._context.clock()).total_seconds()
        with self._changed:
            self._reminder = min(self._reminder, time.monotonic() + seconds)
            self._changed.notify()

    def stop(self) -> None:
        """Let a sweep under way finish, and sweep no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            self._do(upkeep.sweep)
            again = time.monotonic() + self._seconds
            while self._reminded_before(again):
                self._do(upkeep.do_what_is_due)

    def _reminded_before(self, again: float) -> bool:
        """Wait until a reminder or that time, whichever is first; whether it was a reminder."""
        with self._changed:
            while not self._stopped and (left := min(again, self._reminder) - time.monotonic()) > 0:
                self._changed.wait(left)
            reminded = not self._stopped and self._reminder < again
            self._reminder = float('inf')  # a sweep does what it was about as well
            return reminded

    def _do(self, work: Callable[[Context], upkeep.Swept]) -> None:
        try:
            swept = work(self._context)
            if swept != upkeep.Swept():
                LOG.info('Swept: %s.', swept)
        except Exception:
            LOG.exception('The sweep failed; the next one tries again.')
