# SPDX-License-Identifier: Apache-2.0
"""The rows of certificate authorities: what plugins said of them, and whose the subordinates are.

Which of them a project has chosen is ``km.db.chosen_authorities``.
"""
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from km.db import pages
from km.db.models import (
    ACTIVE,
    AUTHORITIES,
    CERTIFICATE_ORDERS,
    CERTIFICATES,
    DELETING,
    DISABLED,
    ORDERS,
    PENDING,
    PROJECT_AUTHORITIES,
    STORING,
)

#: What a row is found by beside its id: the operator's name of the plugin, and the plugin's own name.
Key = tuple[str, str]

_columns = AUTHORITIES.c
_exists = _columns.status.in_((ACTIVE, DISABLED))
_is_root = _columns.project_id.is_(None)
#: What of a subordinate its plugin says; the rest is its owner's.
_SIGNS = ('certificate', 'chain', 'not_after')


def get(connection: sa.Connection, authority_id: str) -> sa.Row | None:
    """An authority that exists for clients."""
    return _one(connection, _columns.id == authority_id, _exists)


def held(connection: sa.Connection, authority_id: str) -> sa.Row | None:
    """The same; a subordinate, which its project may delete, stays until the transaction ends."""
    row = get(connection, authority_id)
    if row is None or row.project_id is None:
        return row
    taken = connection.execute(AUTHORITIES.update().where(
        _columns.id == authority_id, _exists).values(id=_columns.id)).rowcount
    return get(connection, authority_id) if taken else None


def state(connection: sa.Connection, authority_id: str) -> sa.Row | None:
    """Where an authority stands, whether clients can see it or not."""
    return _one(connection, _columns.id == authority_id)


def first(connection: sa.Connection, plugins: Sequence[str]) -> sa.Row | None:
    """The first active root authority of the first of these plugins that has one."""
    order = sa.case({name: place for place, name in enumerate(plugins)}, value=_columns.plugin_name)
    return connection.execute(sa.select(AUTHORITIES).where(
        _is_root, _columns.status == ACTIVE, _columns.plugin_name.in_(plugins),
    ).order_by(order, _columns.created, _columns.id).limit(1)).first() if plugins else None


def global_preferred(connection: sa.Connection) -> sa.Row | None:
    """The authority of projects that prefer none."""
    return _one(connection, _columns.is_global_preferred)


def prefer_globally(connection: sa.Connection, authority_id: str | None) -> None:
    """Make a root authority the global preferred one, or with None have none.

    Needs a transaction that nobody else can be in, to the same end.
    """
    connection.execute(AUTHORITIES.update().where(
        _columns.is_global_preferred, _columns.id != (authority_id or ''),
    ).values(is_global_preferred=None))
    if authority_id is not None:
        connection.execute(AUTHORITIES.update().where(
            _columns.id == authority_id, _exists, _is_root).values(is_global_preferred=True))


def page(connection: sa.Connection, *, project_id: str | None, filters: Sequence[pages.Filter],
         limit: int, offset: int) -> tuple[Sequence[sa.Row], int]:
    """One page of authorities, oldest first, and how many there are.

    :param project_id: its own subordinates, and those that it has chosen; if it has chosen none, all
        root ones. None for all there are.
    """
    conditions: list[sa.ColumnElement[bool]] = [_exists]
    if project_id is not None:
        chosen = sa.select(PROJECT_AUTHORITIES.c.authority_id).where(
            PROJECT_AUTHORITIES.c.project_id == project_id)
        conditions.append(sa.or_(
            _columns.project_id == project_id, _columns.id.in_(chosen),
            sa.and_(_is_root, sa.not_(chosen.exists()))))
    return pages.page(
        connection, AUTHORITIES, *conditions, filters=filters, limit=limit, offset=offset)


def count(connection: sa.Connection, project_id: str) -> int:
    """How many subordinates a project has, those that are being made among them."""
    return connection.execute(sa.select(sa.func.count()).select_from(AUTHORITIES).where(
        _columns.project_id == project_id, _columns.status != DELETING)).scalar_one()


def of_project(connection: sa.Connection, project_id: str) -> Sequence[sa.Row]:
    """Every subordinate of a project, in whatever state, each before what is above it."""
    found = {row.id: row for row in connection.execute(sa.select(AUTHORITIES).where(
        _columns.project_id == project_id))}

    def depth(row: sa.Row) -> int:
        above = found.get(row.parent_id)
        return 0 if above is None else 1 + depth(above)

    return sorted(found.values(), key=depth, reverse=True)


