# SPDX-License-Identifier: Apache-2.0
"""The life of a secret: created, given its payload, read, deleted."""
import json
import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from km.db import acls, consumers, secrets
from km.db.failures import retried
from km.db.models import ACTIVE, SECRET
from km.errors import CannotOpen, Conflict, Invalid, NotFound, Unavailable
from km.hosting.deadlines import Overdue
from km.hosting.store import HostedStore
from km.identity import Identity
from km.interfaces import Reference, StoredSecret, StoreRequest
from km.lifecycle import events, quotas, stores
from km.lifecycle.context import Context, new_intent, task
from km.lifecycle.transport_keys import Wrapping, unwrap

LOG = logging.getLogger(__name__)


@task('secrets:post')
def create(ctx: Context, *, secret_type: str, name: str | None = None, algorithm: str | None = None,
           mode: str | None = None, bit_length: int | None = None, expiration: datetime | None = None,
           content_type: str | None = None, payload: bytes | None = None,
           wrapping: Wrapping | None = None) -> str:
    """Create a secret, with its payload or to be given one later.

    :param wrapping: how the payload is wrapped, if it is.
    :returns: the id.
    :raises QuotaExceeded: the project has as many as it may have.
    :raises Rejected, Unavailable: as the store says; then nothing was created.
    """
    if payload is not None and wrapping:
        payload = unwrap(ctx, payload, content_type=content_type or '', **wrapping)
    row = _row(ctx, ctx.identity, {
        'name': name, 'secret_type': secret_type, 'algorithm': algorithm, 'mode': mode,
        'bit_length': bit_length, 'expiration': expiration, 'content_type': content_type})
    if payload is None:
        _insert(ctx, row)
        return row['id']
    row |= _intent(ctx, ctx.default_store)
    _insert(ctx, row)
    deposit = _deposit(ctx, row)
    reference, = fill(ctx, [deposit], lambda: [deposit.store.store(deposit.request(payload))])
    with _telling(ctx) as connection:
        recorded = secrets.activate(
            connection, row['id'], intent=row['intent'], reference=reference)
        if recorded:
            _tell_created(ctx, connection, row)
    if not recorded:
        undo(deposit, reference)
        raise Unavailable('The secret took too long to store.')
    return row['id']


@task('secret:put', reread=('project_id',))
def put_payload(ctx: Context, *, secret_id: str, project_id: str, payload: bytes,
                content_type: str, wrapping: Wrapping | None = None) -> None:
    """Give a secret that has none its payload. A payload is never changed afterwards.

    :param wrapping: how the payload is wrapped, if it is.
    :raises Conflict: it has one already, or is being given one right now.
    :raises NotFound: it was deleted meanwhile.
    :raises Rejected, Unavailable: as the store says; then it still has none.
    """
    if wrapping:
        payload = unwrap(ctx, payload, content_type=content_type or '', **wrapping)
    intent = new_intent()
    with ctx.statement() as connection:
        row = secrets.to_be_filled(connection, secret_id)
        store = stores.choose(ctx, row)
        claimed = secrets.claim_payload(
            connection, secret_id, store=store.name, intent=intent, now=ctx.clock())
    if row is None or not claimed:
        _require_there(ctx, secret_id)
        raise Conflict('Secret already has data, cannot modify it.')
    deposit = Deposit(store=store, intent=intent, secret_id=secret_id, project_id=project_id, kind={
        name: getattr(row, name) for name in KIND})
    reference, = fill(ctx, [deposit], lambda: [store.store(deposit.request(payload))])
    with ctx.statement() as connection:
        recorded = secrets.set_payload(
            connection, secret_id, intent=intent, reference=reference,
            content_type=content_type, now=ctx.clock())
    if not recorded:
        undo(deposit, reference)
        _require_there(ctx, secret_id)
        raise Unavailable('The secret took too long to store.')


def _require_there(ctx: Context, secret_id: str) -> None:
    """Insist that a secret still exists for clients.

    :raises NotFound: it was deleted.
    """
    with ctx.statement() as connection:
        row = secrets.state(connection, secret_id)
    if row is None or row.status != ACTIVE:
        raise NotFound('Secret not found.')


