# SPDX-License-Identifier: Apache-2.0
"""Events as notifications on a message bus, as OpenStack's services send them.

Where the broker is, and how to speak TLS with it, stands where operators of other services expect it:
``[oslo_messaging_notifications] transport_url``, or ``[DEFAULT] transport_url`` if that is not set;
``[DEFAULT] control_exchange`` and ``[oslo_messaging_rabbit]``. A notification is of the format 2.0
(driver ``messagingv2``) and of the priority INFO. Its ``message_id`` is the event's, so it is the same
for one that comes twice.
"""
import logging
import socket
from typing import ClassVar

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import opts

from km.interfaces import Event, Misconfigured, Notifier, Unavailable
from km.plugins.notifier.document import document

LOG = logging.getLogger(__name__)

_SECTIONS = {group or 'DEFAULT': options for group, options in opts.list_opts()}
# oslo.messaging asks for these, and registers them in oslo.config's global alone.
_OFF = {'oslo_messaging_metrics': cfg.BoolOpt('metrics_enabled', default=False),
        'oslo_messaging_tracing': cfg.BoolOpt('tracing_enabled', default=False)}
_FORMAT = 2.0
# Once more, over a new connection: the broker may have been restarted since the last event. Without a
# number the driver tries for ever.
_RETRIES = 1


class MessagingNotifier(Notifier):
    """Tells whoever listens for notifications. The broker confirms that it has each."""

    options = (
        cfg.ListOpt('topics', default=['notifications'],
                    help='With plugin = messaging: the topics that events are sent to. Each is a queue '
                         'TOPIC.info, which is made if it is not there, and keeps what nobody takes.'),
        cfg.StrOpt('publisher_id', default=f'km.{socket.gethostname()}', sample_default='km.HOST',
                   help='With plugin = messaging: who says of itself that it sends.'),
    )
    foreign_options: ClassVar = {section: _SECTIONS[section] for section in (
        'DEFAULT', 'oslo_messaging_notifications', 'oslo_messaging_rabbit')}

    def open(self) -> None:
        if not self.settings.topics:
            raise Misconfigured(f'[notifier:{self.name}] topics: there is none.')
        for section, option in _OFF.items():
            self.foreign.register_opt(option, group=section)
        try:
            self._transport = oslo_messaging.get_notification_transport(self.foreign)
        except (oslo_messaging.MessagingException, ValueError) as error:
            raise Misconfigured('[oslo_messaging_notifications] transport_url, [DEFAULT] '
                                f'transport_url: {type(error).__name__}.') from None

    def check(self) -> str:
        return 'not asked: a broker is only asked to take an event'

    def close(self) -> None:
        self._transport.cleanup()

    def notify(self, event: Event) -> None:
        told = document(event)
        message = {'message_id': event.id, 'publisher_id': self.settings.publisher_id,
                   'event_type': f'km.{event.kind}', 'priority': 'INFO', 'payload': told['data'],
                   'timestamp': str(event.occurred)}
        for topic in self.settings.topics:
            self._send(f'{topic}.info', message)

    def _send(self, topic: str, message: dict) -> None:
        """Send a notification.

        ``oslo_messaging.Notifier`` would log what fails and say nothing of it, so this is what its
        drivers call; the message is changed by it.
        """
        try:
            self._transport._send_notification(
                oslo_messaging.Target(topic=topic), {}, dict(message), version=_FORMAT, retry=_RETRIES)
        except Exception as error:  # the driver lets through what its libraries raise
            LOG.warning('The message broker failed: %s', type(error).__name__)
            raise Unavailable('The message broker does not answer.') from None
