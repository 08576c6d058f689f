# SPDX-License-Identifier: Apache-2.0
"""The door between API and worker: what crosses, and what comes back when something fails."""
from datetime import datetime, timedelta

import pytest
import sqlalchemy.exc

from km import errors
from km.identity import Identity
from km.lifecycle.context import TASKS, Context
from km.plugins.rpc_transport.embedded import Embedded
from km.testing import open_plugin
from km.worker import envelope
from km.worker.client import Worker
from km.worker.dispatcher import Dispatcher

ANN = Identity(user_id='ann', project_id='alpha', roles=('member', 'reader'), request_id='req-1')


@pytest.fixture
def transport():
    return open_plugin(Embedded)


@pytest.fixture
def dispatcher(clock):
    return Dispatcher(Context(
        stores={}, default_store='', statement=None, transaction=None,
        intent_timeout=timedelta(minutes=10), quotas={}, orders=None, certificates=None, events=None,
        transport_keys=None, cast=None, clock=clock))


@pytest.fixture
def worker(transport, dispatcher):
    transport.serve(dispatcher.handle)
    return Worker(transport)


@pytest.fixture
def task(monkeypatch):
    """A task of the test's own."""
    def add(function):
        function.task = 'test.task'
        monkeypatch.setitem(TASKS, 'test.task', function)
        return function
    return add


@pytest.mark.parametrize('value', [
    None, True, 7, 2 ** 40, 'text ä', b'\x00\xff', datetime(2030, 1, 2, 3, 4, 5, 6),
    ['a', [1]], {'key': {'deep': b'bytes'}}])
def test_values_cross_and_come_back_as_they_were(worker, task, value):
    echo = task(lambda ctx, **arguments: arguments['value'])
    assert worker.call(echo, ANN, value=value) == value


def test_the_worker_sees_who_asked(worker, task):
    seen = []
    worker.call(task(lambda ctx: seen.append(ctx)), ANN)  # noqa: PLW0108  tasks are functions
    assert [ctx.identity for ctx in seen] == [ANN]


def test_nothing_crosses_that_would_not_survive_a_wire(worker, task):
    with pytest.raises(TypeError):
        worker.call(task(lambda ctx, value: None), ANN, value=object())


@pytest.mark.parametrize('kind', [
    kind for kind in errors.BY_KIND.values() if kind is not errors.Unexpected])
def test_an_error_comes_back_as_itself(worker, task, kind):
    def fail(ctx):
        raise kind('A sentence.')
    with pytest.raises(kind) as failure:
        worker.call(task(fail), ANN)
    assert type(failure.value) is kind
    assert failure.value.sentence == 'A sentence.'


def test_a_bug_is_logged_and_its_words_do_not_cross(worker, task, caplog):
    def fail(ctx):
        raise ValueError('words of the bug')
    with pytest.raises(errors.Unexpected) as failure:
        worker.call(task(fail), ANN)
    assert 'words of the bug' not in failure.value.sentence
    assert 'words of the bug' in caplog.text
    assert 'test.task' in caplog.text


def test_a_pool_without_a_free_connection_is_unavailable(worker, task):
    def fail(ctx):
        raise sqlalchemy.exc.TimeoutError('QueuePool limit of size 1 reached')
    with pytest.raises(errors.Unavailable, match='in use'):
        worker.call(task(fail), ANN)


def test_an_answer_that_cannot_cross_is_a_bug_too(worker, task):
    with pytest.raises(errors.Unexpected):
        worker.call(task(lambda ctx: object()), ANN)


@pytest.mark.parametrize('message', [b'', b'\xc1', b'nonsense', envelope.pack_task('no.task', ANN, {})])
def test_a_message_that_is_no_task_is_answered_with_an_error(dispatcher, message):
    answer = dispatcher.handle(message)
    with pytest.raises(errors.Unexpected):
        envelope.unpack_answer(answer)


def test_an_error_of_a_kind_from_the_future_is_unexpected():
    class Newer(errors.KmError):
        pass
    with pytest.raises(errors.Unexpected):
        envelope.unpack_answer(envelope.pack_error(Newer('?')))


def test_a_cast_is_handled_and_its_answer_dropped(transport):
    handled = []
    transport.serve(lambda message: handled.append(message) or b'')
    assert transport.cast(b'message') is None
    assert handled == [b'message']


def test_a_transport_that_has_stopped_is_unavailable(transport, worker):
    transport.stop()
    with pytest.raises(errors.Unavailable):
        worker.call(TASKS['secrets.delete'], ANN, secret_id='x')


def test_an_error_of_a_plugins_own_comes_back_as_the_kind_it_is_of(worker, task):
    class Busy(errors.Unavailable):
        pass

    def fail(ctx):
        raise Busy('Busy.')
    with pytest.raises(errors.Unavailable, match='Busy'):
        worker.call(task(fail), ANN)
