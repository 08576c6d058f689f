# SPDX-License-Identifier: Apache-2.0
"""Bringing over what another key manager kept: secrets under the ids they had there.

Like any secret an imported one is intent, effect, outcome, a page of them at a time; and its payload is
read back from the store and compared before the outcome is written. What is there already is compared,
never changed. An import that was cut off is run again: what it left half done it does anew.
"""
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Row

from km.db import imports as rows
from km.db import secrets as secret_rows
from km.db.failures import retried
from km.db.models import ACTIVE, SECRET, STORING
from km.errors import CannotOpen, NotFound, Rejected
from km.hosting.store import HostedStore
from km.interfaces import Reference, StoredSecret
from km.lifecycle import secrets, stores
from km.lifecycle.context import Context, new_intent
from km.lifecycle.imported_parts import Acl, Consumer, add_shared, head, shared_differences

#: What became of a thing. LEFT is what could not be brought over, or is in km but not the same.
IMPORTED, THERE, LEFT = 'imported', 'there', 'left'

_DESCRIBED = ('project_id', 'creator_id', 'name', 'secret_type', 'algorithm', 'mode', 'bit_length',
              'content_type', 'expiration', 'created')


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret to bring over, as ``km.db.models.SECRETS`` has it, with all that is tied to it.

    :param id: lower-case UUID.
    :param payload: None if it has none; never part of a ``repr``.
    :param acl: None if it has none.
    """

    id: str
    project_id: str
    creator_id: str | None
    name: str | None
    secret_type: str
    algorithm: str | None
    mode: str | None
    bit_length: int | None
    content_type: str | None
    expiration: datetime | None
    created: datetime
    updated: datetime
    payload: bytes | None = field(repr=False)
    metadata: Mapping[str, str]
    acl: Acl | None
    consumers: Sequence[Consumer]


class Outcome(NamedTuple):
    """What became of one thing.

    :param done: IMPORTED, THERE or LEFT.
    :param reason: why it was left, as the end of a sentence that begins with its kind and id.
    """

    id: str
    done: str
    reason: str = ''


def bring_secrets(ctx: Context, page: Sequence[Secret], *, store: HostedStore,
                  dry_run: bool = False) -> list[Outcome]:
    """Bring over secrets; those with a payload into ``store``.

    :param dry_run: whether to look only. IMPORTED is then what would be.
    :returns: an outcome for each.
    :raises Unavailable: a store or the metadata database does not answer. Run again: what is begun is
        taken up.
    """
    with ctx.statement() as connection:
        there = rows.there(connection, SECRET, [secret.id for secret in page])
    known = [secret for secret in page if _is_there(there.get(secret.id))]
    new = [secret for secret in page if not _is_there(there.get(secret.id))]
    outcomes = _compared(ctx, known, there)
    if dry_run:
        return outcomes + [Outcome(secret.id, IMPORTED) for secret in new]
    for row in there.values():
        if row.status == STORING:
            _undo(ctx, row)
    return outcomes + _brought(ctx, new, store)


def still_there(ctx: Context, kind: str, ids: Sequence[str]) -> list[Outcome]:
    """An outcome for each secret or container that km has though it was deleted where it came from.

    :param kind: of all of them.
    :param ids: of what was deleted there.
    :raises Unavailable: the metadata database does not answer.
    """
    with ctx.statement() as connection:
        there = rows.there(connection, kind, ids)
    return [Outcome(row.id, LEFT, 'it was deleted since it was brought over; delete it in km too')
            for row in there.values() if row.status == ACTIVE]


def _is_there(row: Row | None) -> bool:
    return row is not None and row.status != STORING


def _undo(ctx: Context, row: Row) -> None:
    """Take back what an import that was cut off had begun: nobody else makes secrets of given ids."""
    with ctx.statement() as connection:
        ours = secret_rows.take_over(connection, row, intent=new_intent(), now=ctx.clock())
        taken = secret_rows.state(connection, row.id)
    if ours and taken is not None:
        secrets.undo_storing(ctx, taken)


def _brought(ctx: Context, new: Sequence[Secret], store: HostedStore) -> list[Outcome]:
    intents = {secret.id: new_intent() for secret in new if secret.payload is not None}
    _begin(ctx, new, intents, store.name)
    references: dict[str, Reference] = {}
    left: list[Outcome] = []
    for secret in new:
        if secret.payload is not None:
            try:
                references[secret.id] = _stored(ctx, secret, intents[secret.id], store)
            except (Rejected, CannotOpen) as error:
                left.append(Outcome(secret.id, LEFT, f'the store says: {error.sentence}'))
    lost = _finish(ctx, [secret for secret in new if secret.id in references], intents, references)
    for secret in new:
        if secret.id in lost:
            secrets.undo(_deposit(secret, intents[secret.id], store), references[secret.id])
            left.append(Outcome(secret.id, LEFT, 'it took too long to store'))
    failed = {outcome.id for outcome in left}
    return left + [Outcome(secret.id, IMPORTED) for secret in new if secret.id not in failed]


@retried
def _begin(ctx: Context, new: Sequence[Secret], intents: Mapping[str, str], store: str) -> None:
    """Write down the intents; what has no payload is complete with that."""
    now = ctx.clock()
    with ctx.transaction() as connection:
        rows.add_secrets(connection, [{
            'id': secret.id, 'updated': secret.updated, **head(secret.acl),
            **{column: getattr(secret, column) for column in _DESCRIBED},
            'intent': intents.get(secret.id), 'intent_at': now if secret.id in intents else None,
            'store': store if secret.id in intents else None} for secret in new])
        _add_parts(connection, [secret for secret in new if secret.id not in intents])


def _stored(ctx: Context, secret: Secret, intent: str, store: HostedStore) -> Reference:
    """Put a payload into the store, and see that it is the same when it comes out.

    :raises Rejected: the store does not take it; then the intent is taken back.
    :raises CannotOpen: it was not the same; likewise.
    """
    deposit = _deposit(secret, intent, store)
    payload = secret.payload or b''
    reference, = secrets.fill(ctx, [deposit], lambda: [store.store(deposit.request(payload))])
    try:
        same = _is_kept(store, secret, reference)
    except (NotFound, CannotOpen):
        same = False
    if not same:
        secrets.take_back(ctx, secret.id, intent)
        raise CannotOpen('What came out is not what went in.')
    return reference


def _is_kept(store: HostedStore, secret: Secret, reference: Reference) -> bool:
    kept = store.retrieve(StoredSecret(
        secret_id=secret.id, project_id=secret.project_id, reference=reference))
    return hmac.compare_digest(kept, secret.payload or b'')


@retried
def _finish(ctx: Context, stored: Sequence[Secret], intents: Mapping[str, str],
            references: Mapping[str, Reference]) -> set[str]:
    """Write down the outcomes; the ids of those that the sweep took for dead meanwhile."""
    with ctx.transaction() as connection:
        recorded = [secret for secret in stored if secret_rows.activate(
            connection, secret.id, intent=intents[secret.id], reference=references[secret.id])]
        _add_parts(connection, recorded)
    return {secret.id for secret in stored} - {secret.id for secret in recorded}


def _add_parts(connection: Connection, added: Iterable[Secret]) -> None:
    added = list(added)
    rows.add_user_metadata(connection, [
        {'secret_id': secret.id, 'key': key, 'value': value}
        for secret in added for key, value in secret.metadata.items()])
    add_shared(connection, SECRET, added)


def _compared(ctx: Context, known: Sequence[Secret], there: Mapping[str, Row]) -> list[Outcome]:
    """What is there already: whether it is the same."""
    ids = [secret.id for secret in known]
    with ctx.statement() as connection:
        metadata = rows.user_metadata(connection, ids)
        shared = shared_differences(connection, SECRET, known, there)
    outcomes = []
    for secret in known:
        row = there[secret.id]
        if row.status != ACTIVE:
            outcomes.append(Outcome(secret.id, LEFT, 'it is just being deleted in km'))
            continue
        kept = {found.key: found.value for found in metadata.get(secret.id, ())}
        differences = [*_own_differences(ctx, secret, row), *shared[secret.id],
                       *(['user metadata'] if kept != dict(secret.metadata) else [])]
        outcomes.append(compared(secret.id, differences))
    return outcomes


def compared(thing_id: str, differences: Sequence[str]) -> Outcome:
    """The outcome for a thing that was there already.

    :param differences: what of it is not the same.
    """
    if not differences:
        return Outcome(thing_id, THERE)
    named = ', '.join(difference.replace('_', ' ') for difference in differences)
    return Outcome(thing_id, LEFT, f'it is in km with another {named}')


def _own_differences(ctx: Context, secret: Secret, row: Row) -> list[str]:
    found = [column for column in _DESCRIBED if getattr(row, column) != getattr(secret, column)]
    if not _same_payload(ctx, secret, row):
        found.append('payload')
    return found


def _same_payload(ctx: Context, secret: Secret, row: Row) -> bool:
    if secret.payload is None or row.reference is None:
        return secret.payload is None and row.reference is None
    if row.project_id != secret.project_id:
        return False
    try:
        return _is_kept(stores.enabled(ctx, row.store), secret, json.loads(row.reference))
    except (NotFound, CannotOpen):
        return False


def _deposit(secret: Secret, intent: str, store: HostedStore) -> secrets.Deposit:
    return secrets.Deposit(
        store=store, intent=intent, secret_id=secret.id, project_id=secret.project_id,
        kind={name: getattr(secret, name) for name in secrets.KIND})
