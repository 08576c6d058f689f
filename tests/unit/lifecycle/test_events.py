# SPDX-License-Identifier: Apache-2.0
"""Events are told at least once, whoever is killed, and a notifier that is down holds up nobody."""
import dataclasses
import json
import threading
from datetime import timedelta

import pytest

from km.conf import events as options
from km.conf.load import new
from km.errors import NotFound, QuotaExceeded, Rejected, Unavailable
from km.hosting.notifier import HostedNotifier
from km.interfaces import Notifier
from km.lifecycle import containers, events, projects, secrets, upkeep
from km.lifecycle.context import NOBODY
from tests.unit.lifecycle.conftest import Killed, killed_at

A_SECRET = {'secret_type': 'opaque', 'content_type': 'text/plain', 'payload': b'unmistakable'}


class Listener(Notifier):
    """Remembers what it is told. ``fail`` maps kinds, or 'all', to an exception to raise instead, and
    'after' to one to raise afterwards."""

    def __init__(self, name):
        super().__init__(name, None)
        self.told, self.fail, self.hears = [], {}, lambda: None

    def notify(self, event):
        self.hears()
        for kind in (event.kind, 'all'):
            if kind in self.fail:
                raise self.fail[kind]
        self.told.append(event)
        if 'after' in self.fail:
            raise self.fail['after']

    @property
    def kinds(self):
        return [event.kind for event in self.told]


class SameThread(HostedNotifier):
    """A notifier that is called right here, so that a process can end inside it."""

    def _call(self, method, *arguments):
        return getattr(self.guest, method)(*arguments)


def hosted(listener, *, kinds=options.KINDS, host=SameThread, **more):
    made = host(listener, **more)
    made.kinds = frozenset(kinds)
    return made


@pytest.fixture
def listener():
    return Listener('one')


@pytest.fixture
def other():
    return Listener('other')


@pytest.fixture
def reminders():
    return []


@pytest.fixture
def told(ctx, listener, reminders):
    """A context with a notifier that wants to hear of everything."""
    conf = new()
    if options.GROUP not in conf:
        conf.register_opts(options.OPTIONS, group=options.GROUP)
    return dataclasses.replace(ctx, notifiers={'one': hosted(listener)}, events=conf.events,
                               remind=reminders.append)


def both(told, listener, other, **hosting):
    return dataclasses.replace(told, notifiers={
        'one': hosted(listener, **hosting), 'other': hosted(other, **hosting)})


def delivered(ctx, clock, times=3):
    """Deliver, and again when what was claimed or postponed meanwhile is due."""
    for _ in range(times):
        events.deliver(ctx)
        clock.forward(minutes=2)


def test_a_secret_tells_of_its_beginning_reading_and_end(told, listener, rows, clock, reminders):
    secret_id = secrets.create(told, **A_SECRET)
    assert reminders == [clock() + timedelta(seconds=1)]
    row, = rows()
    secrets.payload(told, secret_id=secret_id, project_id='alpha', store=row['store'],
                    reference=row['reference'])
    secrets.delete(told, secret_id=secret_id)
    assert events.deliver(told) == 3
    assert sorted(listener.kinds) == ['secret.created', 'secret.deleted', 'secret.read']
    assert {(event.project_id, event.resource_type, event.resource_id, event.occurred,
             json.dumps(event.details)) for event in listener.told} == {
        ('alpha', 'secret', secret_id, clock(), '{"user_id": "ann"}')}
    assert len({event.id for event in listener.told}) == 3
    assert (rows('events'), events.deliver(told)) == ([], 0)


def test_a_secret_without_payload_and_one_of_a_project_with_a_quota_tell_of_it_too(told, listener):
    for ctx in (told, dataclasses.replace(told, quotas={**told.quotas, 'secrets': 10})):
        secrets.create(ctx, secret_type='opaque')
        secrets.create(ctx, **A_SECRET)
    events.deliver(told)
    assert listener.kinds == ['secret.created'] * 4


