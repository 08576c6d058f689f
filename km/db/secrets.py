# SPDX-License-Identifier: Apache-2.0
"""The rows of secrets: what one request or one step of the lifecycle asks of them, a function each.

Statements that requests run are built once, here: building one costs as much as running it.
"""
import functools
import itertools
import json
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
    DELETING,
    HELD,
    PROJECT_SETTINGS,
    SECRET,
    SECRETS,
    STORING,
)
from km.db.pages import COMPARED, Filter, total

_columns = SECRETS.c

_of_id = _columns.id == bindparam('of')
_of_intent = sa.and_(_of_id, _columns.intent == bindparam('by'))
_no_intent = _columns.intent.is_(None)
_names_reader = sa.and_(ACL_USERS.c.kind == SECRET, ACL_USERS.c.user_id == bindparam('reader'))
# The state stands in the SQL itself: with a parameter there, no plan could use a partial index.
_active = _columns.status == sa.literal_column(f"'{ACTIVE}'")
_lasting, _running = _columns.expiration.is_(None), _columns.expiration > bindparam('now')
#: Whether a secret exists for clients; needs the parameter ``now``.
ALIVE = sa.and_(_active, sa.or_(_lasting, _running))

_read_by_acl = sa.exists().where(
    _names_reader, ACL_USERS.c.object_id == _columns.id).label('read_by_acl')
_GET_WHOLE = sa.select(*_columns, _read_by_acl).where(_of_id, ALIVE)
# Each column costs as much as it does to fetch it, and most requests need none of the description.
_GET = sa.select(
    _columns.id, _columns.project_id, _columns.creator_id, _columns.project_access,
    _columns.acl_created, _columns.acl_updated, _columns.content_type, _columns.store,
    _columns.reference, _read_by_acl).where(_of_id, ALIVE)
_INSERT = SECRETS.insert()
_INSERT_UNLESS_SETTLED = SECRETS.insert().from_select(
    [column.name for column in _columns],
    sa.select(*(bindparam(column.name, None, column.type) for column in _columns)).where(
        ~sa.exists().where(PROJECT_SETTINGS.c.project_id == bindparam('project_id')))).execution_options(
            preserve_rowcount=True)  # psycopg's cursor forgets it otherwise
_ACTIVATE = SECRETS.update().where(_of_intent, _columns.status == STORING)
_HELD = SECRETS.update().where(_of_id, _columns.status == HELD)
_CLAIM_PAYLOAD = SECRETS.update().where(
    _of_id, _columns.status == ACTIVE, _columns.reference.is_(None), _no_intent)
_SET_PAYLOAD = SECRETS.update().where(_of_intent, _columns.status == ACTIVE)
_MARK_DELETING = SECRETS.update().where(_of_id, _columns.status == ACTIVE).values(
    intent=sa.func.coalesce(_columns.intent, bindparam('new_intent')))
_STATE = sa.select(
    _columns.id, _columns.project_id, _columns.status, _columns.store, _columns.reference,
    _columns.other_store, _columns.intent)
_TO_BE_FILLED = sa.select(
    _columns.secret_type, _columns.algorithm, _columns.bit_length, PROJECT_SETTINGS.c.preferred_store
    ).select_from(SECRETS.outerjoin(
        PROJECT_SETTINGS, PROJECT_SETTINGS.c.project_id == _columns.project_id)).where(_of_id)
_DELETE = SECRETS.delete().where(_of_id)
_TOUCH = SECRETS.update().where(_of_id, _columns.status == ACTIVE)
_there = sa.and_(_columns.id.in_(bindparam('ids', expanding=True)),
                 _columns.project_id == bindparam('project'), ALIVE)
# An update that changes nothing: the one lock of rows that all three databases have.
_HOLD = SECRETS.update().where(_there).values(status=_columns.status)
_THERE = sa.select(_columns.id).where(_there)
_ABANDONED = _STATE.where(_columns.intent_at < bindparam('before')).order_by(
    _columns.intent_at).limit(bindparam('page'))
_EXPIRED = sa.select(_columns.id).where(
    _columns.expiration <= bindparam('now'), _columns.status == ACTIVE).order_by(
    _columns.expiration).limit(bindparam('page'))
_COUNT = sa.select(sa.func.count()).select_from(SECRETS).where(
    _columns.project_id == bindparam('project'), _columns.status != DELETING,
    sa.or_(_lasting, _running))

_shared = _columns.id.in_(sa.select(ACL_USERS.c.object_id).where(_names_reader))
_of_project = _columns.project_id == bindparam('project')
_open, _private = _columns.project_access, sa.not_(_columns.project_access)
#: What there is to see: whose secrets, and which of the open and of the private ones.
_SEEN = {
    'all of the project': (_of_project, sa.true(), sa.true()),
    'open of the project': (
        _of_project, sa.true(), sa.or_(_columns.creator_id == bindparam('reader'), _shared)),
    'shared by others': (_columns.project_id != bindparam('project'), _shared, _shared),
}


