# SPDX-License-Identifier: Apache-2.0
"""An event in the log is a line of JSON."""
import json
import logging
from datetime import datetime

from km.interfaces import Event
from km.plugins.notifier.log import LogNotifier
from km.testing import open_plugin


def test_an_event_is_one_line_that_says_everything(caplog):
    caplog.set_level(logging.INFO)
    notifier = open_plugin(LogNotifier)
    notifier.notify(Event(
        id='0b', kind='order.failed', project_id='alp\nha', resource_type='order', resource_id='0c',
        occurred=datetime(2030, 1, 2, 3, 4, 5), details={'reason': 'of no\nuse', 'attempts': 3}))
    record, = caplog.records
    assert (record.name, record.levelname) == ('km.events', 'INFO')
    assert '\n' not in record.getMessage()
    assert json.loads(record.getMessage()) == {
        'id': '0b', 'type': 'order.failed', 'timestamp': '2030-01-02T03:04:05.000000Z',
        'data': {'project_id': 'alp\nha', 'resource_type': 'order', 'resource_id': '0c',
                 'details': {'reason': 'of no\nuse', 'attempts': 3}}}
    assert notifier.check() == 'events go to the log'
