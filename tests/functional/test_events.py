# SPDX-License-Identifier: Apache-2.0
"""Events come out of a real RabbitMQ as any service's notifications do, and a broker that is down loses
none."""
import contextlib
import queue
import signal
import time

import oslo_messaging
import pytest
from oslo_config import cfg

from km.lifecycle import events
from km.testing.application import Client, a_deployment

PATIENCE_SECONDS = 20


class Heard(queue.Queue):
    """What oslo.messaging gives notifications to."""

    def info(self, _context, publisher, event, payload, metadata):
        self.put((publisher, event, payload, metadata))


@pytest.fixture
def house(folder, rabbitmq):
    """A km whose sweeper is at work, and that tells of events by messages and in the log."""
    with running(folder, rabbitmq.transport_url) as house:
        yield house


@contextlib.contextmanager
def running(folder, transport_url):
    house = a_deployment(folder, {
        'DEFAULT': {'transport_url': transport_url, 'control_exchange': 'km_events'},
        'notifier': {'enabled': 'bus, log'},
        'notifier:bus': {'plugin': 'messaging', 'topics': f'of_{folder.name}', 'publisher_id': 'km.blue',
                         'kinds': 'secret.created, secret.deleted, secret.read'},
        'notifier:log': {'plugin': 'log'}})
    house.start()
    yield house
    house.close()


@pytest.fixture
def ann(house):
    return Client(house.application)


@pytest.fixture
def listening(folder, rabbitmq):
    """Begins to listen, with nothing of km's: what is heard."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    with contextlib.ExitStack() as ends:
        def listen():
            heard = Heard()
            transport = oslo_messaging.get_notification_transport(conf, url=rabbitmq.transport_url)
            listener = oslo_messaging.get_notification_listener(
                transport, [oslo_messaging.Target(exchange='km_events', topic=f'of_{folder.name}')],
                [heard], executor='threading')
            listener.start()
            ends.callback(transport.cleanup)
            ends.callback(listener.wait)
            ends.callback(listener.stop)
            return heard

        yield listen


def untold(house):
    """The notifiers that are still to be told something."""
    with house.database.statement() as connection:
        return list(connection.exec_driver_sql('SELECT notifier FROM events').scalars())


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_secret_is_told_of_to_whoever_listens_then_or_later(house, ann, listening, caplog):
    caplog.set_level('INFO', logger='km.events')
    path = ann.secret()
    ann.get(path + '/payload')
    until(lambda: untold(house) == [])  # nobody has listened yet
    heard = listening()
    ann.delete(path)
    told = [heard.get(timeout=PATIENCE_SECONDS) for _ in range(3)]
    until(lambda: untold(house) == [])
    assert [event for _, event, *_ in told] == [
        'km.secret.created', 'km.secret.read', 'km.secret.deleted']
    for publisher, event, payload, metadata in told:
        assert publisher == 'km.blue'
        assert payload == {'project_id': 'alpha', 'resource_type': 'secret',
                           'resource_id': path.rpartition('/')[2], 'details': {'user_id': 'ann'}}
        # The other notifier tells the same event, but not of who reads, unless it is told to.
        assert (metadata['message_id'] in caplog.text) == (event != 'km.secret.read')
    assert len({metadata['message_id'] for *_, metadata in told}) == 3


def test_what_happens_while_the_broker_is_down_is_told_when_it_is_back(
        house, ann, listening, rabbitmq, caplog):
    ann.secret()
    until(lambda: untold(house) == [])
    with rabbitmq.down(signal.SIGKILL):
        path = ann.secret()
        until(lambda: 'Notifier bus is told again in 10 s' in caplog.text)
        until(lambda: untold(house) == ['bus'])
    heard = listening()
    with house.database.statement() as connection:  # nobody waits ten seconds here
        connection.exec_driver_sql("UPDATE events SET due = occurred WHERE notifier = 'bus'")
    events.deliver(house.context)
    _, event, payload, _ = heard.get(timeout=PATIENCE_SECONDS)
    assert (event, payload['resource_id']) == ('km.secret.created', path.rpartition('/')[2])
    assert untold(house) == []
    assert rabbitmq.password not in caplog.text


def test_a_broker_that_lets_km_not_in_is_one_that_is_down(folder, rabbitmq, caplog):
    with running(folder, rabbitmq.transport_url.replace(rabbitmq.password, 'wrong')) as house:
        Client(house.application).secret()
        until(lambda: 'Notifier bus is told again' in caplog.text)
        until(lambda: untold(house) == ['bus'])
    assert 'AccessRefused' in caplog.text
