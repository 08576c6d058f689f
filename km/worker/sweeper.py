# SPDX-License-Identifier: Apache-2.0
"""The thread that sweeps in the background."""
import bisect
import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime

from km.errors import KmError
from km.lifecycle import upkeep
from km.lifecycle.context import Context

LOG = logging.getLogger(__name__)

#: Reminders are kept by parts of a second, and for an hour: so there are never too many.
_A_SECOND, _FARTHEST_SECONDS = 10, 3600


class Sweeper:
    """Sweeps every so often until stopped, and does in between what it was reminded of.

    A sweep that fails is logged; the next one comes anyway.
    """

    def __init__(self, context: Context, seconds: float):
        self._context, self._seconds = context, seconds
        self._changed = threading.Condition()
        self._stopped = False
        #: When to look, of ``time.monotonic``, the next first.
        self._reminders: list[float] = []
        self._thread = threading.Thread(target=self._run, name='km-sweeper', daemon=True)

    def start(self) -> None:
        """Begin, with a first sweep right away: the last process may have been killed."""
        self._thread.start()

    def remind(self, at: datetime) -> None:
        """Do what is due then, if no sweep comes before. A reminder is lost with the process.

        :param at: by the context's clock.
        """
        seconds = (at - self._context.clock()).total_seconds()
        if seconds > _FARTHEST_SECONDS:
            return  # a sweep will find it
        when = math.ceil((time.monotonic() + seconds) * _A_SECOND) / _A_SECOND
        with self._changed:
            place = bisect.bisect_left(self._reminders, when)
            if self._reminders[place:place + 1] != [when]:
                self._reminders.insert(place, when)
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
            while not self._stopped:
                left = min([again, *self._reminders[:1]]) - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            # What is due by now is done by whatever comes next; what is not has its turn later.
            due = bisect.bisect_right(self._reminders, time.monotonic())
            reminded = not self._stopped and due > 0 and self._reminders[0] < again
            del self._reminders[:due]
            return reminded

    def _do(self, work: Callable[[Context], upkeep.Swept]) -> None:
        try:
            swept = work(self._context)
            if swept != upkeep.Swept():
                LOG.info('Swept: %s.', swept)
        except KmError as error:
            LOG.warning('The sweep failed; the next one tries again: %s', error.sentence)
        except Exception:
            LOG.exception('The sweep failed; the next one tries again.')
