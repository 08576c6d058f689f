# SPDX-License-Identifier: Apache-2.0
"""Opening a plugin, and opening it again while what it stands on is down."""
import logging
import threading

from km.errors import KmError, Misconfigured, Unavailable
from km.hosting.traces import is_told, trace
from km.interfaces import Plugin

LOG = logging.getLogger(__name__)

#: Pauses before it is opened again: the first, doubling, and the longest.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0


class Opening:
    """Opens a plugin in a thread of its own, which may hang, until it is open or not wanted any more."""

    def __init__(self, plugin: Plugin, told: str, *, seconds: float):
        """Begin with nothing yet.

        :param told: how it is called in sentences.
        :param seconds: how long ``begin`` waits.
        """
        self._plugin, self._told, self._seconds = plugin, told, seconds
        self._lock = threading.Lock()
        self._tried, self._over = threading.Event(), threading.Event()
        self._failure: KmError = Unavailable(f'{told} was not opened yet.')
        self.is_open = False

    def begin(self) -> KmError | None:
        """Begin to open it.

        :returns: why that failed the first time, or None if it is open.
        """
        self._failure = Unavailable(f'{self._told} did not open within {self._seconds:g} seconds.')
        threading.Thread(target=self._run, name=f'km: opens {self._plugin.name}', daemon=True).start()
        self._tried.wait(self._seconds)
        return None if self.is_open else self._failure

    def why_not(self) -> KmError:
        """Why it is not open."""
        return self._failure

    def end(self) -> bool:
        """Open it no more; whether it is open, so that somebody must close it."""
        with self._lock:
            self._over.set()
            was_open, self.is_open = self.is_open, False
        return was_open

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._over.is_set():
            failure = self._try()
            if failure is None:
                self._now_open()
                return
            self._failure = failure
            self._tried.set()
            LOG.warning('%s does not open: %s', self._told, failure.sentence)
            self._over.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _try(self) -> KmError | None:
        try:
            self._plugin.open()
        except BaseException as error:
            if isinstance(error, Misconfigured | Unavailable) and is_told(error):
                return error
            LOG.error('%s failed in open: %s', self._told, trace(error))
            return Unavailable(f'{self._told} failed to open.')
        return None

    def _now_open(self) -> None:
        with self._lock:
            wanted = self.is_open = not self._over.is_set()
        if not wanted:
            self._plugin.close()
        elif self._tried.is_set():
            LOG.warning('%s is open now.', self._told)
        self._tried.set()
