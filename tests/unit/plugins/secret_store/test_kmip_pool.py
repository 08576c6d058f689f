# SPDX-License-Identifier: Apache-2.0
"""When a KMIP store leaves its servers alone, and when it asks them again."""
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import Unavailable
from km.plugins.secret_store import kmip_pool
from km.plugins.secret_store.kmip_failures import Broken
from km.plugins.secret_store.kmip_pool import Breaker, Slots


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock; add to ``clock.now``."""
    class Clock:
        now = 1000.0

    monkeypatch.setattr(kmip_pool.time, 'monotonic', lambda: Clock.now)
    return Clock


def fail(breaker, why='It is down.'):
    with pytest.raises(Broken), breaker.guard():
        raise Broken(why)


def works(breaker):
    with breaker.guard():
        return True


def is_shut(breaker):
    try:
        return not works(breaker)
    except Unavailable:
        return True


def test_after_failures_in_a_row_calls_fail_at_once_and_say_why(clock):
    breaker = Breaker(3, 30)
    fail(breaker)
    fail(breaker)
    assert works(breaker), 'two are not three, and what works ends the row'
    for _ in range(3):
        fail(breaker)
    with pytest.raises(Unavailable, match=r'It is down\. It is asked again in 1\.0 seconds\.'), \
            breaker.guard():
        pass
    clock.now += 1.1
    assert works(breaker)
    assert works(breaker)


def test_the_pauses_grow_up_to_the_longest_and_are_short_again_after_success(clock):
    breaker = Breaker(1, 5)
    fail(breaker)
    for pause in (1, 2, 4, 5, 5):
        clock.now += pause - 0.1
        assert is_shut(breaker)
        clock.now += 0.2
        fail(breaker)
    clock.now += 5.1
    assert works(breaker)
    fail(breaker)
    clock.now += 1.1
    assert works(breaker)


def test_after_a_pause_one_call_tries_and_the_others_fail_at_once(clock):
    breaker = Breaker(1, 30)
    fail(breaker)
    clock.now += 1.1
    with breaker.guard():
        assert is_shut(breaker)
    assert works(breaker)


def test_a_call_that_tries_and_never_comes_back_is_followed_by_another(clock):
    breaker = Breaker(1, 30)
    fail(breaker)
    clock.now += 1.1
    with pytest.raises(Unavailable), breaker.guard():
        raise Unavailable('All connections are in use.')
    assert is_shut(breaker)
    clock.now += 1.1
    assert works(breaker)


def test_calls_that_fail_together_make_one_pause(clock):
    breaker = Breaker(2, 30)
    together = threading.Barrier(8)

    def call(_):
        with contextlib.suppress(Broken), breaker.guard():
            together.wait()
            raise Broken('It is down.')

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(8)))
    assert is_shut(breaker)
    clock.now += 1.1
    assert works(breaker)


def test_whoever_waits_longest_for_a_slot_is_next():
    slots, order = Slots(1), []
    assert slots.take(0)

    def wait(number):
        assert slots.take(5)
        order.append(number)
        slots.give()

    threads = [threading.Thread(target=wait, args=[number]) for number in range(5)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while len(slots._waiting) < number:
            time.sleep(0.001)
    slots.give()
    # Who has just given one back, and comes again at once, waits as everybody does.
    assert slots.take(5)
    assert order == [0, 1, 2, 3, 4]
    for thread in threads:
        thread.join()


def test_who_gave_up_waiting_is_not_handed_a_slot():
    slots = Slots(1)
    assert slots.take(0)
    assert not slots.take(0.01)
    slots.give()
    assert slots.take(0)
    assert not slots.take(0)


def test_no_slot_is_lost_or_doubled_by_threads_that_give_up_as_it_is_handed_to_them():
    slots, inside, most, most_lock = Slots(2), [], [], threading.Lock()

    def come_and_go(number):
        for turn in range(200):
            if slots.take((number + turn) % 4 / 10000):
                inside.append(number)
                with most_lock:
                    most.append(len(inside))
                inside.remove(number)
                slots.give()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(come_and_go, range(8)))
    assert max(most) <= 2
    assert [slots.take(0), slots.take(0), slots.take(0)] == [True, True, False]
