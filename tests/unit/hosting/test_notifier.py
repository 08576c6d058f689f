# SPDX-License-Identifier: Apache-2.0
"""A notifier that is down is left alone for a while, and one that only refuses is not."""
from datetime import datetime

import pytest

from km.errors import Rejected, Unavailable, Unexpected
from km.hosting import notifier as hosting
from km.hosting.deadlines import Overdue
from km.hosting.guest import asked_seconds
from km.hosting.notifier import HostedNotifier
from km.interfaces import Event, Notifier

EVENT = Event(id='e', kind='secret.created', project_id='alpha', resource_type='secret',
              resource_id='x', occurred=datetime(2030, 1, 1))


class Moody(Notifier):
    """Does what ``does`` says with an event."""

    does = staticmethod(lambda event: None)

    def notify(self, event):
        return self.does(event)


class Time:
    """A clock that only goes when it is told to."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    stopped = Time()
    monkeypatch.setattr(hosting, 'time', stopped)
    return stopped


@pytest.fixture
def hosted(time):
    made = HostedNotifier(Moody('moody', None), plugin='moody', required=False, seconds=0.2,
                          most_calls=2)
    made.open()
    yield made
    made.close()


def fails(hosted, error, times=1):
    def failing(_event):
        raise error

    hosted.guest.does = failing
    for _ in range(times):
        with pytest.raises(type(error)):
            hosted.notify(EVENT)


def rest_of(hosted, time):
    """How long it is left alone now."""
    began = time.now
    while hosted.rests:
        time.now += 1
    return time.now - began


def test_it_is_told_and_asked_how_it_is(hosted):
    heard = []
    hosted.guest.does = heard.append
    hosted.notify(EVENT)
    assert heard == [EVENT]
    assert (hosted.check(), hosted.rests, hosted.seconds) == ('ok', False, 0.2)


def test_three_failures_in_a_row_bring_a_rest_that_doubles_until_it_works(hosted, time):
    fails(hosted, Unavailable('Down.'), 2)
    assert not hosted.rests
    rests = []
    for _ in range(8):
        fails(hosted, Unavailable('Down.'))
        rests.append(rest_of(hosted, time))
    assert rests == [10, 20, 40, 80, 160, 300, 300, 300]
    hosted.guest.does = lambda event: None
    hosted.notify(EVENT)
    fails(hosted, Unavailable('Down.'), 2)
    assert not hosted.rests
    fails(hosted, Unavailable('Down.'))
    assert rest_of(hosted, time) == 10


def test_one_that_refuses_works(hosted):
    fails(hosted, Unavailable('Down.'), 2)
    fails(hosted, Rejected('No.'), 5)
    fails(hosted, Unavailable('Down.'), 2)
    assert not hosted.rests


def test_one_that_hangs_is_left_alone_at_once(hosted, monkeypatch):
    monkeypatch.setattr(hosted, '_call', lambda *_: (_ for _ in ()).throw(Overdue('Slow.')))
    with pytest.raises(Overdue):
        hosted.notify(EVENT)
    assert hosted.rests


def test_one_that_breaks_the_rules_is_left_alone_too(hosted, caplog):
    for _ in range(3):
        hosted.guest.does = lambda event: 1 / 0
        with pytest.raises(Unexpected):
            hosted.notify(EVENT)
    assert hosted.rests
    assert "Notifier 'moody' (plugin moody) failed in notify: ZeroDivisionError" in caplog.text


def test_one_that_says_when_is_left_alone_so_long(hosted, time):
    fails(hosted, Unavailable('Busy.', retry_after_seconds=77))
    assert rest_of(hosted, time) == 77


@pytest.mark.parametrize(('said', 'seconds'), [
    (5, 5), (5.5, 5.5), (1e9, 86400), (float('inf'), 86400), (0, 0), (-5, 0), (None, 0),
    (float('nan'), 0), ('soon', 0)])
def test_it_may_say_so_only_as_a_number_and_not_longer_than_a_day(said, seconds):
    assert asked_seconds(Unavailable('Busy.', retry_after_seconds=said)) == seconds
    assert asked_seconds(Rejected('No.')) == 0
