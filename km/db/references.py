# SPDX-License-Identifier: Apache-2.0
"""What rows say is in the secret stores: payloads of secrets, and private halves of transport keys."""
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import ACTIVE, SECRETS, TRANSPORT_KEYS

_ALL = sa.union_all(*(
    sa.select(table.c.id, table.c.store, table.c.reference, table.c.intent, table.c.status)
    for table in (SECRETS, TRANSPORT_KEYS))).subquery()
_KNOWN = sa.select(_ALL).where(_ALL.c.id.in_(bindparam('ids', expanding=True)))
_SETTLED = sa.select(_ALL).where(
    _ALL.c.store == bindparam('store'), _ALL.c.reference.is_not(None), _ALL.c.intent.is_(None),
    _ALL.c.status == ACTIVE, _ALL.c.id > bindparam('after')).order_by(_ALL.c.id).limit(
    bindparam('page'))


def known(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, sa.Row]:
    """What there are rows of, by id."""
    return {row.id: row for row in connection.execute(_KNOWN, {'ids': ids})}


def settled(connection: sa.Connection, store: str, *, after: str, page: int) -> Sequence[sa.Row]:
    """What is in a store and on no way in or out of it, by id from ``after`` on."""
    return connection.execute(_SETTLED, {'store': store, 'after': after, 'page': page}).all()