#: What a store is told of a secret beside its payload.
KIND = ('secret_type', 'algorithm', 'bit_length')


class Deposit(NamedTuple):
    """A payload on its way into a store; the row of its secret has the intent.

    :param kind: what a store is told of it.
    """

    store: HostedStore
    intent: str
    secret_id: str
    project_id: str
    kind: dict[str, Any]

    def request(self, payload: bytes) -> StoreRequest:
        """What its store is asked to keep."""
        return StoreRequest(
            secret_id=self.secret_id, project_id=self.project_id, payload=payload, **self.kind)


def begin(ctx: Context, connection: Connection, store: HostedStore, owner: Identity,
          **described: Any) -> Deposit:
    """Write down that a new secret is on its way into a store. It exists for nobody yet.

    :param owner: whose it will be.
    :param described: as ``create`` takes it.
    """
    row = _row(ctx, owner, described) | _intent(ctx, store.name)
    secrets.insert(connection, **row)
    return _deposit(ctx, row)


def fill(ctx: Context, deposits: list[Deposit],
         effect: Callable[[], list[Reference]]) -> list[Reference]:
    """Have payloads put into their stores: all, or none of them.

    :param effect: does it, and gives a reference for each deposit.
    :raises Rejected, Unavailable: as the store says; then the intents are taken back, or left to the
        sweep where a store may yet keep something.
    """
    try:
        return effect()
    except Overdue:
        raise
    except Exception:
        for deposit in deposits:
            take_back(ctx, deposit.secret_id, deposit.intent)
        raise


def undo(deposit: Deposit, reference: Reference) -> None:
    """Destroy what an attempt left whose row was deleted or taken over meanwhile: it is nobody's."""
    try:
        deposit.store.delete(StoredSecret(
            secret_id=deposit.secret_id, project_id=deposit.project_id, reference=reference))
    except Exception:
        LOG.exception("Store %s keeps a payload for secret %s that is nobody's.",
                      deposit.store.name, deposit.secret_id)


@task('secret:decrypt', reread=('project_id', 'store', 'reference'))
def payload(ctx: Context, *, secret_id: str, project_id: str, store: str,
            reference: str) -> bytes:
    """Read a payload from its store, for somebody; see ``retrieved``."""
    found = retrieved(ctx, secret_id=secret_id, project_id=project_id, store=store,
                      reference=reference)
    if events.wanted(ctx, 'secret.read'):
        with ctx.transaction() as connection:  # nobody reads what others cannot hear of
            events.add(ctx, connection, 'secret.read', project_id=project_id, resource_type=SECRET,
                       resource_id=secret_id)
    return found


def retrieved(ctx: Context, *, secret_id: str, project_id: str, store: str, reference: str) -> bytes:
    """A payload, for km itself.

    :param store: name of the store, from the row.
    :param reference: the store's own reference as JSON, from the row.
    :raises NotFound: it was deleted meanwhile.
    :raises CannotOpen: the store lost it, or what it has does not open.
    :raises Unavailable: as the store says.
    """
    while True:
        try:
            return stores.enabled(ctx, store).retrieve(StoredSecret(
                secret_id=secret_id, project_id=project_id, reference=json.loads(reference)))
        except NotFound:
            with ctx.statement() as connection:
                row = secrets.state(connection, secret_id)
            if row is None or row.status != ACTIVE:
                raise
            if (row.store, row.reference) == (store, reference):
                raise CannotOpen(f'Secret {secret_id} is missing from store {store}.') from None
            store, reference = row.store, row.reference  # it has moved meanwhile


@task('secret:delete')
def delete(ctx: Context, *, secret_id: str, force: bool = True) -> None:
    """Delete a secret, its payload and all that is tied to it, for good.

    Once the row says so the secret is gone for clients; whatever fails after that, the sweep ends.

    :param force: whether to delete it although it has consumers.
    :raises NotFound: it is gone already.
    :raises Invalid: it has consumers.
    """
    with ctx.transaction() as connection:
        marked = secrets.mark_deleting(
            connection, secret_id, intent=new_intent(), now=ctx.clock())
        # Asked with the row in hand, for nobody can register one any more.
        if marked and not force and consumers.of(connection, SECRET, secret_id):
            raise Invalid('Secret cannot be deleted as it has consumers.')
        row = secrets.state(connection, secret_id) if marked else None
        if row is not None:
            events.add(ctx, connection, 'secret.deleted', project_id=row.project_id,
                       resource_type=SECRET, resource_id=secret_id)
    if row is None:
        raise NotFound('Secret not found.')
    if row.store and (row.reference is None or row.other_store):
        return  # somebody is storing or moving its payload right now; the sweep waits for them
    with stores.left_to_the_sweep(f'Secret {secret_id}'):
        finish_deleting(ctx, row)


