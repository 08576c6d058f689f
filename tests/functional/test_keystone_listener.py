# SPDX-License-Identifier: Apache-2.0
"""``km-keystone-listener`` over a real RabbitMQ, told as Keystone tells, by oslo.messaging."""
import time

import oslo_messaging
import pytest
from oslo_config import cfg

from km.testing.application import Client, a_deployment
from tests.functional.km_server import ends_cleanly, environment, program
from tests.functional.servers import running

PUBLISHER = 'identity.test'
EVENT = 'identity.project.deleted'


@pytest.fixture
def house(tmp_path, rabbitmq):
    """A km whose configuration names the broker."""
    tmp_path.chmod(0o700)
    house = a_deployment(tmp_path, {'DEFAULT': {'transport_url': rabbitmq.transport_url}})
    yield house
    house.close()


@pytest.fixture
def listening(tmp_path, house):
    log = tmp_path / 'listener.log'
    command = [program('km-keystone-listener'), '--config-file', str(tmp_path / 'km.conf')]
    with running(command, log, env=environment()) as process:
        yield process
        assert 'Traceback' not in log.read_text()


@pytest.fixture
def tell(rabbitmq):
    """Sends an event as Keystone does."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    transport = oslo_messaging.get_notification_transport(conf, url=rabbitmq.transport_url)
    conf.set_override('control_exchange', 'keystone')
    notifier = oslo_messaging.Notifier(
        transport, driver='messagingv2', topics=['notifications'], publisher_id=PUBLISHER, retry=1)
    yield lambda payload: notifier.info({}, EVENT, payload)
    transport.cleanup()


def becomes(told, wanted, tell=lambda: None):
    """Whether something is so within half a minute. ``tell`` is repeated: there may be no queue yet."""
    deadline = time.monotonic() + 30
    while told() != wanted and time.monotonic() < deadline:
        tell()
        time.sleep(0.2)
    return told() == wanted


@pytest.mark.parametrize('payload', [
    {'resource_info': 'alpha'},
    {'typeURI': 'http://schemas.dmtf.org/cloud/audit/1.0/event', 'target': {'id': 'alpha'}}])
def test_a_project_that_keystone_deleted_loses_its_secrets_and_no_other_does(
        house, listening, tell, payload):
    ann, eve = Client(house.application), Client(house.application, project_id='beta')
    for _ in range(3):
        ann.secret()
    ann.post('/v1/orders', {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}})
    kept = eve.secret()
    assert becomes(lambda: ann.get('/v1/secrets').json['total'], 0, lambda: tell(payload))
    assert becomes(lambda: ann.get('/v1/orders').json['total'], 0)
    assert eve.get(kept + '/payload').status_int == 200
    assert ends_cleanly(listening)