def test_a_container_tells_of_its_beginning_and_its_end(told, listener):
    container_id = containers.create(told, name='c', container_type='generic', members={})
    containers.delete(dataclasses.replace(told, identity=NOBODY), container_id=container_id)
    events.deliver(told)
    assert {(event.kind, event.project_id, event.resource_type, event.resource_id,
             event.details.get('user_id')) for event in listener.told} == {
        ('container.created', 'alpha', 'container', container_id, 'ann'),
        ('container.deleted', 'alpha', 'container', container_id, None)}


def test_what_did_not_happen_is_not_told(told, store, rows):
    store.fail = {('store', 'before'): Unavailable('Down.')}
    with pytest.raises(Unavailable):
        secrets.create(told, **A_SECRET)
    with pytest.raises(NotFound):
        secrets.delete(told, secret_id='none')
    with pytest.raises(NotFound):
        containers.delete(told, container_id='none')
    with pytest.raises(QuotaExceeded):
        containers.create(dataclasses.replace(told, quotas={**told.quotas, 'containers': 0}), name='c',
                          container_type='generic', members={})
    assert rows('events') == []


def test_what_cannot_be_written_down_does_not_happen_either(told, rows, database):
    secret_id = secrets.create(told, secret_type='opaque')
    container_id = containers.create(told, name='c', container_type='generic', members={})
    with database.statement() as connection:
        connection.exec_driver_sql('DROP TABLE events')
    for work, arguments in (
            (secrets.create, A_SECRET), (secrets.create, {'secret_type': 'opaque'}),
            (secrets.delete, {'secret_id': secret_id}),
            (containers.create, {'name': 'd', 'container_type': 'generic', 'members': {}}),
            (containers.delete, {'container_id': container_id})):
        with pytest.raises(Unavailable):
            work(told, **arguments)
    assert [row['id'] for row in rows() if row['status'] == 'ACTIVE'] == [secret_id]
    assert [row['id'] for row in rows('containers')] == [container_id]


def test_a_secret_taken_for_abandoned_is_not_told_of(told, store, rows, clock):
    keep = store.store

    def slow(request):
        clock.forward(hours=1)
        upkeep.sweep(told)
        return keep(request)

    store.store = slow
    with pytest.raises(Unavailable, match='took too long'):
        secrets.create(told, **A_SECRET)
    assert rows('events') == []


def test_a_secret_that_expires_is_told_of_as_deleted(told, listener, clock):
    secrets.create(told, **A_SECRET, expiration=clock() + timedelta(days=1))
    clock.forward(days=2)
    upkeep.sweep(told)
    events.deliver(told)
    assert listener.kinds == ['secret.created', 'secret.deleted']


def test_what_a_forgotten_project_had_is_told_of_as_deleted_and_leaves_nothing(told, listener, rows):
    secrets.create(told, **A_SECRET)
    containers.create(told, name='c', container_type='generic', members={})
    projects.forget(dataclasses.replace(told, identity=NOBODY), 'alpha')
    events.deliver(told)
    assert {'secret.deleted', 'container.deleted'} <= set(listener.kinds)
    assert rows('events') == []


def test_without_a_notifier_that_wants_it_the_database_is_asked_nothing(told, listener, rows):
    ctx = dataclasses.replace(told, notifiers={'one': hosted(listener, kinds=['secret.deleted'])})
    assert (events.wanted(ctx, 'secret.deleted'), events.wanted(ctx, 'secret.created')) == (True, False)
    events.add(ctx, None, 'secret.created', project_id='alpha', resource_type='secret', resource_id='x')
    secrets.create(ctx, **A_SECRET)
    assert rows('events') == []


def test_each_notifier_is_told_what_it_wants_under_one_id(told, listener, other, rows):
    ctx = dataclasses.replace(told, notifiers={
        'one': hosted(listener), 'other': hosted(other, kinds=['secret.created'])})
    secrets.delete(ctx, secret_id=secrets.create(ctx, **A_SECRET))
    assert events.deliver(ctx) == 3
    assert (len(listener.told), other.kinds) == (2, ['secret.created'])
    assert other.told[0] in listener.told


