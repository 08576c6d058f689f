# SPDX-License-Identifier: Apache-2.0
"""Answers that are told again from memory, and a bound on what is asked for them."""
import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime

from km.errors import Unavailable

#: What an answer takes beside its content, and its key.
_BYTES_EACH = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered. Times are UTC without a zone.

    :param began: when it came to be.
    :param ends: when what it says ends by itself; None if it does not.
    :param until: how long it is told again; None for never.
    """

    content: bytes
    began: datetime
    ends: datetime | None
    until: datetime | None


class Remembering:
    """Answers by what was asked.

    The memory is bounded, and those longest not asked for leave it first. Whatever is not in it is asked
    for by a few at once and a few each second, and all others are refused: so whoever makes many
    requests takes neither the threads of this process nor the time of what answers.

    :param most_bytes: how large the memory may get.
    :param at_once: how many may be asking, or waiting for who does.
    :param each_second: how many are asked in a second; as many may be at its beginning.
    """

    def __init__(self, clock: Callable[[], datetime], *, most_bytes: float = 64 * 2 ** 20,
                 at_once: float = 4, each_second: float = 50):
        self._clock, self._most_bytes, self._each_second = clock, most_bytes, each_second
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()
        self._places = threading.BoundedSemaphore(int(at_once))
        self._asking: dict[Hashable, tuple[threading.Lock, int]] = {}
        self._left, self._counted = float(each_second), time.monotonic()

    def of(self, key: Hashable, ask: Callable[[], Answer]) -> Answer:
        """The answer to what ``key`` stands for: the one there is, or else what ``ask`` gives.

        :raises Unavailable: too much is being asked.
        :raises KmError: as ``ask`` does; that is not remembered.
        """
        if (known := self._known(key)) is not None:
            return known
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            with self._alone(key):
                if (known := self._known(key)) is not None:
                    return known
                self._spend()
                answer = ask()
                self._keep(key, answer)
                return answer
        finally:
            self._places.release()

    @contextlib.contextmanager
    def _alone(self, key: Hashable) -> Iterator[None]:
        """Wait for whoever asks the same."""
        with self._lock:
            lock, users = self._asking.get(key, (threading.Lock(), 0))
            self._asking[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                users = self._asking[key][1] - 1
                if users:
                    self._asking[key] = lock, users
                else:
                    del self._asking[key]

    def _known(self, key: Hashable) -> Answer | None:
        with self._lock:
            answer = self._kept.get(key)
            if answer is None or answer.until is None or answer.until <= self._clock():
                return None
            self._kept.move_to_end(key)
            return answer

    def _spend(self) -> None:
        """:raises Unavailable: as many were asked as may be in this time."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._each_second, self._left + (now - self._counted) * self._each_second)
            self._counted = now
            if self._left < 1:
                raise _busy()
            self._left -= 1

    def _keep(self, key: Hashable, answer: Answer) -> None:
        if answer.until is None:
            return
        with self._lock:
            self._forget(key)
            self._kept[key] = answer
            self._bytes += _size(answer)
            while self._bytes > self._most_bytes:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: Hashable) -> None:
        if (answer := self._kept.pop(key, None)) is not None:
            self._bytes -= _size(answer)


def _size(answer: Answer) -> int:
    return len(answer.content) + _BYTES_EACH


def _busy() -> Unavailable:
    return Unavailable('Too much is being asked; try again later.')
