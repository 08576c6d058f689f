# SPDX-License-Identifier: Apache-2.0
"""The rows of orders: what is asked of them, a function each."""
import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import ORDERS

_columns = ORDERS.c

_GET = sa.select(ORDERS).where(
    _columns.id == bindparam('of'), _columns.project_id == bindparam('project'))


def get(connection: sa.Connection, order_id: str, *, project_id: str) -> sa.Row | None:
    """An order of a project."""
    return connection.execute(_GET, {'of': order_id, 'project': project_id}).first()
