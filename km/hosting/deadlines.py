# SPDX-License-Identifier: Apache-2.0
"""Calls that are waited for so long and no longer.

Nothing ends a thread of Python from outside. So what may hang is called in threads kept for it, and who
waits goes on without it. Unlike those of ``concurrent.futures`` these threads do not keep a process from
ending, whatever they are at.
"""
import functools
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from km.errors import Unavailable

#: So many calls in a row without an answer are silence.
_UNANSWERED = 3


class Overdue(Unavailable):
    """A call did not end in time. It may yet end, and have had its effect."""


class Deadlines:
    """Makes calls in threads of its own, and waits for each so long and no longer.

    A thread whose call does not end is lost for as long as that lasts. So when nothing answers any more
    one caller at a time is let through, to see whether it does, and the others are told at once (a
    circuit breaker); and when all threads are lost, so is everybody.
    """

    def __init__(self, name: str, *, seconds: float, most: int):
        """Start no thread yet.

        :param name: what calls are made to, for errors and the names of threads.
        :param seconds: how long each is waited for.
        :param most: how many may be under way at once, hanging ones included.
        """
        self._name, self._seconds, self._most = name, seconds, most
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._calls: SimpleQueue[tuple[Future, Callable[[], Any]]] = SimpleQueue()
        self._threads = self._under_way = self._unanswered = 0

    def call(self, function: Callable[[], Any], *, late: Callable[[Any], None] | None = None) -> Any:
        """What ``function`` returns, or raises, whatever that is.

        :param late: called with what it returned when nobody waits for that any more.
        :raises Overdue: it did not end in time.
        :raises Unavailable: too many calls are under way that do not end, or the last ones did not and
            somebody else is trying already.
        """
        if self._unanswered < _UNANSWERED:
            return self._in_a_thread(function, late)
        if not self._asking.acquire(blocking=False):
            raise Unavailable(f'{self._name} has not answered for a while.')
        try:
            return self._in_a_thread(function, late)
        finally:
            self._asking.release()

    def _in_a_thread(self, function: Callable[[], Any], late: Callable[[Any], None] | None) -> Any:
        ended: Future = Future()
        self._require_thread(self._most)
        self._calls.put((ended, function))
        try:
            error = ended.exception(self._seconds)
        except TimeoutError:
            self._unanswered += 1
            if late:
                ended.add_done_callback(functools.partial(self._came_late, late))
            raise Overdue(f'{self._name} did not answer within {self._seconds:g} seconds.') from None
        self._unanswered = 0
        if error is not None:
            raise error
        return ended.result()

    def _came_late(self, late: Callable[[Any], None], ended: Future) -> None:
        """Have ``late`` called in a thread that counts as one at work, for that may hang as well."""
        if ended.exception() is None:
            self._require_thread(math.inf)
            self._calls.put((Future(), functools.partial(late, ended.result())))

    def _require_thread(self, most: float) -> None:
        with self._lock:
            if self._under_way >= most:
                raise Unavailable(f'{self._name} has {self._most} calls under way that do not end.')
            self._under_way += 1
            if self._under_way <= self._threads:
                return
            self._threads += 1
        threading.Thread(target=self._run, name=f'km: {self._name}', daemon=True).start()

    def _run(self) -> None:
        while True:
            ended, function = self._calls.get()
            try:
                result, error = function(), None
            except BaseException as failure:  # an exit too: it is not this thread's
                result, error = None, failure
            with self._lock:
                self._under_way -= 1
            if error is None:
                ended.set_result(result)
            else:
                ended.set_exception(error)
            del ended, function, result, error  # a payload shall not wait here for the next call
