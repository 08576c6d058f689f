# SPDX-License-Identifier: Apache-2.0
"""The RabbitMQ of the functional tests is real, can be ended and comes back."""

import signal
import ssl
from urllib.parse import urlsplit

import amqp
import pytest

from tests.functional.servers import HOST


def connection(rabbitmq, **changed):
    """Give a connection to the broker, not yet open, as its URL says but for what is `changed`."""
    url = urlsplit(rabbitmq.transport_url)
    options = {'host': f'{url.hostname}:{url.port}', 'userid': url.username,
               'password': url.password, 'connect_timeout': 10}
    return amqp.Connection(**options | changed)


def test_a_message_comes_back_as_it_was_sent(rabbitmq):
    with connection(rabbitmq) as opened:
        channel = opened.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.basic_publish(amqp.Message(b'a doorbell'), routing_key=queue)
        assert channel.basic_get(queue, no_ack=True).body == b'a doorbell'


@pytest.mark.parametrize('stranger', [
    {'password': 'wrong'}, {'userid': 'guest', 'password': 'guest'}])
def test_strangers_are_not_let_in(rabbitmq, stranger):
    with pytest.raises(amqp.AccessRefused):
        connection(rabbitmq, **stranger).connect()


def test_its_certificate_is_good_for_those_who_trust_its_ca_only(rabbitmq):
    host = f'{HOST}:{rabbitmq.tls_port}'
    assert str(rabbitmq.tls_port) in rabbitmq.tls_transport_url
    trusting = {'ca_certs': str(rabbitmq.ca_file), 'cert_reqs': ssl.CERT_REQUIRED,
                'server_hostname': HOST}
    with connection(rabbitmq, host=host, ssl=trusting) as opened:
        assert opened.connected
    with pytest.raises(ssl.SSLCertVerificationError):
        connection(rabbitmq, host=host, ssl={
            'cert_reqs': ssl.CERT_REQUIRED, 'server_hostname': HOST}).connect()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_it_comes_back_on_the_same_port_with_its_durable_messages(rabbitmq, number):
    with connection(rabbitmq) as opened:
        channel = opened.channel()
        channel.confirm_select()
        channel.queue_declare('kept', durable=True, auto_delete=False)
        channel.basic_publish_confirm(
            amqp.Message(b'kept', delivery_mode=2), routing_key='kept')
    with rabbitmq.down(number), pytest.raises(ConnectionRefusedError):
        connection(rabbitmq).connect()
    with connection(rabbitmq) as opened:
        channel = opened.channel()
        assert channel.basic_get('kept', no_ack=True).body == b'kept'
        channel.queue_delete('kept')
