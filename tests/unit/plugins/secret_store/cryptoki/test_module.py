# SPDX-License-Identifier: Apache-2.0
"""Who may be in a module, with whom and how long one waits for it."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import Unavailable
from km.plugins.secret_store.cryptoki.module import Gate

SECONDS, SOON = 5.0, 0.05


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as threads:
        yield threads


def stay(gate, how):
    """Something to run in a thread: be inside until told; and what says that one is, and to leave."""
    inside, leave = threading.Event(), threading.Event()

    def run():
        with how():
            inside.set()
            leave.wait(SECONDS)

    return run, inside, leave


def test_many_are_inside_at_once(threads):
    gate = Gate()
    run, inside, leave = stay(gate, lambda: gate.enter(SECONDS))
    ended = threads.submit(run)
    assert inside.wait(SECONDS)
    with gate.enter(SOON):
        leave.set()
    ended.result()


def test_where_it_is_serial_they_come_one_by_one(threads):
    gate = Gate(serial=True)
    run, inside, leave = stay(gate, lambda: gate.enter(SECONDS))
    ended = threads.submit(run)
    assert inside.wait(SECONDS)
    with pytest.raises(Unavailable, match='busy'), gate.enter(SOON):
        pass
    leave.set()
    ended.result()
    with gate.enter(SOON):
        pass


@pytest.mark.parametrize('how', ['enter', 'alone'])
def test_nobody_comes_in_while_one_is_alone(threads, how):
    gate = Gate()
    run, inside, leave = stay(gate, gate.alone)
    ended = threads.submit(run)
    assert inside.wait(SECONDS)
    with pytest.raises(Unavailable, match='busy'), getattr(gate, how)(SOON):
        pass
    leave.set()
    ended.result()
    with gate.enter(SOON):
        pass


def test_who_wants_to_be_alone_gives_up_when_somebody_stays_and_others_come_in_again(threads):
    gate = Gate()
    run, inside, leave = stay(gate, lambda: gate.enter(SECONDS))
    ended = threads.submit(run)
    assert inside.wait(SECONDS)
    with pytest.raises(Unavailable, match='do not end'), gate.alone(SOON):
        pass
    with gate.enter(SOON):
        leave.set()
    ended.result()
    with gate.alone(SOON):
        pass
