# SPDX-License-Identifier: Apache-2.0
"""Work that the database undid is done anew, but not for ever. Real servers: tests/functional."""
import threading
import time

import pytest
import sqlalchemy as sa

from km.db.engine import Database
from km.db.failures import Undone, retried
from km.errors import Unavailable


@pytest.fixture
def database(folder):
    """A database with an empty table, whose writers do not wait for each other."""
    opened = Database(f'sqlite:///{folder}/km.sqlite')
    sa.event.listen(opened.engine, 'connect', _impatient)
    with opened.statement() as connection:
        connection.exec_driver_sql('CREATE TABLE t (x INTEGER)')
    yield opened
    opened.close()


def _impatient(connection, _record):
    connection.execute('PRAGMA busy_timeout=0')


def write(database):
    with database.transaction() as connection:
        connection.exec_driver_sql('INSERT INTO t VALUES (1)')


def test_a_database_that_is_locked_did_nothing(database):
    with database.transaction() as first:
        first.exec_driver_sql('INSERT INTO t VALUES (1)')
        with pytest.raises(Undone):
            write(database)


def test_what_was_undone_is_done_anew_until_it_is_done(database):
    with database.transaction() as first:
        first.exec_driver_sql('INSERT INTO t VALUES (1)')
        waiting = threading.Thread(target=retried(write), args=(database,))
        waiting.start()
        time.sleep(0.1)
    waiting.join()
    with database.statement() as connection:
        assert connection.exec_driver_sql('SELECT count(*) FROM t').scalar() == 2


def test_what_is_undone_again_and_again_fails_in_the_end():
    begun = []

    @retried
    def work():
        begun.append(time.monotonic())
        raise Undone('As ever.')

    with pytest.raises(Undone):
        work()
    assert 5 < len(begun) < 1000
    assert begun[-1] - begun[0] < 3


def test_what_may_have_been_done_is_not_done_again():
    begun = []

    @retried
    def work():
        begun.append(1)
        raise Unavailable('Who knows?')

    with pytest.raises(Unavailable):
        work()
    assert begun == [1]