def test_a_payload_nobody_could_hear_of_is_not_given(told, rows):
    secret_id = secrets.create(told, **A_SECRET)
    row, = rows()

    def broken():
        raise Unavailable('The metadata database does not answer.')

    with pytest.raises(Unavailable):
        secrets.payload(dataclasses.replace(told, transaction=broken), secret_id=secret_id,
                        project_id='alpha', store=row['store'], reference=row['reference'])


# Creating opens the database for the intent and for the outcome.
@pytest.mark.parametrize('step', [1, 2])
def test_killed_before_the_outcome_nothing_is_told(told, rows, clock, listener, step):
    with pytest.raises(Killed):
        secrets.create(killed_at(told, step), **A_SECRET)
    clock.forward(hours=1)
    upkeep.sweep(told)
    delivered(told, clock)
    assert (rows(), listener.told) == ([], [])


# Delivering opens the database to see who has something due, to read, to claim, and to record.
@pytest.mark.parametrize('step', [1, 2, 3, 4])
def test_killed_at_any_step_of_delivering_it_is_told_in_the_end_under_one_id(
        told, rows, clock, listener, step):
    secrets.create(told, **A_SECRET)
    with pytest.raises(Killed):
        events.deliver(killed_at(told, step))
    assert len(listener.told) == int(step == 4)
    delivered(told, clock)
    assert len(listener.told) == 1 + int(step == 4)
    assert len({event.id for event in listener.told}) == 1
    assert rows('events') == []


@pytest.mark.parametrize(('when', 'times'), [('all', 1), ('after', 2)])
def test_killed_while_it_is_told_it_is_told_again(told, rows, clock, listener, when, times):
    secrets.create(told, **A_SECRET)
    listener.fail = {when: Killed()}
    with pytest.raises(Killed):
        events.deliver(told)
    listener.fail = {}
    assert events.deliver(told) == 0  # the claim of who was killed still stands
    clock.forward(minutes=2)
    assert events.deliver(told) == 1
    assert (len(listener.told), len({event.id for event in listener.told})) == (times, 1)
    assert rows('events') == []


