# SPDX-License-Identifier: Apache-2.0
"""The rows of containers, and which secrets are in them."""
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import ACL_USERS, ACTIVE, CONTAINER, CONTAINER_SECRETS, CONTAINERS

_columns = CONTAINERS.c

_of_id = _columns.id == bindparam('of')
_read_by_acl = sa.exists().where(
    ACL_USERS.c.kind == CONTAINER, ACL_USERS.c.user_id == bindparam('reader'),
    ACL_USERS.c.object_id == _columns.id).label('read_by_acl')
_GET = sa.select(*_columns, _read_by_acl).where(_of_id)
_COUNT = sa.select(sa.func.count()).select_from(CONTAINERS).where(
    _columns.project_id == bindparam('project'))


def get(connection: sa.Connection, container_id: str, *, reader: str | None) -> sa.Row | None:
    """A container, with ``read_by_acl``: whether its ACL names ``reader``."""
    return connection.execute(_GET, {'of': container_id, 'reader': reader}).first()


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add an empty container."""
    connection.execute(CONTAINERS.insert(), {'status': ACTIVE, 'project_access': True, **values})


def add(connection: sa.Connection, container_id: str, members: Mapping[str, str]) -> None:
    """Put secrets into a container.

    :param members: ids of secrets by their names in it.
    """
    connection.execute(CONTAINER_SECRETS.insert(), [
        {'container_id': container_id, 'secret_id': secret_id, 'name': name}
        for name, secret_id in members.items()])


def count(connection: sa.Connection, project_id: str) -> int:
    """How many containers a project has."""
    return connection.execute(_COUNT, {'project': project_id}).scalar_one()
