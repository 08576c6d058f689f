# SPDX-License-Identifier: Apache-2.0
"""What the messaging transport does without a broker. With one, it is in the functional tests."""
import time

import pytest

from km.conf.load import load
from km.errors import Unavailable
from km.registry import Registry
from km.testing.application import write_conf


@pytest.fixture
def transport(folder):
    registry = Registry(load(files=[str(write_conf(folder, {
        'DEFAULT': {'transport_url': 'rabbit://km:unmistakable@127.0.0.1:9/'},
        'oslo_messaging_rabbit': {'rabbit_retry_interval': 1, 'ssl_ca_file': '/a/ca.pem'},
        'rpc_transport': {'plugin': 'messaging', 'threads': 3}}))]), works=False)
    registry.open()
    yield registry.transport
    registry.close()


def test_it_has_the_sections_of_its_library_and_no_other(transport):
    assert transport.foreign.transport_url.startswith('rabbit://')
    assert transport.foreign.oslo_messaging_rabbit.ssl_ca_file == '/a/ca.pem'
    assert transport.foreign.executor_thread_pool_size == 3
    assert 'database' not in transport.foreign
    assert 'secret_store' not in transport.foreign


@pytest.mark.parametrize('send', ['call', 'cast'])
def test_without_a_broker_who_sends_hears_so_within_seconds(transport, send, caplog):
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(Unavailable, match='broker does not answer'):
            getattr(transport, send)(b'x')
        assert time.monotonic() - began < 7
    assert 'unmistakable' not in caplog.text


def test_who_waits_for_a_broker_to_serve_can_be_told_to_end(transport):
    transport.serve(lambda message: message)
    began = time.monotonic()
    transport.stop()
    assert time.monotonic() - began < 1
