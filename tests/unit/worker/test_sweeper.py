# SPDX-License-Identifier: Apache-2.0
"""The sweep in the background."""
import dataclasses
import time
from datetime import timedelta

from km.errors import Unavailable
from km.worker.sweeper import Sweeper


def wait_until(ready):
    for _ in range(500):
        if ready():
            return
        time.sleep(0.01)
    raise AssertionError('it did not happen')


def test_it_sweeps_right_away_and_again_until_it_is_stopped(house, ann, clock):
    path = ann.secret(expiration='2030-01-01T13:00:00')
    clock.forward(hours=2)
    sweeper = Sweeper(house.context, seconds=0.01)
    sweeper.start()
    count = 'SELECT count(*) FROM secrets'
    with house.database.statement() as connection:
        wait_until(lambda: connection.exec_driver_sql(count).scalar() == 0)
    sweeper.stop()
    assert ann.get(path).status_int == 404


def test_a_sweep_that_fails_is_logged_and_the_next_one_comes(caplog):
    sweeper = Sweeper(context=None, seconds=0.001)
    sweeper.start()
    wait_until(lambda: caplog.text.count('The sweep failed') > 1)
    sweeper.stop()


def test_what_it_is_reminded_of_is_done_before_the_next_sweep(house, ann, clock):
    order = {'type': 'asymmetric', 'meta': {'algorithm': 'rsa', 'bit_length': 2048}}
    sweeper = Sweeper(house.context, seconds=60)
    sweeper.start()
    with house.database.statement() as connection:
        wait_until(lambda: not connection.exec_driver_sql('SELECT id FROM orders').all())
        time.sleep(0.05)  # the first sweep is over
        ref = ann.post('/v1/orders', order).json['order_ref']
        connection.exec_driver_sql(
            "UPDATE orders SET status = 'PENDING', container_id = NULL, lease_until = '2000-01-01'")
        sweeper.remind(clock())
        wait_until(lambda: ann.get(ref.removeprefix('http://km.test:9311')).json['status'] == 'ACTIVE')
    sweeper.stop()


def test_a_database_that_goes_in_the_midst_of_a_sweep_is_a_line_and_no_trace(house, caplog):
    def gone():
        raise Unavailable('The metadata database does not answer.')

    sweeper = Sweeper(dataclasses.replace(house.context, statement=gone), seconds=60)
    sweeper.start()
    wait_until(lambda: 'tries again: The metadata database does not answer.' in caplog.text)
    sweeper.stop()
    assert 'Traceback' not in caplog.text


def test_a_sweeper_that_never_began_stops_at_once():
    Sweeper(context=None, seconds=60).stop()


def test_no_reminder_is_lost_to_one_that_comes_before_it(house, clock):
    done = []

    class Counting(Sweeper):
        def _do(self, work):
            done.append(work)

    sweeper = Counting(house.context, seconds=60)
    sweeper.start()
    wait_until(lambda: len(done) == 1)
    for milliseconds in (600, 150, 300, 310):
        sweeper.remind(clock() + timedelta(milliseconds=milliseconds))
    wait_until(lambda: len(done) >= 4)
    time.sleep(0.3)
    sweeper.stop()
    assert 4 <= len(done) <= 5
