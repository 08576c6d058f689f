# SPDX-License-Identifier: Apache-2.0
"""What the messaging notifier does without a broker. With one, it is in the functional tests."""
import logging
import time
from datetime import datetime

import pytest

from km.conf.load import load
from km.interfaces import Event, Misconfigured, Unavailable
from km.plugins.notifier.messaging import MessagingNotifier
from km.registry import foreign
from km.testing.application import write_conf

EVENT = Event(id='0b', kind='secret.created', project_id='alpha', resource_type='secret',
              resource_id='0c', occurred=datetime(2030, 1, 2))
NOBODY = 'rabbit://km:unmistakable@127.0.0.1:9/'


@pytest.fixture
def made(folder):
    def make(transport_url=NOBODY, sections=None, **options):
        conf = load(files=[str(write_conf(folder, {
            'DEFAULT': {'transport_url': transport_url}, 'notifier:bus': options, **(sections or {})}))])
        conf.register_opts(MessagingNotifier.options, group='notifier:bus')
        notifier = MessagingNotifier('bus', conf['notifier:bus'])
        notifier.foreign = foreign(conf, MessagingNotifier.foreign_options)
        return notifier

    return make


def test_without_a_broker_an_event_is_told_later_and_not_lost_in_a_log(made, caplog):
    caplog.set_level(logging.DEBUG)
    notifier = made()
    notifier.open()
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(Unavailable, match='broker does not answer'):
            notifier.notify(EVENT)
        assert time.monotonic() - began < 4
    notifier.close()
    assert 'The message broker failed: OperationalError' in caplog.text
    assert 'unmistakable' not in caplog.text


def test_it_has_the_sections_of_its_library_and_no_other(made):
    notifier = made(sections={'oslo_messaging_notifications': {'transport_url': NOBODY}})
    assert notifier.foreign.oslo_messaging_notifications.transport_url == NOBODY
    assert notifier.foreign.control_exchange == 'openstack'
    assert 'database' not in notifier.foreign
    assert 'secret_store' not in notifier.foreign


def test_its_name_is_that_of_the_machine_unless_it_is_told_otherwise(made):
    assert made().settings.publisher_id.startswith('km.')
    assert made(publisher_id='km.blue').settings.publisher_id == 'km.blue'


@pytest.mark.parametrize('url', ['unmistakable://h/', 'rabbit://:unmistakable:x@h:y/'])
def test_a_url_that_will_not_do_keeps_km_from_starting(made, url):
    with pytest.raises(Misconfigured, match=r'\[DEFAULT\] transport_url: [A-Z]') as refused:
        made(url).open()
    assert 'unmistakable' not in refused.value.sentence


def test_without_topics_km_does_not_start(made):
    with pytest.raises(Misconfigured, match=r'^\[notifier:bus\] topics: there is none\.$'):
        made(topics='').open()
