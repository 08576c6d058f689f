# SPDX-License-Identifier: Apache-2.0
"""What is in a Barbican database, as km would have it, a page at a time.

Of each page every table is asked once. What Barbican itself shows nobody any more, deleted or expired,
is told apart from what km cannot take. Why it cannot is the end of a sentence that begins with what it
is; in here such a reason is the sentence of a ``Rejected`` or ``CannotOpen``.
"""
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from km.barbican import tables
from km.barbican.database import Database
from km.barbican.payloads import Payloads
from km.errors import CannotOpen, Rejected
from km.lifecycle.imported_containers import Container
from km.lifecycle.imported_parts import Acl, Consumer
from km.lifecycle.imports import LEFT, Outcome, Secret

PAGE = 100

_SECRET_TYPES = ('symmetric', 'public', 'private', 'passphrase', 'certificate', 'opaque')
#: km makes a container of a pair of DSA keys like this too.
_CONTAINER_TYPES = {'generic': 'generic', 'rsa': 'rsa', 'certificate': 'certificate', 'dsa': 'generic'}

_Thing = TypeVar('_Thing')
_ById = Mapping[str, Sequence[sa.Row]]


class Page(NamedTuple, Generic[_Thing]):
    """A page of what there is.

    :param found: what to bring over.
    :param left: what km cannot take, and why.
    :param deleted: ids of what was deleted.
    :param expired: ids of what is past its expiration.
    """

    found: list[_Thing]
    left: list[Outcome]
    deleted: list[str]
    expired: list[str]


def secrets(database: Database, payloads: Payloads, *, now: datetime) -> Iterator[Page[Secret]]:
    """All secrets, the payloads opened.

    :raises Unavailable: the database, or what opens payloads, does not answer.
    """
    for rows in database.pages(tables.SECRETS, PAGE):
        page: Page[Secret] = Page([], [], [], [])
        alive = _alive(rows, page, now)
        made = _Secrets(database, payloads, alive)
        for row in alive:
            try:
                page.found.append(made.made(row))
            except (CannotOpen, Rejected) as reason:
                page.left.append(Outcome(row.id, LEFT, reason.sentence))
        yield page


def containers(database: Database, *, now: datetime) -> Iterator[Page[Container]]:
    """All containers. Secrets in them that are deleted or expired are left out.

    :raises Unavailable: the database does not answer.
    """
    for rows in database.pages(tables.CONTAINERS, PAGE):
        page: Page[Container] = Page([], [], [], [])
        alive = _alive(rows, page, now)
        made = _Containers(database, alive, now)
        for row in alive:
            try:
                page.found.append(made.made(row))
            except Rejected as reason:
                page.left.append(Outcome(row.id, LEFT, reason.sentence))
        yield page


def quotas(database: Database) -> Iterator[Sequence[tuple[str, dict[str, int | None]]]]:
    """The quotas of projects, by Keystone's id of each.

    :raises Unavailable: the database does not answer.
    """
    for rows in database.pages(tables.QUOTAS, PAGE):
        alive = [row for row in rows if not row.deleted]
        projects = _projects(database, [row.project_id for row in alive])
        yield [(projects[row.project_id], {
            name: getattr(row, name)
            for name in ('secrets', 'orders', 'containers', 'consumers', 'cas')})
            for row in alive if row.project_id in projects]


def _alive(rows: Sequence[sa.Row], page: Page, now: datetime) -> list[sa.Row]:
    """What is neither deleted nor expired; ``page`` gets the rest."""
    alive = []
    for row in rows:
        if row.deleted:
            page.deleted.append(row.id)
        elif _is_expired(row, now):
            page.expired.append(row.id)
        else:
            alive.append(row)
    return alive


def _is_expired(row: sa.Row, now: datetime) -> bool:
    expiration = getattr(row, 'expiration', None)
    return expiration is not None and expiration <= now


def _projects(database: Database, ids: Sequence[str | None]) -> dict[str, str]:
    """Keystone's ids of projects by Barbican's."""
    found = database.of(tables.PROJECTS, 'id', ids)
    return {known: rows[0].external_id for known, rows in found.items() if rows[0].external_id}


