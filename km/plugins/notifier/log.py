# SPDX-License-Identifier: Apache-2.0
"""Events in the log: a line of JSON each, by the logger ``km.events``."""
import json
import logging

from km.interfaces import Event, Notifier
from km.plugins.notifier.document import document

EVENTS = logging.getLogger('km.events')


class LogNotifier(Notifier):
    """Tells whoever reads the log, at the level INFO."""

    def check(self) -> str:
        return 'events go to the log'

    def notify(self, event: Event) -> None:
        EVENTS.info('%s', json.dumps(document(event)))