class Viewer(NamedTuple):
    """Who looks at a list, and what of it is there for them.

    :param sees: 'all of the project'; 'open of the project', which is what others do not keep
        private; or 'shared by others', secrets of other projects whose ACL names the user.
    """

    project_id: str
    user_id: str | None
    sees: str


def get(connection: sa.Connection, secret_id: str, *, reader: str | None, now: datetime,
        whole: bool) -> sa.Row | None:
    """An active, unexpired secret, with ``read_by_acl``: whether its ACL names ``reader``.

    :param whole: with its description; else with what it takes to decide, to read and to delete.
    """
    return connection.execute(
        _GET_WHOLE if whole else _GET, {'of': secret_id, 'reader': reader, 'now': now}).first()


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add a secret. With ``intent`` it is on its way into a store and exists for nobody yet."""
    connection.execute(_INSERT, _new(values))


def insert_unless_settled(connection: sa.Connection, **values: Any) -> bool:
    """Add a secret, see ``insert``; False, and nothing added, if its project has settings."""
    return connection.execute(_INSERT_UNLESS_SETTLED, _new(values)).rowcount == 1


def _new(values: dict[str, Any]) -> dict[str, Any]:
    return {'status': STORING if values.get('intent') else ACTIVE, 'project_access': True, **values}


def activate(connection: sa.Connection, secret_id: str, *, intent: str,
             reference: Mapping[str, str | int]) -> bool:
    """Record that a new secret is stored; False if ``intent`` was taken for dead."""
    return connection.execute(_ACTIVATE, {
        'of': secret_id, 'by': intent, 'status': ACTIVE, 'reference': json.dumps(dict(reference)),
        'intent': None, 'intent_at': None}).rowcount == 1


def hold_for_order(connection: sa.Connection, secret_id: str, *, intent: str,
                   reference: Mapping[str, str | int]) -> bool:
    """Record that a new secret is stored and exists for its order alone; False as in ``activate``."""
    return connection.execute(_ACTIVATE, {
        'of': secret_id, 'by': intent, 'status': HELD, 'reference': json.dumps(dict(reference)),
        'intent': None, 'intent_at': None}).rowcount == 1


def release(connection: sa.Connection, secret_id: str) -> bool:
    """Let a secret that was held exist for clients; False if it is not held."""
    return connection.execute(_HELD, {'of': secret_id, 'status': ACTIVE}).rowcount == 1


def drop_held(connection: sa.Connection, secret_id: str, *, intent: str, now: datetime) -> None:
    """Have a secret that is held erased, for its order has come to nothing."""
    connection.execute(_HELD, {
        'of': secret_id, 'status': DELETING, 'intent': intent, 'intent_at': now})


def to_be_filled(connection: sa.Connection, secret_id: str) -> sa.Row | None:
    """What a store is told of a secret, and ``preferred_store`` of its project, if it has one."""
    return connection.execute(_TO_BE_FILLED, {'of': secret_id}).first()


def claim_payload(connection: sa.Connection, secret_id: str, *, store: str, intent: str,
                  now: datetime) -> bool:
    """Begin to give a secret its payload; False if it has one, or somebody else has begun."""
    return connection.execute(_CLAIM_PAYLOAD, {
        'of': secret_id, 'store': store, 'intent': intent, 'intent_at': now}).rowcount == 1


def set_payload(connection: sa.Connection, secret_id: str, *, intent: str, content_type: str,
                reference: Mapping[str, str | int], now: datetime) -> bool:
    """Record that a secret's payload is stored; False if ``intent`` was taken for dead."""
    return connection.execute(_SET_PAYLOAD, {
        'of': secret_id, 'by': intent, 'reference': json.dumps(dict(reference)),
        'content_type': content_type, 'intent': None, 'intent_at': None,
        'updated': now}).rowcount == 1


def mark_deleting(connection: sa.Connection, secret_id: str, *, intent: str,
                  now: datetime) -> bool:
    """Make a secret invisible on its way out; False if it is so already.

    An intent that was there stays: whoever it belongs to may yet put something into the store.
    """
    return connection.execute(_MARK_DELETING, {
        'of': secret_id, 'status': DELETING, 'new_intent': intent,
        'intent_at': now}).rowcount == 1


def state(connection: sa.Connection, secret_id: str) -> sa.Row | None:
    """Where a secret stands, whether clients can see it or not."""
    return connection.execute(_STATE.where(_of_id), {'of': secret_id}).first()


def delete(connection: sa.Connection, secret_id: str) -> None:
    """Remove the row, and with it the user's metadata and its places in containers.

    Its ACL is ``km.db.acls``'s, its consumers are ``km.db.consumers``'s.
    """
    connection.execute(_DELETE, {'of': secret_id})


def touch(connection: sa.Connection, secret_id: str, *, now: datetime) -> bool:
    """Note that something about a secret changes, and keep others from changing it until the
    transaction ends; False if it is gone."""
    return connection.execute(_TOUCH, {'of': secret_id, 'updated': now}).rowcount == 1


