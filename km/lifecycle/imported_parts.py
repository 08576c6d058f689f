# SPDX-License-Identifier: Apache-2.0
"""What secrets and containers that are brought over have in common: ACLs and consumers."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, Row

from km.db import consumers
from km.db import imports as rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """An ACL of its own that a thing has.

    :param project_access: whether the project may read it.
    :param users: ids of those who may besides.
    """

    project_access: bool
    users: frozenset[str]
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Who uses a thing. Of a container's, ``service`` is the name and ``resource_id`` the URL.

    :param project_id: the project that registered it.
    """

    project_id: str
    service: str
    resource_type: str
    resource_id: str
    created: datetime
    updated: datetime


class Thing(Protocol):
    """A secret or a container to bring over."""

    @property
    def id(self) -> str: ...

    @property
    def acl(self) -> Acl | None: ...

    @property
    def consumers(self) -> Sequence[Consumer]: ...


def head(acl: Acl | None) -> dict[str, Any]:
    """The columns of a secret's or container's row that are about its ACL."""
    return {'project_access': acl.project_access if acl else True,
            'acl_created': acl.created if acl else None, 'acl_updated': acl.updated if acl else None}


def add_shared(connection: Connection, kind: str, things: Sequence[Thing]) -> None:
    """Add the users of the ACLs, and the consumers. Needs a transaction.

    :param kind: of all the things.
    """
    rows.add_acl_users(connection, [
        {'kind': kind, 'object_id': thing.id, 'user_id': user}
        for thing in things if thing.acl for user in sorted(thing.acl.users)])
    added = {row['id']: row for thing in things for row in _consumer_rows(kind, thing)}
    rows.add_consumers(connection, list(added.values()))


def shared_differences(connection: Connection, kind: str, things: Sequence[Thing],
                       there: Mapping[str, Row]) -> dict[str, list[str]]:
    """By the id of each thing: 'ACL' and 'consumers', if what km has is not the same.

    :param there: km's rows of the things, by id.
    """
    ids = [thing.id for thing in things]
    users = rows.acl_users(connection, kind, ids)
    used = rows.consumers(connection, kind, ids)
    found = {}
    for thing in things:
        row, acl = there[thing.id], thing.acl
        kept = row.project_access, {user.user_id for user in users.get(thing.id, ())}
        wanted = (acl.project_access, set(acl.users)) if acl else (True, set())
        same = {consumer.id for consumer in used.get(thing.id, ())} == {
            row['id'] for row in _consumer_rows(kind, thing)}
        found[thing.id] = ['ACL'] * (kept != wanted) + ['consumers'] * (not same)
    return found


def _consumer_rows(kind: str, thing: Thing) -> list[dict[str, Any]]:
    return [{
        'id': consumers.id_of(kind, thing.id, service=consumer.service,
                              resource_type=consumer.resource_type,
                              resource_id=consumer.resource_id),
        'kind': kind, 'object_id': thing.id, 'project_id': consumer.project_id,
        'service': consumer.service, 'resource_type': consumer.resource_type,
        'resource_id': consumer.resource_id, 'created': consumer.created,
        'updated': consumer.updated} for consumer in thing.consumers]