def test_of_many_who_deliver_at_once_one_tells(told, listener, rows):
    for _ in range(20):
        secrets.create(told, secret_type='opaque')
    threads = [threading.Thread(target=events.deliver, args=(told,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(listener.told) == len({event.id for event in listener.told}) == 20
    assert rows('events') == []


def test_what_cannot_be_told_is_told_later_and_later(told, listener, clock, rows, reminders, caplog):
    secrets.create(told, secret_type='opaque')
    listener.fail = {'all': Unavailable('Down.')}
    pauses = []
    for _ in range(12):
        told.notifiers['one']._rests_until = 0
        assert events.deliver(told) == 0
        pause = (reminders[-1] - clock()).total_seconds()
        assert events.deliver(told) == 0  # not before
        clock.forward(seconds=pause)
        pauses.append(pause)
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    assert 'Notifier one is told again in 10 s' in caplog.text
    listener.fail, told.notifiers['one']._rests_until = {}, 0
    assert events.deliver(told) == 1


def test_a_notifier_that_says_when_is_heeded(told, listener, clock, reminders):
    for _ in range(2):
        secrets.create(told, secret_type='opaque')
    listener.fail = {'all': Unavailable('Busy.', retry_after_seconds=5000)}
    calls = []
    listener.hears = lambda: calls.append(1)
    assert events.deliver(told) == events.deliver(told) == 0
    assert (len(calls), reminders[-1]) == (1, clock() + timedelta(seconds=5000))


@pytest.mark.parametrize('error', [Unavailable('Down.'), Rejected('No.')], ids=['down', 'refused'])
def test_an_event_that_always_fails_holds_up_no_other(told, listener, error):
    secrets.delete(told, secret_id=secrets.create(told, secret_type='opaque'))
    listener.fail = {'secret.created': error}
    assert events.deliver(told) == 1
    assert listener.kinds == ['secret.deleted']


def test_a_notifier_that_is_down_is_soon_left_alone_and_holds_up_no_other(
        told, listener, other, rows):
    ctx = both(told, listener, other)
    for _ in range(60):
        secrets.create(ctx, secret_type='opaque')
    calls = []
    listener.fail, listener.hears = {'all': Unavailable('Down.')}, lambda: calls.append(1)
    assert events.deliver(ctx) == 60
    assert (len(calls), len(other.told), len(rows('events'))) == (3, 60, 60)


def test_notifiers_are_told_at_the_same_time(told, listener, other):
    ctx = both(told, listener, other)
    both_hear = threading.Barrier(2, timeout=10)
    listener.hears = other.hears = both_hear.wait
    secrets.create(ctx, secret_type='opaque')
    assert events.deliver(ctx) == 2


def test_a_notifier_that_hangs_holds_up_no_other(told, listener, other):
    ctx = both(told, listener, other, host=HostedNotifier, seconds=0.3)
    for notifier in ctx.notifiers.values():
        notifier.open()
    go_on = threading.Event()
    listener.hears = go_on.wait
    for _ in range(3):
        secrets.create(ctx, secret_type='opaque')
    assert events.deliver(ctx) == 3
    assert ctx.notifiers['one'].rests
    go_on.set()


def test_what_is_refused_is_given_up_with_a_line_in_the_log(told, listener, rows, caplog):
    secret_id = secrets.create(told, secret_type='opaque')
    listener.fail = {'all': Rejected('Never.')}
    assert events.deliver(told) == 0
    assert rows('events') == []
    assert f'(secret.created of secret {secret_id}): Never.' in caplog.text


def test_what_was_to_be_told_for_too_long_is_tried_once_more_and_given_up_with_a_line_in_the_log(
        told, listener, clock, rows, caplog):
    for _ in range(2):
        secrets.create(told, secret_type='opaque')
    clock.forward(days=8)
    listener.fail = {'all': Unavailable('Down.')}
    calls = []
    listener.hears = lambda: calls.append(1)
    events.deliver(told)
    assert (rows('events'), len(calls)) == ([], 2)
    assert caplog.text.count('Notifier one is never told of event') == 2


def test_what_is_too_old_for_a_notifier_that_is_down_does_not_pile_up(
        told, listener, clock, rows, caplog):
    for _ in range(60):
        secrets.create(told, secret_type='opaque')
    clock.forward(days=8)
    secrets.create(told, secret_type='opaque')
    listener.fail = {'all': Unavailable('Down.')}
    events.deliver(told)
    assert (len(rows('events')), caplog.text.count('is never told of event')) == (1, 60)


def test_what_a_notifier_was_to_be_told_waits_while_it_is_not_enabled_but_not_for_ever(
        told, rows, clock, caplog):
    for _ in range(60):
        secrets.create(told, secret_type='opaque')
    nobody = dataclasses.replace(told, notifiers={})
    clock.forward(days=6)
    events.deliver(nobody)
    assert len(rows('events')) == 60
    clock.forward(days=2)
    events.deliver(nobody)
    assert rows('events') == []
    assert caplog.text.count('It is not enabled.') == 60


def test_a_backlog_does_not_keep_who_delivers_from_other_work(told, rows, monkeypatch, reminders, clock):
    monkeypatch.setattr(events, '_PASS_SECONDS', -1)
    for _ in range(3):
        secrets.create(told, secret_type='opaque')
    assert events.deliver(told) == 1
    assert (len(rows('events')), reminders[-1]) == (2, clock())


def test_details_that_are_too_long_are_left_out_and_the_event_is_told(told, listener):
    with told.transaction() as connection:
        for reason in ('é' * 1000, 'x' * 4000):
            events.add(told, connection, 'order.failed', project_id='alpha', resource_type='order',
                       resource_id='x', details={'reason': reason})
    events.deliver(told)
    assert sorted(event.details.get('reason', 'omitted')[0] for event in listener.told) == ['o', 'é']