def hold(connection: sa.Connection, ids: Sequence[str], *, project_id: str,
         now: datetime) -> set[str]:
    """Keep secrets from being deleted until the transaction ends.

    :returns: those of ``ids`` that the project has not; if there are any, none is kept for sure.
    """
    values = {'ids': sorted(ids), 'project': project_id, 'now': now}
    if not ids or connection.execute(_HOLD, values).rowcount == len(ids):
        return set()
    there = connection.execute(_THERE, values).scalars().all()
    return set(ids).difference(there) or set(ids)


def abandoned(connection: sa.Connection, *, before: datetime, page: int) -> Sequence[sa.Row]:
    """Secrets whose way into or out of a store was begun before that time, oldest first."""
    return connection.execute(_ABANDONED, {'before': before, 'page': page}).all()


def take_over(connection: sa.Connection, row: sa.Row, *, intent: str, now: datetime) -> bool:
    """Make an abandoned intent one's own; False if somebody did, or it came back to life."""
    return connection.execute(SECRETS.update().where(
        _of_id, _columns.intent == row.intent, _columns.status == row.status), {
        'of': row.id, 'intent': intent, 'intent_at': now}).rowcount == 1


def forget_payload(connection: sa.Connection, secret_id: str, *, intent: str) -> bool:
    """Make a secret one without payload again, after giving it one was cut off."""
    return connection.execute(_SET_PAYLOAD, {
        'of': secret_id, 'by': intent, 'store': None, 'reference': None, 'intent': None,
        'intent_at': None}).rowcount == 1


def expired(connection: sa.Connection, *, now: datetime, page: int) -> Sequence[str]:
    """Ids of active secrets past their expiration, oldest first."""
    return connection.execute(_EXPIRED, {'now': now, 'page': page}).scalars().all()


def count(connection: sa.Connection, project_id: str, *, now: datetime) -> int:
    """How many secrets a project has, those on their way into a store among them."""
    return connection.execute(_COUNT, {'project': project_id, 'now': now}).scalar_one()


def page(connection: sa.Connection, viewer: Viewer, *, filters: Sequence[Filter], now: datetime,
         order: Sequence[tuple[str, bool]], limit: int, offset: int,
         consumers: bool) -> tuple[list[list[sa.Row]], int]:
    """One page of the active secrets a viewer sees that pass all filters, and how many there are.

    :param order: (column, descending) in order of weight; creation and id decide what is left.
    :param consumers: whether to read them too.
    :returns: of each secret a row. With consumers, a row for each of them, oldest first, or one whose
        ``service`` is None.
    """
    count, rows = _page(viewer.sees, tuple(wanted[:2] for wanted in filters), tuple(order), consumers)
    values = {'now': now, 'project': viewer.project_id, 'reader': viewer.user_id,
              **{f'value{number}': wanted.value for number, wanted in enumerate(filters)}}
    found = connection.execute(rows, {**values, 'limit': limit, 'offset': offset}).all()
    secrets = [list(rows) for _, rows in itertools.groupby(found, key=operator.attrgetter('id'))]
    return secrets, total(connection, count, values, shown=len(secrets), limit=limit, offset=offset)


@functools.lru_cache(maxsize=1000)
def _page(sees: str, filters: tuple[tuple[str, str], ...],
          order: tuple[tuple[str, bool], ...], consumers: bool) -> tuple[sa.Select, sa.Select]:
    """The statements for the total and for a page, of one kind of list."""
    whose, of_open, of_private = _SEEN[sees]
    passed = [whose, _active, *(
        COMPARED[compared](_columns[name], bindparam(f'value{number}', type_=_columns[name].type))
        for number, (name, compared) in enumerate(filters))]
    # Three parts that have nothing in common, each with an index of its own: none answers an OR.
    parts = ((_open, of_open, _lasting), (_open, of_open, _running), (_private, of_private, ALIVE))
    counts = [sa.select(sa.func.count()).select_from(SECRETS).where(*part, *passed).scalar_subquery()
              for part in parts]
    page = sa.select(SECRETS).where(
        *passed, ALIVE, sa.or_(sa.and_(_open, of_open), sa.and_(_private, of_private))
        ).order_by(*_keys(order, _columns)).limit(bindparam('limit')).offset(bindparam('offset'))
    return (sa.select(functools.reduce(operator.add, counts)),
            _with_consumers(page.subquery(), order) if consumers else page)


def _keys(order: Sequence[tuple[str, bool]], columns: sa.ColumnCollection) -> list[sa.ColumnElement]:
    return [*(columns[key].desc() if descending else columns[key] for key, descending in order),
            columns.created, columns.id]


def _with_consumers(page: sa.Subquery, order: Sequence[tuple[str, bool]]) -> sa.Select:
    """A row for each secret of a page and each of its consumers."""
    found = CONSUMERS.c
    return sa.select(page, found.service, found.resource_type, found.resource_id).select_from(
        page.outerjoin(CONSUMERS, sa.and_(found.kind == SECRET, found.object_id == page.c.id))
        ).order_by(*_keys(order, page.c), found.created, found.id)
