# SPDX-License-Identifier: Apache-2.0
"""An event as others read it, the same whichever way it goes.

The members are those of a payload of Standard Webhooks 1.0.0 (``type``, ``timestamp``, ``data``), and
the ``id`` by which one that comes twice is known.
"""
from typing import Any

from km.interfaces import Event


def document(event: Event) -> dict[str, Any]:
    """An event as an object for JSON; its time as RFC 3339 has it, in UTC, to the microsecond."""
    return {
        'id': event.id, 'type': event.kind,
        'timestamp': event.occurred.isoformat(timespec='microseconds') + 'Z',
        'data': {'project_id': event.project_id, 'resource_type': event.resource_type,
                 'resource_id': event.resource_id, 'details': dict(event.details)}}
