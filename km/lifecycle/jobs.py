# SPDX-License-Identifier: Apache-2.0
"""An order as the process has it that is to fulfil it."""
import json
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import Row

from km.identity import Identity

#: The types of orders.
KEY, ASYMMETRIC = 'key', 'asymmetric'


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An order that this process has claimed.

    :param meta: what the order says, checked; an expiration is ISO 8601 text.
    :param fence: the number of the claim.
    :param owner: whose the order is, and what it makes will be.
    """

    id: str
    type: str
    meta: dict[str, Any]
    fence: int
    attempts: int
    repeatable: bool
    owner: Identity
    passphrase: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, row: Row) -> Self:
        """The job that a row of an order is."""
        return cls(id=row.id, type=row.type, meta=json.loads(row.meta), fence=row.fence,
                   attempts=row.attempts, repeatable=row.repeatable,
                   owner=Identity(user_id=row.creator_id, project_id=row.project_id))

    def makes(self) -> dict[str, int]:
        """How many of each resource it makes, by the names of quotas."""
        if self.type == KEY:
            return {'secrets': 1}
        return {'secrets': 3 if self.passphrase else 2, 'containers': 1}
