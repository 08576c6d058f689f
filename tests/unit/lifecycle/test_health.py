# SPDX-License-Identifier: Apache-2.0
"""Asking parts whether they work."""
import threading
import time

from km.errors import Unavailable
from km.lifecycle import health
from km.lifecycle.health import Probe


class Part:
    """Counts how often it is asked, and answers when it may, with what it shall."""

    def __init__(self, *answers, at_once=True):
        self.answers, self.asked, self.may = list(answers), 0, threading.Event()
        if at_once:
            self.may.set()

    def __call__(self):
        self.asked += 1
        self.may.wait(10)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_however_many_ask_a_part_is_asked_once():
    part = Part('ok')
    probe = Probe('x', part)
    clients = [threading.Thread(target=probe.works) for _ in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert probe.works()
    assert part.asked == 1


def test_an_answer_that_is_not_fresh_any_more_is_asked_for_again():
    part = Part('one', 'two')
    probe = Probe('x', part, fresh=0)
    assert [probe.answer(), probe.answer()] == ['one', 'two']


def test_a_part_that_fails_does_not_work_until_it_works_again_and_the_log_says_so_once(caplog):
    probe = Probe('The thing', Part(Unavailable('Gone.'), ValueError('a secret'), 'ok'), fresh=0)
    assert [probe.works() for _ in range(3)] == [False, False, True]
    assert [record.message for record in caplog.records] == [
        'The thing does not work: Gone.', 'The thing works again.']


def test_a_part_that_answers_nothing_works():
    probe = Probe('x', Part(None))
    assert probe.works()
    assert probe.answer() is None


def test_a_part_that_hangs_is_waited_for_once_and_asked_no_more():
    part = Part('ok', at_once=False)
    probe = Probe('x', part, fresh=0, patience=0.2)
    began = time.monotonic()
    assert [probe.works() for _ in range(5)] == [False] * 5
    assert time.monotonic() - began < 1
    assert part.asked == 1
    part.may.set()
    time.sleep(0.1)
    part.answers.append('ok')
    assert probe.works()


def test_each_store_is_asked_by_its_name(house):
    assert house.worker.call(health.states, house.context.identity) == {'soft': [True, True]}


def test_a_store_that_does_not_work_is_told_from_one_that_does(house):
    house.registry.secret_stores['soft'].check = Part(Unavailable('Gone.'))
    assert house.worker.call(health.states, house.context.identity) == {'soft': [False, True]}
