# SPDX-License-Identifier: Apache-2.0
"""The two ends of a wire, with what somebody who has the broker could do between them."""
from datetime import timedelta

import pytest

from km.errors import Forbidden, Unavailable
from km.interfaces import RpcTransport
from km.testing import open_plugin
from km.worker import envelope
from km.worker.dispatcher import Dispatcher
from km.worker.seal import ANSWER, Seal
from km.worker.wire import FarEnd, NearEnd

KEYS = {'00' * 8: bytes(32)}
LIFETIME = timedelta(seconds=60)


class Wire(RpcTransport):
    """A transport that remembers what it carried."""

    def call(self, message):
        self.carried = message
        self.answered = self.handler(message)
        return self.answered

    def cast(self, message):
        self.call(message)

    def serve(self, handler):
        self.handler = handler

    def stop(self):
        pass


class Echo(Dispatcher):
    """Answers with what it was told, and counts how often."""

    def __init__(self):
        self.told = []

    def handle(self, message, *, cast=False):
        self.told.append((message, cast))
        return b'the answer to ' + message


class Memory(dict):
    """Which numbers were there, and until when to know it."""

    def first_time(self, number, until):
        return self.setdefault(number, until) is until


@pytest.fixture
def wire():
    return open_plugin(Wire)


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def far(wire, echo, memory, clock):
    far = FarEnd(echo, seal=Seal(KEYS), clock=clock, lifetime=LIFETIME, first_time=memory.first_time)
    wire.serve(far.handle)
    return far


@pytest.fixture
def near(wire, far, clock):
    return NearEnd(wire, seal=Seal(KEYS), clock=clock)


def test_a_call_is_answered_and_nobody_on_the_way_can_read_it(near, wire, echo):
    assert near.call(b'a payload') == b'the answer to a payload'
    assert echo.told == [(b'a payload', False)]
    assert b'payload' not in wire.carried
    assert b'payload' not in wire.answered


def test_a_cast_arrives_as_one_and_is_not_answered(near, wire, echo):
    near.cast(b'an order')
    assert echo.told == [(b'an order', True)]
    assert wire.answered == b''


def test_a_message_is_taken_once(near, far, wire, echo, caplog):
    near.call(b'x')
    assert far.handle(wire.carried) == b''
    assert len(echo.told) == 1
    assert 'it was here before' in caplog.text


def test_no_other_worker_takes_it_either(near, wire, echo, memory, clock):
    near.call(b'x')
    other = FarEnd(echo, seal=Seal(KEYS), clock=clock, lifetime=LIFETIME,
                   first_time=memory.first_time)
    assert other.handle(wire.carried) == b''
    assert len(echo.told) == 1


@pytest.mark.parametrize(('moved', 'taken'), [
    (LIFETIME - timedelta(seconds=1), True), (-LIFETIME, True), (LIFETIME + timedelta(seconds=1), False),
    (-LIFETIME - timedelta(seconds=1), False)])
def test_a_message_is_taken_while_it_is_fresh(near, far, wire, echo, memory, clock, moved, taken):
    near.call(b'x')
    memory.clear()
    clock.now += moved
    assert bool(far.handle(wire.carried)) is taken
    assert len(echo.told) == 1 + taken


def test_a_number_is_remembered_for_as_long_as_any_worker_could_take_it(near, memory, clock):
    near.call(b'x')
    until, = memory.values()
    assert until >= clock.now + 2 * LIFETIME - timedelta(milliseconds=1)


def test_who_has_no_key_is_told_nothing(far, echo, caplog):
    _, forged = Seal({'00' * 8: b'\1' * 32}).seal(b'x', purpose=1, now=far._clock())
    assert far.handle(forged) == far.handle(b'') == b''
    assert echo.told == []
    assert caplog.text.count('A message was refused') == 2


def test_an_answer_is_not_a_question(far, echo):
    _, answer = Seal(KEYS).seal(b'x', purpose=ANSWER, now=far._clock())
    assert far.handle(answer) == b''
    assert echo.told == []


def test_an_answer_to_somebody_else_is_none(near, wire, caplog):
    near.call(b'mine')
    wire.serve(lambda _message, of_another=wire.answered: of_another)
    with pytest.raises(Unavailable):
        near.call(b'yours')
    assert 'was refused' in caplog.text


@pytest.mark.parametrize('answer', [b'', b'nonsense'])
def test_an_answer_that_is_none_is_a_failure_that_may_pass(near, wire, answer):
    wire.serve(lambda _message: answer)
    with pytest.raises(Unavailable):
        near.call(b'x')


def test_where_nobody_can_remember_nothing_is_taken(near, far, echo, memory):
    def away(_number, _until):
        raise Unavailable('The metadata database does not answer.')
    far._first_time = away
    with pytest.raises(Unavailable, match='metadata database'):
        envelope.unpack_answer(near.call(b'x'))

    def broken(_number, _until):
        raise ZeroDivisionError
    far._first_time = broken
    with pytest.raises(Unavailable):
        near.call(b'x')
    assert echo.told == []


def test_an_error_crosses_as_itself(near, far, echo):
    echo.handle = lambda _message, cast: envelope.pack_error(Forbidden('No.'))
    with pytest.raises(Forbidden, match='No'):
        envelope.unpack_answer(near.call(b'x'))
