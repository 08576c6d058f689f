# SPDX-License-Identifier: Apache-2.0
"""What a project has in every table, for the day when it goes."""
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import (
    ACTIVE,
    CERTIFICATES,
    CONSUMERS,
    CONTAINERS,
    DELETING,
    ORDERS,
    PROJECT_AUTHORITIES,
    PROJECT_SETTINGS,
    SECRETS,
)

_PAGES = {table: sa.select(table.c.id, table.c.status).where(
    table.c.project_id == bindparam('project'), table.c.id > bindparam('after'),
).order_by(table.c.id).limit(bindparam('page')) for table in (SECRETS, CONTAINERS)}

_KEPT = sa.select(SECRETS.c.id, SECRETS.c.reference).where(
    SECRETS.c.project_id == bindparam('project'), SECRETS.c.store == bindparam('store'),
    SECRETS.c.reference.is_not(None), SECRETS.c.status == ACTIVE, SECRETS.c.id > bindparam('after'),
).order_by(SECRETS.c.id).limit(bindparam('page'))

_UNSETTLED = sa.select(sa.func.count()).select_from(SECRETS).where(
    SECRETS.c.project_id == bindparam('project'), sa.or_(
        SECRETS.c.intent.is_not(None), SECRETS.c.status != ACTIVE,
        SECRETS.c.expiration <= bindparam('now')))


def page(connection: sa.Connection, table: sa.Table, project_id: str, *, after: str,
         page: int) -> Sequence[sa.Row]:
    """Id and status of a project's secrets or containers, in whatever state, by id.

    :param after: the id before the first one; '' for the beginning.
    """
    return connection.execute(
        _PAGES[table], {'project': project_id, 'after': after, 'page': page}).all()


def kept(connection: sa.Connection, project_id: str, *, store: str, after: str,
         page: int) -> Sequence[sa.Row]:
    """Id and reference of the secrets of a project that have their payload in a store, by id.

    :param after: the id before the first one; '' for the beginning.
    """
    return connection.execute(_KEPT, {
        'project': project_id, 'store': store, 'after': after, 'page': page}).all()


def unsettled(connection: sa.Connection, project_id: str, *, now: datetime) -> int:
    """How many secrets of a project are on their way into a store or out of it, or have expired."""
    return connection.execute(_UNSETTLED, {'project': project_id, 'now': now}).scalar_one()


def has_secrets(connection: sa.Connection, project_id: str) -> bool:
    """Whether a project has a secret, in whatever state."""
    return connection.execute(
        _PAGES[SECRETS], {'project': project_id, 'after': '', 'page': 1}).first() is not None


def forget(connection: sa.Connection, project_id: str) -> None:
    """Remove its orders, its settings, what it knows of certificates and authorities, and what it
    registered as consumers of others' things. Orders that an authority may be at are given up first."""
    connection.execute(ORDERS.delete().where(
        ORDERS.c.project_id == project_id, ORDERS.c.status != DELETING))
    for table in (CERTIFICATES, PROJECT_AUTHORITIES, CONSUMERS, PROJECT_SETTINGS):
        connection.execute(table.delete().where(table.c.project_id == project_id))
