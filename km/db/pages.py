# SPDX-License-Identifier: Apache-2.0
"""Pages of lists: conditions from a client's filters, and the order that makes pages stable."""
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    'eq': operator.eq, 'gt': operator.gt, 'gte': operator.ge, 'lt': operator.lt, 'lte': operator.le,
    'like': lambda column, pattern: column.like(pattern, escape='\\'),
}


class Filter(NamedTuple):
    """A condition on a column.

    :param operator: eq, gt, gte, lt, lte, or like (``%`` is any text, a backslash escapes).
    """

    column: str
    operator: str
    value: Any


def page(connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement, limit: int,
         offset: int, filters: Sequence[Filter] = (), order: Sequence[str] = ('created', 'id'),
         ) -> tuple[Sequence[sa.Row], int]:
    """One page of the rows of a table that pass, and how many pass in all; two statements at most.

    :param filters: of a client, beside ``conditions``, which are ours.
    :param order: columns; together they must be unique, or pages would overlap.
    """
    passed = [*conditions, *(COMPARED[wanted.operator](table.c[wanted.column], wanted.value)
                             for wanted in filters)]
    found = connection.execute(
        sa.select(table).where(*passed).order_by(*(table.c[name] for name in order))
        .limit(limit).offset(offset)).all()
    count = sa.select(sa.func.count()).select_from(table).where(*passed)
    return found, total(connection, count, shown=len(found), limit=limit, offset=offset)


def total(connection: sa.Connection, count: sa.Select, values: Mapping[str, Any] | None = None, *,
          shown: int, limit: int, offset: int) -> int:
    """How many rows a list has. A page that is not full tells it; else it is counted.

    :param count: the statement that counts, and ``values`` its parameters.
    :param shown: how many are on the page.
    """
    if shown < limit and (shown or not offset):
        return offset + shown
    return connection.execute(count, values).scalar_one()
