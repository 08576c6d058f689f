# SPDX-License-Identifier: Apache-2.0
"""The rows of consumers, of secrets and of containers alike.

Whoever changes them takes the row of the secret or container first (``touch``), so that of two who
do it at once one waits for the other.
"""
import json
import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db import pages
from km.db.models import CONSUMERS

_columns = CONSUMERS.c
_NAMESPACE = uuid.UUID('7f7a4c3e-6a0b-4c57-9a52-0d4f8a1b6c2d')

_of_id = _columns.id == bindparam('of')
_of_object = sa.and_(_columns.kind == bindparam('of_kind'), _columns.object_id == bindparam('of'))

_GET = sa.select(CONSUMERS).where(
    _columns.id == bindparam('consumer'), _columns.kind == bindparam('of_kind'),
    _columns.object_id == bindparam('of'))
_OF = sa.select(CONSUMERS).where(_of_object).order_by(_columns.created, _columns.id)
_INSERT = CONSUMERS.insert()
_RENEW = CONSUMERS.update().where(_of_id)
_DELETE = CONSUMERS.delete().where(_of_id)
_FORGET = CONSUMERS.delete().where(_of_object)
_COUNT = sa.select(sa.func.count()).select_from(CONSUMERS).where(
    _columns.project_id == bindparam('project'))


def id_of(kind: str, object_id: str, *, service: str, resource_type: str, resource_id: str) -> str:
    """The id of the consumer that says this of that: the same for the same, by RFC 4122 (version 5)."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps(
        [kind, object_id, service, resource_type, resource_id])))


def get(connection: sa.Connection, kind: str, object_id: str, consumer_id: str) -> sa.Row | None:
    """One of the consumers of a thing."""
    return connection.execute(
        _GET, {'of_kind': kind, 'of': object_id, 'consumer': consumer_id}).first()


def of(connection: sa.Connection, kind: str, object_id: str) -> Sequence[sa.Row]:
    """All consumers of a thing, oldest first."""
    return connection.execute(_OF, {'of_kind': kind, 'of': object_id}).all()


def insert(connection: sa.Connection, consumer_id: str, *, kind: str, object_id: str, project_id: str,
           service: str, resource_type: str, resource_id: str, now: datetime) -> None:
    """Add a consumer that a project registers."""
    connection.execute(_INSERT, {
        'id': consumer_id, 'kind': kind, 'object_id': object_id, 'project_id': project_id,
        'service': service, 'resource_type': resource_type, 'resource_id': resource_id,
        'created': now, 'updated': now})


def renew(connection: sa.Connection, consumer_id: str, *, now: datetime) -> bool:
    """Note that a consumer was registered once more; False if there is no such one."""
    return connection.execute(_RENEW, {'of': consumer_id, 'updated': now}).rowcount == 1


def delete(connection: sa.Connection, consumer_id: str) -> None:
    """Remove a consumer."""
    connection.execute(_DELETE, {'of': consumer_id})


def forget(connection: sa.Connection, kind: str, object_id: str) -> None:
    """Remove all consumers of a thing that goes."""
    connection.execute(_FORGET, {'of_kind': kind, 'of': object_id})


def count(connection: sa.Connection, project_id: str) -> int:
    """How many consumers a project has registered."""
    return connection.execute(_COUNT, {'project': project_id}).scalar_one()


def page(connection: sa.Connection, kind: str, object_id: str, *, limit: int,
         offset: int) -> tuple[Sequence[sa.Row], int]:
    """One page of the consumers of a thing, oldest first, and how many it has."""
    return pages.page(connection, CONSUMERS, _columns.kind == kind, _columns.object_id == object_id,
                      limit=limit, offset=offset)
