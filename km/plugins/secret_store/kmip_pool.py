# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to the servers of a KMIP store, and the pause after they failed."""
import collections
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kmip.core.enums import Operation

from km.interfaces import Unavailable
from km.plugins.secret_store.kmip_connection import Answer, Connection, Deadline
from km.plugins.secret_store.kmip_failures import NO_ANSWER, Broken

LOG = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0

Address = tuple[str, int]


class Breaker:
    """Lets no call through for a while after several in a row failed, so that none waits for nothing.

    When the pause is over a single call may try; if it fails too, the next pause is twice as long.
    """

    def __init__(self, failures: int, longest_pause: float):
        """Let everything through.

        :param failures: how many in a row begin a pause.
        :param longest_pause: seconds.
        """
        self._allowed, self._longest = failures, longest_pause
        self.begin_anew()

    def begin_anew(self) -> None:
        """Let everything through, in a process that was forked too: there the lock may be taken."""
        self._lock = threading.Lock()
        self._reset()

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Around a call: hears of it if it is ``Broken``.

        :raises Unavailable: it is not let through; the sentence says what went wrong before.
        """
        alone = self._enter()
        try:
            yield
        except Broken as broken:
            self._failed(broken.sentence, alone=alone)
            raise
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        self._failures, self._pause, self._until, self._why = 0, 0.0, 0.0, ''

    def _enter(self) -> bool:
        """Whether who enters is the one who may try after a pause."""
        with self._lock:
            now = time.monotonic()
            if self._until > now:
                raise Unavailable(f'{self._why} It is asked again in {self._until - now:.1f} seconds.')
            # Nobody else enters for as long as the pause was, unless this one finds that it works.
            self._until = now + self._pause
            return bool(self._pause)

    def _failed(self, why: str, *, alone: bool) -> None:
        with self._lock:
            self._failures, self._why = self._failures + 1, why
            if alone:
                self._pause = min(self._pause * 2, self._longest)
            elif self._failures == self._allowed:
                self._pause = min(_FIRST_PAUSE_SECONDS, self._longest)
            else:
                return
            self._until = time.monotonic() + self._pause


class Slots:
    """So many threads at a time; of those that wait, whoever waits longest is next.

    ``threading.Semaphore`` knows no turns: a thread that comes again at once would get in ahead.
    """

    def __init__(self, count: int):
        self._free, self._lock = count, threading.Lock()
        self._waiting: collections.deque[threading.Lock] = collections.deque()

    def take(self, seconds: float) -> bool:
        """Whether a slot was to be had within so many seconds; then ``give`` it back."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=seconds):
            return True
        with self._lock:
            if turn not in self._waiting:
                return True  # it was handed over in this very moment
            self._waiting.remove(turn)
            return False

    def give(self) -> None:
        """Hand the slot to the next, if there is one."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class Pool:
    """At most ``size`` connections, each made when it is needed, and after a fork made anew."""

    def __init__(self, connect: Callable[[Address, Deadline], Connection], addresses: Sequence[Address],
                 *, name: str, size: int, timeout: float, idle_seconds: float, breaker: Breaker):
        """Connect to nothing.

        :param connect: makes a connection, or raises ``Broken``.
        :param addresses: the servers, which all have the same objects; the next one is tried when
            one does not take a connection.
        :param name: of the store, for the log.
        :param timeout: seconds that a call may take in all.
        :param idle_seconds: after which a connection is not used again.
        """
        self._connect, self._addresses, self._first = connect, addresses, 0
        self._name, self._size, self._timeout, self._idle_seconds = name, size, timeout, idle_seconds
        self._breaker = breaker
        self._idle: list[Connection] = []
        self._slots = Slots(size)
        self._closed = False
        _POOLS.add(self)

    def ask(self, operations: Sequence[tuple[Operation, Any]], *, again: bool) -> list[Answer]:
        """The answers to operations, in their order.

        :param again: whether it does no harm if they are done twice.
        :raises Unavailable: there are none; perhaps they were done all the same.
        """
        deadline = Deadline(self._timeout)
        try:
            with self._breaker.guard(), self._slot(deadline):
                return self._answers(operations, deadline, again=again)
        except Broken as broken:
            raise Unavailable(broken.sentence) from None

    def close(self) -> None:
        """Close every connection; those in use when their call ends."""
        self._closed = True
        self._drop_idle()

    def begin_anew(self) -> None:
        """Forget what belongs to the parent, in a process that was forked."""
        self._slots = Slots(self._size)
        self._breaker.begin_anew()
        self._drop_idle()

    @contextlib.contextmanager
    def _slot(self, deadline: Deadline) -> Iterator[None]:
        slots = self._slots
        if not slots.take(deadline.left()):
            raise Unavailable(f'All {self._size} connections to the KMIP server are in use.')
        try:
            yield
        finally:
            slots.give()

    def _answers(self, operations: Sequence[tuple[Operation, Any]], deadline: Deadline, *,
                 again: bool) -> list[Answer]:
        connection = self._fresh() or self._new(deadline)
        while True:
            try:
                return self._answered(connection, operations, deadline)
            except Broken as broken:
                # A server, or something on the way, may hang up on a connection that was idle.
                if not (again and broken.lost and connection.used):
                    self._log(connection.address, broken)
                    raise
            self._drop_idle()
            connection = self._new(deadline)

    def _answered(self, connection: Connection, operations: Sequence[tuple[Operation, Any]],
                  deadline: Deadline) -> list[Answer]:
        try:
            answers = connection.ask(operations, deadline)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if self._closed:
            self._drop_idle()
        return answers

    def _fresh(self) -> Connection | None:
        """The connection that was used last, if it can be used again."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread was faster
                connection = self._idle.pop()
                if connection.is_fresh(self._idle_seconds):
                    return connection
                connection.close()
        return None

    def _new(self, deadline: Deadline) -> Connection:
        """A connection to the server that took the last one, or to the next that takes one."""
        first, failure = self._first, Broken(NO_ANSWER)
        for turn in range(len(self._addresses)):
            number = (first + turn) % len(self._addresses)
            try:
                connection = self._connect(self._addresses[number], deadline)
            except Broken as broken:
                self._log(self._addresses[number], broken)
                failure = broken
            else:
                self._first = number
                return connection
        raise failure

    def _log(self, address: Address, broken: Broken) -> None:
        LOG.warning('Secret store %s, %s:%s: %s', self._name, *address, broken.sentence)

    def _drop_idle(self) -> None:
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()


def _begin_anew() -> None:
    for pool in _POOLS:
        pool.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)
