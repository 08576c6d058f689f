# SPDX-License-Identifier: Apache-2.0
"""The certificate authorities that projects have chosen, of which one is preferred.

Whoever changes what a project has chosen holds ``km.db.settings.lock`` of it.
"""
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from km.db.models import AUTHORITIES, PROJECT_AUTHORITIES

_columns = PROJECT_AUTHORITIES.c


def of(connection: sa.Connection, project_id: str) -> dict[str, bool]:
    """Whether each that a project has chosen is the preferred one, by id, the first chosen first."""
    return {row.authority_id: bool(row.is_preferred) for row in connection.execute(
        sa.select(_columns.authority_id, _columns.is_preferred).where(
            _columns.project_id == project_id).order_by(_columns.created, _columns.authority_id))}


def preferred(connection: sa.Connection, project_id: str) -> sa.Row | None:
    """The authority that a project prefers."""
    return connection.execute(sa.select(AUTHORITIES).where(
        AUTHORITIES.c.id == _columns.authority_id, _columns.project_id == project_id,
        _columns.is_preferred)).first()


def projects(connection: sa.Connection, authority_id: str) -> Sequence[str]:
    """The projects that have chosen an authority, by id."""
    return connection.execute(sa.select(_columns.project_id).where(
        _columns.authority_id == authority_id).order_by(_columns.project_id)).scalars().all()


def add(connection: sa.Connection, project_id: str, authority_id: str, *, preferred: bool,
        now: datetime) -> None:
    """Have a project choose an authority that it has not chosen yet."""
    connection.execute(PROJECT_AUTHORITIES.insert(), {
        'project_id': project_id, 'authority_id': authority_id, 'is_preferred': preferred or None,
        'created': now})


def remove(connection: sa.Connection, project_id: str, authority_id: str) -> None:
    """Have a project choose an authority no more."""
    connection.execute(PROJECT_AUTHORITIES.delete().where(
        _columns.project_id == project_id, _columns.authority_id == authority_id))


def prefer(connection: sa.Connection, project_id: str, authority_id: str) -> None:
    """Make one that a project has chosen the one that it prefers."""
    of_project = PROJECT_AUTHORITIES.update().where(_columns.project_id == project_id)
    connection.execute(of_project.where(_columns.is_preferred).values(is_preferred=None))
    connection.execute(of_project.where(
        _columns.authority_id == authority_id).values(is_preferred=True))


def forget(connection: sa.Connection, project_id: str) -> None:
    """Have a project choose none."""
    connection.execute(PROJECT_AUTHORITIES.delete().where(_columns.project_id == project_id))
