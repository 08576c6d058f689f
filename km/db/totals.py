# SPDX-License-Identifier: Apache-2.0
"""How many rows of a kind the whole cloud has, for those who watch it. Counted by the database."""
import sqlalchemy as sa

from km.db.models import ACTIVE, ORDERS, SECRETS

_count = sa.func.count()
_ORDERS_BY_STATE = sa.select(ORDERS.c.status, _count).group_by(ORDERS.c.status)
_SECRETS_BY_PROJECT = sa.select(SECRETS.c.project_id, _count).where(
    SECRETS.c.status == ACTIVE).group_by(SECRETS.c.project_id)


def orders_by_state(connection: sa.Connection) -> dict[str, int]:
    """The number of orders in each state that any is in."""
    return dict(connection.execute(_ORDERS_BY_STATE).tuples().all())


def secrets_by_project(connection: sa.Connection) -> dict[str, int]:
    """The number of secrets of each project that has any, expired ones that no sweep met included."""
    return dict(connection.execute(_SECRETS_BY_PROJECT).tuples().all())
