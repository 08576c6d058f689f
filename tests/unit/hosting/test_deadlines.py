# SPDX-License-Identifier: Apache-2.0
"""Calls that hang: they are waited for so long, and whoever comes after them longer and no longer."""
import threading

import pytest

from km.errors import Unavailable
from km.hosting.deadlines import Deadlines, Overdue


@pytest.fixture
def go_on():
    """Lets everything go on that hangs."""
    event = threading.Event()
    yield event
    event.set()


def deadlines(seconds=0.05, most=8):
    return Deadlines('The part', seconds=seconds, most=most)


def refused(made, function):
    with pytest.raises(Unavailable) as error:
        made.call(function)
    return str(error.value)


def test_a_call_returns_what_it_returns_and_raises_what_it_raises():
    made = deadlines(seconds=10)
    assert made.call(lambda: 7) == 7
    for error in (ValueError('x'), TimeoutError('its own'), SystemExit(1), StopIteration()):
        with pytest.raises(type(error)) as raised:
            made.call(lambda error=error: (_ for _ in ()).throw(error) if not isinstance(
                error, StopIteration) else next(iter(())))
        assert not isinstance(raised.value, Overdue)


def test_a_call_that_does_not_end_is_overdue_and_others_are_made(go_on):
    made = deadlines()
    with pytest.raises(Overdue, match=r'The part did not answer within 0\.05 seconds\.'):
        made.call(go_on.wait)
    assert made.call(lambda: 7) == 7


def test_what_comes_late_is_given_to_who_undoes_it(go_on):
    made, came = deadlines(), threading.Event()
    told = []

    def late(answer):
        told.append(answer)
        came.set()

    with pytest.raises(Overdue):
        made.call(lambda: go_on.wait() and 'late', late=late)
    assert told == []
    go_on.set()
    assert came.wait(10)
    assert told == ['late']


def test_who_undoes_what_came_late_and_hangs_keeps_nobody_waiting(go_on):
    made, undoing, hangs = deadlines(seconds=0.5), threading.Event(), threading.Event()
    with pytest.raises(Overdue):
        made.call(lambda: go_on.wait() and 'late', late=lambda _: undoing.set() or hangs.wait())
    go_on.set()
    assert undoing.wait(10)
    assert made.call(lambda: 7) == 7
    hangs.set()


def test_what_fails_late_is_forgotten(go_on):
    made = deadlines()
    with pytest.raises(Overdue):
        made.call(lambda: go_on.wait() and 1 / 0, late=pytest.fail)
    go_on.set()
    assert made.call(lambda: 7) == 7


def test_when_all_threads_hang_it_is_said_at_once(go_on):
    made = deadlines(most=2)
    for _ in range(2):
        with pytest.raises(Overdue):
            made.call(go_on.wait)
    assert refused(made, lambda: 7) == 'The part has 2 calls under way that do not end.'
    go_on.set()


def test_after_three_without_an_answer_one_at_a_time_is_let_through(go_on):
    made = deadlines()
    for _ in range(3):
        with pytest.raises(Overdue):
            made.call(go_on.wait)
    asking, answer = threading.Event(), threading.Event()
    one = threading.Thread(target=lambda: made.call(lambda: asking.set() or answer.wait(0.02)))
    one.start()
    assert asking.wait(10)
    assert refused(made, lambda: 7) == 'The part has not answered for a while.'
    one.join()
    assert made.call(lambda: 7) == 7
    both = threading.Barrier(2)
    others = [threading.Thread(target=lambda: made.call(both.wait)) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join(10)
    assert not both.broken


def test_threads_are_used_again():
    made = deadlines(seconds=10)
    names = {made.call(lambda: threading.current_thread().ident) for _ in range(50)}
    assert len(names) <= 2
    assert made.call(lambda: threading.current_thread().daemon)
