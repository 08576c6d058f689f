# SPDX-License-Identifier: Apache-2.0
"""The rows of containers, and which secrets are in them.

Who holds rows of several tables takes them in this order: secrets, containers, settings of projects.
"""
import functools
import itertools
import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import (
    ACL_USERS,
    ACTIVE,
    CONSUMERS,
    CONTAINER,
    CONTAINER_SECRETS,
    CONTAINERS,
    SECRETS,
)
from km.db.pages import COMPARED, Filter, total
from km.db.secrets import ALIVE

_columns, _held = CONTAINERS.c, CONTAINER_SECRETS.c

_of_id = _columns.id == bindparam('of')
_of_project = _columns.project_id == bindparam('project')
_names_reader = sa.and_(ACL_USERS.c.kind == CONTAINER, ACL_USERS.c.user_id == bindparam('reader'))
_read_by_acl = sa.exists().where(
    _names_reader, ACL_USERS.c.object_id == _columns.id).label('read_by_acl')
_GET = sa.select(*_columns, _read_by_acl).where(_of_id)
_INSERT = CONTAINERS.insert()
_TOUCH = CONTAINERS.update().where(_of_id)
_DELETE = CONTAINERS.delete().where(_of_id)
_COUNT = sa.select(sa.func.count()).select_from(CONTAINERS).where(_of_project)
_ADD = CONTAINER_SECRETS.insert()
_of_container = _held.container_id == bindparam('of')
_EMPTY = CONTAINER_SECRETS.delete().where(_of_container)
_REMOVE = CONTAINER_SECRETS.delete().where(_of_container, _held.secret_id == bindparam('secret'))
_its_name = sa.func.coalesce(_held.name, '')
_REMOVE_NAMED = _REMOVE.where(_its_name == bindparam('named'))
_REMOVE_DEAD = CONTAINER_SECRETS.delete().where(
    _of_container, _held.secret_id.in_(sa.select(SECRETS.c.id).where(sa.not_(ALIVE))))
#: What a viewer sees of a project who does not see what others keep private.
_shown_to_reader = sa.or_(
    _columns.project_access, _columns.creator_id == bindparam('reader'),
    _columns.id.in_(sa.select(ACL_USERS.c.object_id).where(_names_reader)))


class Whole(NamedTuple):
    """A container with all that clients are shown of it.

    :param secrets: name and id of each; the name is empty if it has none.
    :param consumers: name and URL of each.
    """

    row: sa.Row
    secrets: list[tuple[str, str]]
    consumers: list[tuple[str, str]]


def get(connection: sa.Connection, container_id: str, *, reader: str | None) -> sa.Row | None:
    """A container, with ``read_by_acl``: whether its ACL names ``reader``."""
    return connection.execute(_GET, {'of': container_id, 'reader': reader}).first()


