# SPDX-License-Identifier: Apache-2.0
"""Who hears of what happened."""
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from km.interfaces.plugin import Plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that is true already.

    :param id: lower-case UUID. An event may come twice, and bears the same one then.
    :param kind: such as ``secret.created`` or ``certificate.expiring``; see ``doc/source/admin/events``.
    :param project_id: whose the thing is.
    :param resource_type: ``secret``, ``container``, ``order`` or ``certificate``.
    :param resource_id: lower-case UUID.
    :param occurred: when, UTC without a zone.
    :param details: what else there is to say, such as ``days_left``. Never anything secret.
    """

    id: str
    kind: str
    project_id: str
    resource_type: str
    resource_id: str
    occurred: datetime
    details: Mapping[str, str | int] = field(default_factory=dict)


class Notifier(Plugin):
    """Tells others of events. Every enabled one is told of each at least once, in no sure order."""

    @abstractmethod
    def notify(self, event: Event) -> None:
        """Tell of an event, and return when whoever listens has it.

        :raises Rejected: it never will be told; km logs that, and forgets it for this notifier.
        :raises Unavailable: not now; km tries again, later each time.
        """
