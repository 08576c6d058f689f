# SPDX-License-Identifier: Apache-2.0
"""An order as the process has it that is to fulfil it."""
import json
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import Connection, Row

from km.db import certificate_orders, orders
from km.db.failures import retried
from km.db.models import PENDING
from km.errors import Unavailable
from km.identity import Identity
from km.lifecycle.context import Context, Task

LOG = logging.getLogger(__name__)

#: The types of orders.
KEY, ASYMMETRIC, CERTIFICATE = 'key', 'asymmetric', 'certificate'

#: What is told of a fault that is no client's affair; the log says more.
FAILED = 'The order failed - please contact site administrator.'


class Superseded(Exception):
    """Another worker has claimed the order, or it was deleted: what was made for it is nobody's."""


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
    status: str = PENDING

    @classmethod
    def of(cls, row: Row) -> Self:
        """The job that a row of an order is."""
        return cls(id=row.id, type=row.type, status=row.status, meta=json.loads(row.meta),
                   fence=row.fence, attempts=row.attempts, repeatable=row.repeatable,
                   owner=Identity(user_id=row.creator_id, project_id=row.project_id))

    def makes(self) -> dict[str, int]:
        """How many of each resource it makes, by the names of quotas."""
        if self.type == KEY:
            return {'secrets': 1}
        return {'secrets': 3 if self.passphrase else 2, 'containers': 1}


def line(text: str, longest: int) -> str:
    """What a plugin says, as any database takes it: one line of so many characters."""
    return ''.join(letter if letter.isprintable() else ' ' for letter in text)[:longest]


def lease(ctx: Context) -> timedelta:
    """How long a claim is good before another worker may take the order over."""
    return timedelta(seconds=ctx.orders.lease_seconds)


@retried
def claimed(ctx: Context, order_id: str | None) -> Job | None:
    """Claim an order that is due, unless somebody else is at it; None if there is none.

    :param order_id: which; None for the one that has been due longest.
    """
    now = ctx.clock()
    with ctx.transaction() as connection:
        row = orders.claim(connection, order_id, now=now, until=now + lease(ctx))
    return None if row is None else Job.of(row)


def have_processed(ctx: Context, process: Task, order_id: str) -> None:
    """Have an order looked at right away, here or elsewhere; else a sweep does.

    :param process: takes the ``order_id``.
    """
    try:
        ctx.cast(process, order_id=order_id)
    except Unavailable as error:
        LOG.warning('Order %s waits for the sweep: %s', order_id, error.sentence)


@retried
def changed(ctx: Context, job: Job, **values: Any) -> Row:
    """Note how far an order of a certificate is; see ``change``."""
    with ctx.transaction() as connection:
        return change(ctx, connection, job, **values)


def change(ctx: Context, connection: Connection, job: Job, **values: Any) -> Row:
    """Note how far an order of a certificate is, and renew the claim of it; the row as it is then.

    :raises Superseded: the claim is not the last one.
    """
    if not orders.still_claimed(connection, job.id, fence=job.fence, until=ctx.clock() + lease(ctx)):
        raise Superseded
    return certificate_orders.change(connection, job.id, **values)
