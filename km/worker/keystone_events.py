# SPDX-License-Identifier: Apache-2.0
"""Hears from Keystone that a project is gone, and has it forgotten.

Keystone tells of it plainly or in CADF (DMTF DSP0262), as its ``notification_format`` says; both are
understood. An event stays on its queue until all is done, and comes again if that fails.
"""
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import opts

from km.errors import KmError, Misconfigured

LOG = logging.getLogger(__name__)

_SECTIONS = {group or 'DEFAULT': options for group, options in opts.list_opts()}
#: The options of oslo.messaging that a listener goes by, by the sections that operators know.
FOREIGN_OPTIONS = {section: _SECTIONS[section] for section in (
    'DEFAULT', 'oslo_messaging_notifications', 'oslo_messaging_rabbit')}

#: Before an event that failed comes again, so that a database that is down is not stormed.
_PAUSE_SECONDS = 5.0
_LONGEST_ID = 255


class DeletedProjects:
    """What oslo.messaging gives Keystone's events to.

    :param forget: erases what a project of this id has; it may be called again for the same one.
    """

    filter_rule = oslo_messaging.NotificationFilter(event_type=r'identity\.project\.deleted\Z')

    def __init__(self, forget: Callable[[str], Any], *, pause: Callable[[float], None] = time.sleep):
        self._forget, self._pause = forget, pause

    def info(self, _context: Any, _publisher: str, _event: str, payload: Any, _metadata: Any) -> str:
        """Act on an event of the priority that Keystone gives these."""
        project_id = _project_of(payload)
        if project_id is None:
            LOG.error('An event of Keystone names no project; it is dropped.')
            return oslo_messaging.NotificationResult.HANDLED
        try:
            self._forget(project_id)
        except Exception as error:
            if isinstance(error, KmError):
                LOG.warning('Project %s is forgotten later: %s', project_id, error.sentence)
            else:
                LOG.exception('Project %s is forgotten later.', project_id)
            self._pause(_PAUSE_SECONDS)
            return oslo_messaging.NotificationResult.REQUEUE
        return oslo_messaging.NotificationResult.HANDLED


def listener(foreign: cfg.ConfigOpts, options: cfg.ConfigOpts.GroupAttr,
             forget: Callable[[str], Any]) -> Any:
    """A listener of oslo.messaging, to ``start``, ``stop`` and ``wait`` for.

    :param foreign: a configuration that has ``FOREIGN_OPTIONS``.
    :param options: the ``[keystone_notifications]`` section.
    :param forget: see ``DeletedProjects``.
    :raises Misconfigured: there is no such transport.
    """
    try:
        transport = oslo_messaging.get_notification_transport(foreign)
    except (oslo_messaging.MessagingException, ValueError) as error:
        raise Misconfigured(f'[DEFAULT] transport_url: {type(error).__name__}.') from None
    return oslo_messaging.get_notification_listener(
        transport,
        [oslo_messaging.Target(exchange=options.control_exchange, topic=options.topic)],
        [DeletedProjects(forget)], executor='threading', allow_requeue=True, pool=options.pool_name)


def _project_of(payload: Any) -> str | None:
    """The id of the project that an event is about; in CADF that is both a field and the target."""
    if not isinstance(payload, Mapping):
        return None
    target = payload.get('target')
    found = payload.get('resource_info') or (
        target.get('id') if isinstance(target, Mapping) else None)
    return found if isinstance(found, str) and 0 < len(found) <= _LONGEST_ID else None
