# SPDX-License-Identifier: Apache-2.0
"""The contract of notifiers, held against the one that writes a log."""
import json
import logging

import pytest

from km.plugins.notifier.log import LogNotifier
from km.testing import open_plugin
from km.testing.notifier import NotifierContract


class TestLog(NotifierContract):
    @pytest.fixture
    def notifier(self):
        return open_plugin(LogNotifier)

    @pytest.fixture
    def heard(self, caplog):
        caplog.set_level(logging.INFO, logger='km.events')
        return lambda: [json.loads(record.getMessage())['id'] for record in caplog.records]