class _Secrets:
    """What it takes to make the secrets of one page."""

    def __init__(self, database: Database, payloads: Payloads, rows: Sequence[sa.Row]):
        ids = [row.id for row in rows]
        self._store = database.of(tables.SECRET_STORE_METADATA, 'secret_id', ids)
        self._user = database.of(tables.SECRET_USER_METADATA, 'secret_id', ids)
        self._consumers = database.of(tables.SECRET_CONSUMERS, 'secret_id', ids)
        self._acls = _Acls(database, tables.SECRET_ACLS, tables.SECRET_ACL_USERS, 'secret_id', ids)
        self._projects = _projects(database, [
            *(row.project_id for row in rows), *_registrants(self._consumers)])
        self._payloads = payloads.page(ids)

    def made(self, row: sa.Row) -> Secret:
        """The secret of a row.

        :raises CannotOpen: its payload does not open.
        """
        _require_fitting(row, row.secret_type or 'opaque', _SECRET_TYPES)
        store = {found.key: found.value for found in self._store.get(row.id, ())}
        payload, content_type = self._payloads.of(row.id, store)
        project = _project_of(row, self._projects)
        return Secret(
            id=row.id, project_id=project, creator_id=row.creator_id, name=row.name,
            secret_type=row.secret_type or 'opaque', algorithm=row.algorithm, mode=row.mode,
            bit_length=row.bit_length, content_type=content_type, expiration=row.expiration,
            created=row.created_at, updated=row.updated_at, payload=payload,
            metadata={found.key: found.value for found in self._user.get(row.id, ())},
            acl=self._acls.of(row.id),
            consumers=[Consumer(
                project_id=self._projects.get(found.project_id, project), service=found.service,
                resource_type=found.resource_type, resource_id=found.resource_id,
                created=found.created_at, updated=found.updated_at)
                for found in self._consumers.get(row.id, ())])


class _Containers:
    """What it takes to make the containers of one page."""

    def __init__(self, database: Database, rows: Sequence[sa.Row], now: datetime):
        ids = [row.id for row in rows]
        self._members = database.of(tables.CONTAINER_SECRETS, 'container_id', ids)
        inside = [found.secret_id for members in self._members.values() for found in members]
        self._alive = {secret for secret, (row, *_) in database.of(
            tables.SECRETS, 'id', inside).items() if not _is_expired(row, now)}
        self._consumers = database.of(tables.CONTAINER_CONSUMERS, 'container_id', ids)
        self._acls = _Acls(
            database, tables.CONTAINER_ACLS, tables.CONTAINER_ACL_USERS, 'container_id', ids)
        self._projects = _projects(database, [
            *(row.project_id for row in rows), *_registrants(self._consumers)])

    def made(self, row: sa.Row) -> Container:
        """The container of a row."""
        _require_fitting(row, row.type, _CONTAINER_TYPES)
        project = _project_of(row, self._projects)
        return Container(
            id=row.id, project_id=project, creator_id=row.creator_id, name=row.name,
            type=_CONTAINER_TYPES[row.type], created=row.created_at, updated=row.updated_at,
            members=self._inside(row.id), acl=self._acls.of(row.id),
            consumers=[Consumer(
                project_id=self._projects.get(found.project_id, project),
                service=found.name or '', resource_type='', resource_id=found.URL or '',
                created=found.created_at, updated=found.updated_at)
                for found in self._consumers.get(row.id, ())])

    def _inside(self, container_id: str) -> list[tuple[str | None, str]]:
        inside = [(found.name or None, found.secret_id)
                  for found in self._members.get(container_id, ()) if found.secret_id in self._alive]
        secrets = [secret for _, secret in inside]
        names = [name for name, _ in inside if name]
        if len(set(secrets)) < len(secrets) or len(set(names)) < len(names):
            raise Rejected('it has a secret or a name twice, which km does not allow; '
                            'take one out in Barbican and run again')
        return inside


class _Acls:
    """The ACLs of one page of things. The one operation there is is to read."""

    def __init__(self, database: Database, heads: sa.TableClause, users: sa.TableClause, column: str,
                 ids: Sequence[str]):
        found = database.of(heads, column, ids)
        self._heads = {thing: row for thing, rows in found.items()
                       for row in rows if row.operation == 'read'}
        self._users = database.of(users, 'acl_id', [row.id for row in self._heads.values()])

    def of(self, thing_id: str) -> Acl | None:
        """The ACL of a thing."""
        head = self._heads.get(thing_id)
        return None if head is None else Acl(
            project_access=bool(head.project_access), created=head.created_at,
            updated=head.updated_at,
            users=frozenset(row.user_id for row in self._users.get(head.id, ())))


def _registrants(consumers: _ById) -> list[str | None]:
    return [row.project_id for rows in consumers.values() for row in rows]


def _require_fitting(row: sa.Row, kind: str | None, kinds: Mapping[str, str] | Sequence[str]) -> None:
    if not _is_id(row.id):
        raise Rejected('its id is no lower-case UUID')
    if row.status != 'ACTIVE':
        raise Rejected(f'its status is {row.status}')
    if kind not in kinds:
        raise Rejected(f"km has no type '{kind}'")


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _project_of(row: sa.Row, projects: Mapping[str, str]) -> str:
    if row.project_id not in projects:
        raise Rejected('its project is not known')
    return projects[row.project_id]
