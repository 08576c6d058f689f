# SPDX-License-Identifier: Apache-2.0
"""A bounded number of sessions with a token, each used by one thread at a time."""
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pkcs11 import exceptions as ck

from km.interfaces import Unavailable
from km.plugins.secret_store.cryptoki.failures import Kind, kind_of


@dataclass(slots=True)
class Lease:
    """A session, and the objects that were looked up in it: python-pkcs11 binds them to it.

    :param age: the age of the pool that it was opened in.
    """

    session: Any
    age: int
    objects: dict[Any, Any] = field(default_factory=dict)


class SessionPool:
    """Opens sessions when they are needed, and keeps them. None of them ever logs in or out."""

    def __init__(self, most: int, seconds: float):
        """Open none yet.

        :param most: how many there may be.
        :param seconds: how long to wait for one.
        """
        self._most, self._seconds = most, seconds
        self._condition = threading.Condition()
        self._idle: list[Lease] = []
        self._out = self._age = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A right to one session, for a block.

        :raises Unavailable: all are in use, for too long.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._out < self._most, self._seconds):
                raise Unavailable(f'All {self._most} sessions with the token are in use.')
            self._out += 1
        try:
            yield
        finally:
            with self._condition:
                self._out -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def lease(self, open_session: Callable[[], Any]) -> Iterator[Lease]:
        """A session, for who has a ``place``. After an error in the block nobody gets it again.

        :param open_session: opens one.
        """
        lease = self._kept() or Lease(self._opened(open_session), self._age)
        try:
            yield lease
        except BaseException:
            close(lease.session)
            raise
        with self._condition:
            if lease.age == self._age:
                self._idle.append(lease)
                return
        close(lease.session)

    def forget(self, *, stale: bool) -> None:
        """Keep none of those that were opened until now.

        :param stale: whether their handles may name sessions of somebody else by now.
        """
        with self._condition:
            idle, self._idle, self._age = self._idle, [], self._age + 1
        for lease in idle if not stale else ():
            close(lease.session)

    def _kept(self) -> Lease | None:
        with self._condition:
            return self._idle.pop() if self._idle else None

    def _opened(self, open_session: Callable[[], Any]) -> Any:
        """A new session; the token may have room for fewer than we may open."""
        try:
            return open_session()
        except ck.PKCS11Error as error:
            if kind_of(error) is not Kind.CAPACITY:
                raise
            with self._condition:
                self._condition.wait_for(lambda: self._idle, self._seconds)
            kept = self._kept()
            if kept is None:
                raise
            return kept.session


def close(session: Any) -> None:
    """Close a session, if it still is one."""
    with contextlib.suppress(ck.PKCS11Error):
        session.close()
