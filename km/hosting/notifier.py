# SPDX-License-Identifier: Apache-2.0
"""A notifier as the house has it."""
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from km.hosting.deadlines import Overdue
from km.hosting.guest import Guest, asked_seconds, is_text
from km.interfaces import Event, Notifier, Rejected

#: So many failures in a row, and it is left alone: first so long, doubling, and the longest.
_MOST_FAILURES = 3
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 10.0, 300.0


class HostedNotifier(Guest):
    """A notifier of the operator's. Its methods do what ``Notifier`` says; see ``Guest``.

    One that is down is left alone for a while, so that nobody waits for it again and again.
    """

    what = 'notifier'
    looks_right: ClassVar[Mapping[str, Callable[[Any], bool]]] = {'check': is_text}

    #: The kinds of events that it is told of.
    kinds: Collection[str] = ()
    _failures = _rests = 0
    _rests_until = 0.0

    def __init__(self, guest: Notifier, *, seconds: float = 20.0, **options: Any):
        """See ``Guest``.

        :param seconds: how long it may take to tell of an event.
        """
        super().__init__(guest, seconds=seconds, **options)
        self.seconds = seconds

    def notify(self, event: Event) -> None:
        """Tell of an event."""
        try:
            self._call('notify', event)
        except Rejected:
            self._works()
            raise
        except Exception as error:
            self._failed_with(error)
            raise
        self._works()

    @property
    def rests(self) -> bool:
        """Whether it is to be left alone right now."""
        return time.monotonic() < self._rests_until

    def _works(self) -> None:
        self._failures = self._rests = 0

    def _failed_with(self, error: Exception) -> None:
        self._failures += 1
        asked = asked_seconds(error)
        if not asked and self._failures < _MOST_FAILURES and not isinstance(error, Overdue):
            return  # it may be the event's fault, and not the notifier's
        pause = min(_FIRST_REST_SECONDS * 2 ** min(self._rests, 10), _LONGEST_REST_SECONDS)
        self._rests += 1
        self._rests_until = time.monotonic() + max(pause, asked)
