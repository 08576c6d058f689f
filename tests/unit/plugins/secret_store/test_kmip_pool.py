# SPDX-License-Identifier: Apache-2.0
"""When a KMIP store leaves its servers alone, and when it asks them again."""
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import Unavailable
from km.plugins.secret_store import kmip_pool
from km.plugins.secret_store.kmip_failures import Broken
from km.plugins.secret_store.kmip_pool import Breaker


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
