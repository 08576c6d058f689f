# SPDX-License-Identifier: Apache-2.0
"""What km asks of every notifier, as tests.

Subclass it in a test module of yours, and give it a notifier and somebody who listens to it::

    class TestPager(NotifierContract):
        @pytest.fixture
        def notifier(self, pager):
            return open_plugin(Pager, address=pager.address)

        @pytest.fixture
        def heard(self, pager):
            return lambda: [call['id'] for call in pager.calls]
"""
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from km.interfaces import Event, Notifier

_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
_KINDS = {'secret': 'secret.created', 'container': 'container.deleted', 'order': 'order.failed',
          'certificate': 'certificate.expiring'}


class NotifierContract:
    """Subclasses give a fixture ``notifier``, an open one, and a fixture ``heard``: a function of
    nothing to the ids of the events that whoever listens has, one each time it came."""

    @pytest.fixture
    def notifier(self) -> Iterator[Notifier]:
        raise NotImplementedError('give your contract suite a fixture named notifier')

    @pytest.fixture
    def heard(self) -> Callable[[], Sequence[str]]:
        raise NotImplementedError('give your contract suite a fixture named heard')

    @pytest.mark.parametrize('resource_type', _KINDS)
    def test_an_event_of_each_kind_is_heard(self, notifier, heard, resource_type):
        event = _event(kind=_KINDS[resource_type], resource_type=resource_type)
        notifier.notify(event)
        _require_heard(heard, event.id)

    def test_an_event_that_comes_twice_bears_the_same_id(self, notifier, heard):
        event = _event()
        notifier.notify(event)
        notifier.notify(event)
        _require_heard(heard, event.id, event.id)

    @pytest.mark.parametrize('details', [
        {}, {'days_left': 30}, {'reason': 'äöü "quoted" \n{}%s\\'}, {'reason': 'x' * 10_000},
        {'low': -1, 'high': 2 ** 53}], ids=['none', 'a number', 'odd text', 'long text', 'numbers'])
    def test_whatever_the_details_say_it_is_heard(self, notifier, heard, details):
        event = _event(details=details)
        notifier.notify(event)
        _require_heard(heard, event.id)

    def test_a_kind_that_nobody_knows_yet_is_heard(self, notifier, heard):
        event = _event(kind='something.new')
        notifier.notify(event)
        _require_heard(heard, event.id)

    def test_threads_tell_of_events_at_once(self, notifier, heard):
        events = [_event() for _ in range(16)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(notifier.notify, events))
        _require_heard(heard, *(event.id for event in events))

    def test_check_says_in_one_line_how_it_is(self, notifier):
        said = notifier.check()
        assert said and '\n' not in said


def _event(**more: Any) -> Event:
    fields: dict[str, Any] = {'kind': 'secret.created', 'resource_type': 'secret', **more}
    return Event(id=str(uuid.uuid4()), project_id='a project', resource_id=str(uuid.uuid4()),
                 occurred=datetime(2030, 1, 1, 12, 0, 0, 123456), **fields)  # noqa: DTZ001


def _require_heard(heard: Callable[[], Sequence[str]], *ids: str) -> None:
    """Insist that events are heard soon, each as often as it is named."""
    ends = time.monotonic() + _SECONDS
    missing = set(ids)
    while missing and time.monotonic() < ends:
        told = list(heard())
        missing = {one for one in ids if told.count(one) < ids.count(one)}
        if missing:
            time.sleep(_PAUSE_SECONDS)
    assert not missing