def whole(connection: sa.Connection, container_id: str, *, now: datetime) -> Whole | None:
    """A container with its secrets, those that are not there any more left out, and its consumers."""
    found = connection.execute(_WHOLE, {'of': container_id, 'now': now}).all()
    return next(iter(_gathered(found)), None)


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add an empty container."""
    connection.execute(_INSERT, {'status': ACTIVE, 'project_access': True, **values})


def add(connection: sa.Connection, container_id: str, members: Mapping[str, str]) -> None:
    """Put secrets into a container. Needs a transaction that keeps them from being deleted.

    :param members: their ids by their names in it.
    :raises IntegrityError: one of them, or its name, is in there already.
    """
    rows = [{'container_id': container_id, 'secret_id': secret_id, 'name': name or None}
            for name, secret_id in members.items()]
    if rows:
        connection.execute(_ADD, rows)


def touch(connection: sa.Connection, container_id: str, *, now: datetime) -> bool:
    """Note that something about a container changes, and keep others from changing it until the
    transaction ends; False if it is gone."""
    return connection.execute(_TOUCH, {'of': container_id, 'updated': now}).rowcount == 1


def forget_dead(connection: sa.Connection, container_id: str, *, now: datetime) -> None:
    """Take out the secrets that are gone for clients but not yet swept, so that their names are free."""
    connection.execute(_REMOVE_DEAD, {'of': container_id, 'now': now})


def remove(connection: sa.Connection, container_id: str, *, name: str | None, secret: str) -> bool:
    """Take a secret out of a container; False if it is not in there.

    :param name: what it must be called there; None for any name.
    """
    values = {'of': container_id, 'secret': secret}
    if name is None:
        return connection.execute(_REMOVE, values).rowcount == 1
    return connection.execute(_REMOVE_NAMED, {**values, 'named': name}).rowcount == 1


def empty(connection: sa.Connection, container_id: str) -> None:
    """Take all secrets out of a container. Needs a transaction that keeps others from changing it."""
    connection.execute(_EMPTY, {'of': container_id})


def delete(connection: sa.Connection, container_id: str) -> bool:
    """Remove a container, out of which its secrets fall; False if it is gone.

    Its ACL is ``km.db.acls``'s, its consumers are ``km.db.consumers``'s.
    """
    return connection.execute(_DELETE, {'of': container_id}).rowcount == 1


def count(connection: sa.Connection, project_id: str) -> int:
    """How many containers a project has."""
    return connection.execute(_COUNT, {'project': project_id}).scalar_one()


def page(connection: sa.Connection, project_id: str, *, reader: str | None, sees_private: bool,
         filters: Sequence[Filter], now: datetime, limit: int, offset: int) -> tuple[list[Whole], int]:
    """One page of a project's containers that pass all filters, oldest first, and how many do.

    :param sees_private: whether ``reader`` sees those that others keep private.
    """
    counted, rows = _page(sees_private, tuple(wanted[:2] for wanted in filters))
    values = {'project': project_id, 'reader': reader,
              **{f'value{number}': wanted.value for number, wanted in enumerate(filters)}}
    found = _gathered(connection.execute(
        rows, {**values, 'now': now, 'limit': limit, 'offset': offset}).all())
    return found, total(connection, counted, values, shown=len(found), limit=limit, offset=offset)


@functools.lru_cache(maxsize=100)
def _page(sees_private: bool,
          filters: tuple[tuple[str, str], ...]) -> tuple[sa.Select, sa.CompoundSelect]:
    """The statements for the total and for a page, of one kind of list."""
    passed = [_of_project, sa.true() if sees_private else _shown_to_reader, *(
        COMPARED[compared](_columns[name], bindparam(f'value{number}', type_=_columns[name].type))
        for number, (name, compared) in enumerate(filters))]
    return (
        sa.select(sa.func.count()).select_from(CONTAINERS).where(*passed),
        _with_contents(sa.select(CONTAINERS).where(*passed).order_by(_columns.created, _columns.id)
                       .limit(bindparam('limit')).offset(bindparam('offset'))))


def _with_contents(containers: sa.Select) -> sa.CompoundSelect:
    """A row for each container and each of its secrets, and one for each of its consumers.

    Two parts, and not one join: that would have each secret once with each consumer.
    """
    page, found = containers.cte('page'), CONSUMERS.c
    shown = [column.label(column.name) for column in page.c]  # SQLite sorts a union by labels alone
    there = CONTAINER_SECRETS.join(SECRETS, sa.and_(SECRETS.c.id == _held.secret_id, ALIVE))
    return sa.union_all(
        sa.select(*shown, sa.literal_column("'secret'").label('held'),
                  _its_name.label('its_name'), _held.secret_id.label('what'))
        .select_from(page.outerjoin(there, _held.container_id == page.c.id)),
        sa.select(*shown, sa.literal_column("'consumer'"), found.service, found.resource_id)
        .select_from(page.join(CONSUMERS, sa.and_(
            found.kind == CONTAINER, found.object_id == page.c.id)))
        ).order_by('created', 'id', 'held', 'its_name', 'what')


_WHOLE = _with_contents(sa.select(CONTAINERS).where(_of_id))


def _gathered(found: Sequence[sa.Row]) -> list[Whole]:
    """Containers from the rows of ``_with_contents``."""
    gathered = []
    for _, group in itertools.groupby(found, key=operator.attrgetter('id')):
        rows = list(group)
        gathered.append(Whole(rows[0], *(
            [(row.its_name, row.what) for row in rows if row.held == held and row.what is not None]
            for held in ('secret', 'consumer'))))
    return gathered