def finish_deleting(ctx: Context, row: Row) -> None:
    """Destroy whatever is kept for a row that is on its way out, then the row.

    :raises Unavailable: the store does not answer; the row stays for the next sweep.
    """
    for store in filter(None, (row.store, row.other_store)):
        stores.destroy(stores.enabled(ctx, store), row.id, row.project_id)
    _remove(ctx, row.id)


def undo_storing(ctx: Context, row: Row) -> None:
    """Take back what was begun for a row whose intent is ours: payload, then claim or row.

    :raises Unavailable: the store does not answer; the row stays for the next sweep.
    :raises Conflict: it is not ours any more.
    """
    stores.destroy_claimed(ctx, row, row.store)
    if row.status == ACTIVE:
        with ctx.statement() as connection:
            secrets.forget_payload(connection, row.id, intent=row.intent)
    else:
        _remove(ctx, row.id)


def take_back(ctx: Context, secret_id: str, intent: str) -> None:
    """Leave nothing behind of a payload that its store did not take, if the store lets us see to it."""
    with stores.left_to_the_sweep(f'Secret {secret_id}'):
        with ctx.statement() as connection:
            row = secrets.state(connection, secret_id)
        if row is not None and row.intent == intent:
            undo_storing(ctx, row)


def _row(ctx: Context, owner: Identity, described: dict[str, Any]) -> dict[str, Any]:
    now = ctx.clock()
    return {**described, 'id': str(uuid.uuid4()), 'project_id': owner.project_id,
            'creator_id': owner.user_id, 'created': now, 'updated': now}


def _intent(ctx: Context, store: str) -> dict[str, Any]:
    return {'intent': new_intent(), 'intent_at': ctx.clock(), 'store': store}


def _deposit(ctx: Context, row: dict[str, Any]) -> Deposit:
    return Deposit(store=ctx.stores[row['store']], intent=row['intent'], secret_id=row['id'],
                   project_id=row['project_id'], kind={name: row[name] for name in KIND})


def _insert(ctx: Context, row: dict[str, Any]) -> None:
    """Add a secret, if there is room. A project that was never given a quota or a store of its own,
    as most never are, costs one statement; of another one ``row`` gets the store it prefers.

    :raises QuotaExceeded: there is no room.
    """
    if ctx.quotas['secrets'] < 0:
        with _telling(ctx) as connection:
            if secrets.insert_unless_settled(connection, **row):
                if 'intent' not in row:
                    _tell_created(ctx, connection, row)
                return
    _insert_with_room(ctx, row)


@retried
def _insert_with_room(ctx: Context, row: dict[str, Any]) -> None:
    with ctx.transaction() as connection:
        project = quotas.require_room(ctx, connection, secrets=1)
        if 'store' in row:
            row['store'] = stores.choose(ctx, project).name
        secrets.insert(connection, **row)
        if 'intent' not in row:
            _tell_created(ctx, connection, row)


def _telling(ctx: Context) -> AbstractContextManager[Connection]:
    """What the outcome is written on: with the event, if anybody is told of any."""
    return ctx.transaction() if ctx.notifiers else ctx.statement()


def _tell_created(ctx: Context, connection: Connection, row: dict[str, Any]) -> None:
    """Tell of a secret that exists for clients now."""
    if ctx.notifiers:
        events.add(ctx, connection, 'secret.created', project_id=row['project_id'],
                   resource_type=SECRET, resource_id=row['id'])


@retried
def _remove(ctx: Context, secret_id: str) -> None:
    with ctx.transaction() as connection:
        acls.forget(connection, SECRET, secret_id)
        consumers.forget(connection, SECRET, secret_id)
        secrets.delete(connection, secret_id)
