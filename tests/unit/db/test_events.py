# SPDX-License-Identifier: Apache-2.0
"""The outbox: a row goes to whoever claims it, and nobody takes back what is another's by now."""
from datetime import datetime, timedelta

import pytest

from km.db import events
from km.db.engine import Database

NOON = datetime(2030, 1, 1, 12)
HOUR = timedelta(hours=1)


@pytest.fixture
def connection(folder):
    database = Database(f'sqlite:///{folder}/km.sqlite')
    database.upgrade()
    with database.statement() as connection:
        yield connection
    database.close()


def a_row(row_id, notifier='one', occurred=NOON):
    return {'id': row_id, 'event_id': 'e', 'notifier': notifier, 'kind': 'order.failed',
            'project_id': 'alpha', 'resource_type': 'order', 'resource_id': 'o', 'details': '{}',
            'occurred': occurred}


def due(connection, now=NOON, notifier='one', page=10):
    return [row.id for row in events.due(connection, notifier, now=now, page=page)]


def test_what_is_due_comes_by_notifier_and_the_oldest_first(connection):
    events.insert(connection, [
        a_row('b', occurred=NOON + HOUR), a_row('a'), a_row('c', 'other', NOON + 2 * HOUR)])
    assert events.notifiers_due(connection, now=NOON) == {'one'}
    assert events.notifiers_due(connection, now=NOON + 2 * HOUR) == {'one', 'other'}
    assert (due(connection), due(connection, NOON + HOUR)) == (['a'], ['a', 'b'])
    assert due(connection, NOON + HOUR, page=1) == ['a']


def test_what_is_claimed_is_nobody_elses_until_then(connection):
    events.insert(connection, [a_row('a')])
    row, = events.due(connection, 'one', now=NOON, page=10)
    assert events.claim(connection, row, until=NOON + HOUR)
    assert not events.claim(connection, row, until=NOON + HOUR)
    assert (due(connection), due(connection, NOON + HOUR)) == ([], ['a'])


def test_who_lost_a_claim_takes_nothing_back(connection):
    events.insert(connection, [a_row('a')])
    slow, = events.due(connection, 'one', now=NOON, page=10)
    events.claim(connection, slow, until=NOON)
    quick, = events.due(connection, 'one', now=NOON, page=10)
    assert events.claim(connection, quick, until=NOON + HOUR)
    assert not events.postpone(connection, slow, until=NOON)
    assert due(connection) == []
    assert events.postpone(connection, quick, until=NOON)
    again, = events.due(connection, 'one', now=NOON, page=10)
    assert again.attempts == 2


def test_what_was_told_is_gone_whoever_told_it(connection):
    events.insert(connection, [a_row('a'), a_row('b')])
    row, _ = events.due(connection, 'one', now=NOON, page=10)
    events.claim(connection, row, until=NOON + HOUR)
    events.delete(connection, 'a')
    events.delete(connection, 'a')
    assert due(connection, NOON + HOUR) == ['b']


def test_what_is_old_is_found_whether_it_is_due_or_not(connection):
    events.insert(connection, [a_row('a'), a_row('b', occurred=NOON + HOUR), a_row('c', 'other')])
    row, = events.due(connection, 'one', now=NOON, page=10)
    events.claim(connection, row, until=NOON + 9 * HOUR)
    assert [row.id for row in events.aged(connection, 'one', before=NOON, page=10)] == ['a']


def test_who_watches_can_count_what_is_untold(connection):
    assert events.untold(connection) == {}
    events.insert(connection, [a_row('a'), a_row('b', occurred=NOON + HOUR), a_row('c', 'other')])
    assert events.untold(connection) == {'one': (2, NOON), 'other': (1, NOON)}