# ---- the life of a subordinate


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add a subordinate that its plugin is about to make; ``intent`` is who has it made."""
    connection.execute(AUTHORITIES.insert(), {'status': STORING, **values})


def activate(connection: sa.Connection, authority_id: str, *, intent: str, **described: Any) -> bool:
    """Record that a subordinate is made; False if ``intent`` was taken for dead.

    :param described: what there is to say of it now.
    """
    return connection.execute(_of_intent(authority_id, intent).values(
        status=ACTIVE, intent=None, intent_at=None, **described)).rowcount == 1


def mark_deleting(connection: sa.Connection, authority_id: str, *, intent: str, now: datetime) -> bool:
    """Make a subordinate invisible on its way out; False if it is so already."""
    return connection.execute(AUTHORITIES.update().where(
        _columns.id == authority_id, _exists, sa.not_(_is_root),
    ).values(status=DELETING, intent=intent, intent_at=now)).rowcount == 1


def delete(connection: sa.Connection, authority_id: str) -> None:
    """Remove the row of an authority that clients cannot see."""
    connection.execute(AUTHORITIES.delete().where(_columns.id == authority_id, sa.not_(_exists)))


def has_subordinates(connection: sa.Connection, authority_id: str) -> bool:
    """Whether there is one under it, in whatever state."""
    return _one(connection, _columns.parent_id == authority_id) is not None


def has_pending_orders(connection: sa.Connection, authority_id: str) -> bool:
    """Whether certificates were ordered of it that it has not issued yet."""
    return connection.execute(sa.select(sa.literal(1)).where(
        CERTIFICATE_ORDERS.c.authority_id == authority_id,
        CERTIFICATE_ORDERS.c.order_id == ORDERS.c.id, ORDERS.c.status == PENDING,
    ).limit(1)).first() is not None


def abandoned(connection: sa.Connection, *, before: datetime, page: int) -> Sequence[sa.Row]:
    """Authorities that were begun to be made, or to be removed, before that time, oldest first."""
    return connection.execute(sa.select(AUTHORITIES).where(
        _columns.intent_at < before).order_by(_columns.intent_at).limit(page)).all()


def take_over(connection: sa.Connection, row: sa.Row, *, intent: str, now: datetime) -> bool:
    """Make an abandoned intent one's own; False if somebody did, or it came back to life."""
    return connection.execute(_of_intent(row.id, row.intent).values(
        intent=intent, intent_at=now)).rowcount == 1


# ---- what plugins say


def unheard(connection: sa.Connection, plugins: Collection[str], *, now: datetime) -> set[str]:
    """Those of some plugins that are to be asked: they never were, or what they said is out of date."""
    heard = connection.execute(sa.select(_columns.plugin_name).where(
        _columns.plugin_name.in_(plugins)).distinct()).scalars().all()
    aged = connection.execute(sa.select(_columns.plugin_name).where(
        _columns.plugin_name.in_(plugins), _exists,
        sa.or_(_columns.expiration.is_(None), _columns.expiration <= now),
    ).distinct()).scalars().all()
    return (set(plugins) - set(heard)) | set(aged)


def outdated(connection: sa.Connection, told: Mapping[str, Mapping[str, Mapping[str, Any]]], *,
             enabled: Collection[str] | None, made: Collection[Key], now: datetime,
             until: datetime) -> list[sa.Executable]:
    """The statements that make the rows say what plugins told; none if they say so already.

    :param told: by plugin and name: what there is to say of an authority.
    :param enabled: all plugins there are, those among them that could not tell; what any other had is
        gone. None for leaving all others alone.
    :param made: what may only be a subordinate: never a new root authority, which all could use.
    :param until: how long it holds.
    """
    rows = {(row.plugin_name, row.plugin_ca_id): row
            for row in connection.execute(sa.select(AUTHORITIES)).all()}
    known = {(plugin, name): described for plugin, authorities in told.items()
             for name, described in authorities.items()}
    # Those of one plugin are in its order: the first one is the usual one.
    found: list[sa.Executable] = [
        AUTHORITIES.insert().values(
            id=str(uuid.uuid4()), plugin_name=key[0], plugin_ca_id=key[1], status=ACTIVE,
            created=now + timedelta(microseconds=place), updated=now, expiration=until, **described)
        for place, (key, described) in enumerate(known.items()) if key not in rows and key not in made]
    parents = {row.parent_id for row in rows.values()}
    for key, row in sorted(rows.items()):
        if row.status not in (ACTIVE, DISABLED):
            continue
        if key in known:
            wanted = {name: value for name, value in known[key].items()
                      if row.project_id is None or name in _SIGNS} | {'status': ACTIVE}
            found += _changed(row, wanted, now=now, until=until)
        elif key[0] in told and row.project_id is not None:  # no plugin has to tell of subordinates
            found += _changed(row, {'status': ACTIVE}, now=now, until=until)
        elif key[0] in told or (enabled is not None and key[0] not in enabled):
            if not (row.id in parents or row.project_id or row.is_global_preferred):
                found.append(_delete_unless_chosen(row.id))
            # Its plugin is asked as soon as it is there again.
            found += _changed(row, {'status': DISABLED}, now=now,
                              until=until if key[0] in told else None)
    return found


def _changed(row: sa.Row, wanted: Mapping[str, Any], *, now: datetime,
             until: datetime | None) -> list[sa.Executable]:
    differs = any(row._mapping[column] != value for column, value in wanted.items())
    aged = row.expiration is None or row.expiration <= now
    if not differs and (not aged or row.expiration == until):
        return []
    return [AUTHORITIES.update().where(_columns.id == row.id, _exists).values(
        **wanted, expiration=until, updated=now if differs else row.updated)]


def _delete_unless_chosen(authority_id: str) -> sa.Delete:
    """Nobody has it any more: it goes, unless a project has chosen it, or ordered of it."""
    return AUTHORITIES.delete().where(_columns.id == authority_id, *(
        sa.not_(sa.exists().where(column == authority_id))
        for column in (PROJECT_AUTHORITIES.c.authority_id, CERTIFICATE_ORDERS.c.authority_id,
                       CERTIFICATES.c.authority_id)))


def _of_intent(authority_id: str, intent: str) -> sa.Update:
    return AUTHORITIES.update().where(_columns.id == authority_id, _columns.intent == intent)


def _one(connection: sa.Connection, *conditions: sa.ColumnElement) -> sa.Row | None:
    return connection.execute(sa.select(AUTHORITIES).where(*conditions)).first()
