# SPDX-License-Identifier: Apache-2.0
"""What projects were given of their own: quotas, and the secret store they prefer."""
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError

from km.db import pages
from km.db.models import PROJECT_SETTINGS

#: What quotas are of.
RESOURCES = ('secrets', 'orders', 'containers', 'consumers', 'cas')

_columns = PROJECT_SETTINGS.c
_of_project = _columns.project_id == bindparam('of')
_has_quotas = _columns.quotas_set.is_not(None)

_GET = sa.select(PROJECT_SETTINGS).where(_of_project)
_LOCK = PROJECT_SETTINGS.update().where(_of_project).values(project_id=_columns.project_id)
_SET = PROJECT_SETTINGS.update().where(_of_project)
_REMOVE_QUOTAS = _SET.where(_has_quotas).values(
    quotas_set=None, **dict.fromkeys(RESOURCES, sa.null()))


def get(connection: sa.Connection, project_id: str) -> sa.Row | None:
    """What a project has; None if it was never given anything."""
    return connection.execute(_GET, {'of': project_id}).first()


def lock(connection: sa.Connection, project_id: str) -> sa.Row:
    """What a project has, which nobody else can lock before this transaction ends."""
    while not connection.execute(_LOCK, {'of': project_id}).rowcount:
        with contextlib.suppress(IntegrityError), connection.begin_nested():
            connection.execute(PROJECT_SETTINGS.insert(), {'project_id': project_id})
    return connection.execute(_GET, {'of': project_id}).one()


def set_quotas(connection: sa.Connection, project_id: str, quotas: Mapping[str, int | None], *,
               now: datetime) -> None:
    """Change the quotas that are named; None unsets one. Needs a transaction."""
    lock(connection, project_id)
    connection.execute(_SET, {'of': project_id, 'quotas_set': now, **quotas})


def remove_quotas(connection: sa.Connection, project_id: str) -> bool:
    """Let the defaults hold for a project; False if they did."""
    return connection.execute(_REMOVE_QUOTAS, {'of': project_id}).rowcount == 1


def set_preferred(connection: sa.Connection, project_id: str, store: str) -> None:
    """Have a project prefer the store of that name. Needs a transaction."""
    lock(connection, project_id)
    connection.execute(_SET, {'of': project_id, 'preferred_store': store})


def unset_preferred(connection: sa.Connection, project_id: str, store: str) -> bool:
    """Have a project prefer no store; False if it did not prefer this one."""
    return connection.execute(_SET.where(_columns.preferred_store == bindparam('preferred')), {
        'of': project_id, 'preferred': store, 'preferred_store': None}).rowcount == 1


def page_of_quotas(connection: sa.Connection, *, limit: int,
                   offset: int) -> tuple[Sequence[sa.Row], int]:
    """One page of the projects that have quotas of their own, and how many have."""
    return pages.page(connection, PROJECT_SETTINGS, _has_quotas, limit=limit, offset=offset,
                      order=('project_id',))
