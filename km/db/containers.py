# SPDX-License-Identifier: Apache-2.0
"""The rows of containers, and which secrets are in them."""
import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import ACL_USERS, CONTAINER, CONTAINERS

_columns = CONTAINERS.c

_of_id = _columns.id == bindparam('of')
_read_by_acl = sa.exists().where(
    ACL_USERS.c.kind == CONTAINER, ACL_USERS.c.user_id == bindparam('reader'),
    ACL_USERS.c.object_id == _columns.id).label('read_by_acl')
_GET = sa.select(*_columns, _read_by_acl).where(_of_id)


def get(connection: sa.Connection, container_id: str, *, reader: str | None) -> sa.Row | None:
    """A container, with ``read_by_acl``: whether its ACL names ``reader``."""
    return connection.execute(_GET, {'of': container_id, 'reader': reader}).first()
