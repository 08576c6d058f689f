# SPDX-License-Identifier: Apache-2.0
"""The rows that say how far orders of certificates are, a row beside each of theirs in ``orders``.

Who changes one must have renewed its claim of the order in the same transaction.
"""
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import CERTIFICATE_ORDERS

#: What is to be done next: have somebody approve it, get a request together, have a certificate issued,
#: ask for it again.
APPROVE, REQUEST, ISSUE, POLL = 'APPROVE', 'REQUEST', 'ISSUE', 'POLL'

_columns = CERTIFICATE_ORDERS.c
_of_order = _columns.order_id == bindparam('of')
_GET = sa.select(CERTIFICATE_ORDERS).where(_of_order)
_OF_PAGE = sa.select(_columns.order_id, _columns.csr).where(
    _columns.order_id.in_(bindparam('ids', expanding=True)))
_UPDATE = CERTIFICATE_ORDERS.update().where(_of_order)


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add one that has not been asked for yet."""
    connection.execute(CERTIFICATE_ORDERS.insert(), {
        'issuing': 0, 'failures': 0, 'cancelled': False, 'holds_key': False, **values})


def get(connection: sa.Connection, order_id: str) -> sa.Row:
    """How far an order is."""
    return connection.execute(_GET, {'of': order_id}).one()


def change(connection: sa.Connection, order_id: str, **values: Any) -> sa.Row:
    """Note how far an order is now; the row as it is then."""
    connection.execute(_UPDATE, {'of': order_id, **values})
    return get(connection, order_id)


def cancel(connection: sa.Connection, order_id: str) -> None:
    """Have an order given up."""
    connection.execute(_UPDATE, {'of': order_id, 'cancelled': True})


def requests(connection: sa.Connection, order_ids: Sequence[str]) -> dict[str, str | None]:
    """The requests of a page of orders, PEM, by the ids of those that are of certificates."""
    return dict(connection.execute(_OF_PAGE, {'ids': list(order_ids)}).tuples().all())
