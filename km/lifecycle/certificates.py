# SPDX-License-Identifier: Apache-2.0
"""What authorities issued: kept in a container, or in the place of what was there before.

The container is what clients know. A certificate that is renewed is another version of what is in it: at
one moment the former is there, with its key and its chain, and at the next the new one.
"""
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from km.certificates import certificates as x509
from km.certificates.certificates import Description
from km.db import acls, containers, orders, secrets, settings
from km.db import certificates as rows
from km.db.failures import retried
from km.db.models import SECRET
from km.errors import NotFound, Rejected
from km.interfaces import Issued, Reference, RenewalAdviser
from km.lifecycle import certificate_requests, events, issuers, keys, stores
from km.lifecycle import secrets as payloads
from km.lifecycle.context import Context
from km.lifecycle.jobs import Job, Superseded, line
from km.lifecycle.secrets import Deposit

LOG = logging.getLogger(__name__)

_GENERATED = 'cert_generated', 'Certificate has been generated'
_MOST_NAMES = 4096
#: After a renewal that failed the pause doubles up to a day, and is never longer than this part of the
#: time that is left.
_LONGEST_PAUSE, _PART_OF_WHAT_IS_LEFT = timedelta(days=1), 10
_SHORTEST_PAUSE = timedelta(minutes=1)
#: Of so many failures in a row of its authority who waits for a renewal is told, and of twice as many.
_FIRST_TOLD = 4


def keep(ctx: Context, job: Job, order: Row, issued: Issued) -> None:
    """Let what was issued, and the order, become real together.

    :raises Rejected: it is not what was ordered.
    :raises Unavailable: as a store says; the authority gives the same again.
    :raises Superseded: the claim is not the last one.
    """
    x509.require_answers(certificate_requests.decoded(order.csr), issued.certificate, issued.chain,
                         now=ctx.clock())
    described = x509.describe(issued.certificate)
    renew_at = _first_look(ctx, order, described)
    contents = {'certificate': x509.pem(issued.certificate)}
    if chain := _shown(issued):
        contents['intermediates'] = x509.pem(*chain)
    deposits = _begun(ctx, job, list(contents))
    references = payloads.fill(ctx, deposits, lambda: [
        deposit.store.store(deposit.request(content))
        for deposit, content in zip(deposits, contents.values(), strict=True)])
    try:
        _record(replace(ctx, identity=job.owner), job, order, described, renew_at=renew_at,
                kept=dict(zip(contents, zip(deposits, references, strict=True), strict=True)))
    except Superseded:
        for deposit, reference in zip(deposits, references, strict=True):
            payloads.undo(deposit, reference)
        raise


def replaced(ctx: Context, order: Row) -> bytes | None:
    """The certificate that an order replaces, DER; None if it is the first, or that is gone."""
    if order.renews is None:
        return None
    with ctx.statement() as connection:
        row = rows.get(connection, order.renews)
    try:
        return None if row is None else content(ctx, row)
    except NotFound:
        return None


def content(ctx: Context, certificate: Row) -> bytes:
    """A certificate, DER.

    :raises NotFound: its owner has deleted it.
    :raises Unavailable: as its store says.
    """
    with ctx.statement() as connection:
        row = secrets.state(connection, certificate.certificate_id)
    if row is None or row.reference is None:
        raise NotFound('The secret with the certificate is not there any more.')
    return x509.from_pem(payloads.retrieved(
        ctx, secret_id=row.id, project_id=row.project_id, store=row.store,
        reference=row.reference))[0]


def renewal_failed(ctx: Context, connection: Connection, certificate_id: str, *,
                   order_id: str | None, reason: str) -> None:
    """Have a renewal tried again that failed, and tell of it.

    :param order_id: that was to do it; None if it came to none.
    """
    row = rows.lock(connection, certificate_id)
    if row is None or row.renewal != order_id:
        return
    now = ctx.clock()
    pause = timedelta(minutes=ctx.certificates.renewal_retry_minutes) * 2 ** min(
        row.renewal_failures, 10)
    if row.not_after > now:  # what has ended is not urgent any more
        pause = min(pause, max((row.not_after - now) / _PART_OF_WHAT_IS_LEFT, _SHORTEST_PAUSE))
    at = None if row.renew_percent is None else now + min(pause, _LONGEST_PAUSE)
    rows.change(connection, row.id, renewal=None, renewal_failures=row.renewal_failures + 1, renew_at=at)
    _tell_of_failure(ctx, connection, row, order_id, row.renewal_failures + 1, reason)
    if at:
        ctx.remind(at)


def renewal_waits(ctx: Context, connection: Connection, certificate_id: str, *, order_id: str,
                  failures: int, reason: str) -> None:
    """Tell of a renewal whose authority does not answer, early and again: it may be long before its
    order is given up.

    :param failures: how often in a row it did not.
    """
    if failures < _FIRST_TOLD or failures & (failures - 1):
        return
    row = rows.get(connection, certificate_id)
    if row is not None:
        _tell_of_failure(ctx, connection, row, order_id, failures, reason)


def _tell_of_failure(ctx: Context, connection: Connection, row: Row, order_id: str | None,
                     failures: int, reason: str) -> None:
    LOG.warning('Certificate %s, which ends on %s, was not renewed: %s', row.id, row.not_after, reason)
    events.add(ctx, connection, 'certificate.renewal_failing', project_id=row.project_id,
               resource_type='certificate', resource_id=row.id, details={
                   **told(row), **({'order_id': order_id} if order_id else {}), 'failures': failures,
                   'reason': line(reason, 255)})


def told(row: Any) -> dict[str, str | int]:
    """What events say of a certificate."""
    return {'container_id': row.container_id, 'serial': row.serial, 'subject': row.subject[:255],
            'not_after': f'{row.not_after.isoformat()}Z', 'version': row.version}


def _shown(issued: Issued) -> tuple[bytes, ...]:
    """The chain, its issuer first; without the root, which whoever trusts it has, unless it is all."""
    chain = x509.ordered(issued.certificate, issued.chain)
    return tuple(one for one in chain if not _is_root(one)) or chain


def _is_root(certificate: bytes) -> bool:
    described = x509.describe(certificate)
    return described.subject == described.issuer


@retried
def _begun(ctx: Context, job: Job, names: list[str]) -> list[Deposit]:
    with ctx.transaction() as connection:
        store = stores.choose(ctx, settings.get(connection, job.owner.project_id))
        return [payloads.begin(
            ctx, connection, store, job.owner, name=job.meta.get('name'), secret_type='certificate',
            algorithm=None, bit_length=None, mode=None, expiration=None, content_type=keys.OCTETS)
            for _ in names]


@retried
def _record(ctx: Context, job: Job, order: Row, described: Description, *,
            renew_at: datetime | None, kept: Mapping[str, tuple[Deposit, Reference]]) -> None:
    """Let an order be active, and what it made be in its container.

    :raises Superseded: this was not the last claim, or a sweep took the secrets for abandoned.
    """
    with ctx.transaction() as connection:
        if not orders.still_claimed(connection, job.id, fence=job.fence, until=ctx.clock()):
            raise Superseded
        before = rows.lock(connection, order.renews) if order.renews else None
        members = {name: deposit.secret_id for name, (deposit, _) in kept.items()}
        members |= _key(ctx, connection, order)
        for deposit, reference in kept.values():
            if not secrets.activate(connection, deposit.secret_id, intent=deposit.intent,
                                    reference=reference):
                raise Superseded
        container_id = _contained(ctx, connection, job, before, members)
        orders.fulfilled(connection, job.id, fence=job.fence, secret_id=None, now=ctx.clock(),
                         container_id=container_id, told=_GENERATED)
        row = _row(ctx, job, order, described, container_id=container_id, members=members,
                   before=before, renew_at=renew_at)
        if before is not None:
            rows.change(connection, before.id, is_current=None, renewal=None, renew_at=None)
            _let_in(ctx, connection, before, members)
        rows.insert(connection, **row)
        made = [deposit.secret_id for deposit, _ in kept.values()]
        _tell(ctx, connection, row, before, made=[*made, *([order.key_id] if order.holds_key else [])])
    if renew_at:
        ctx.remind(renew_at)


def _key(ctx: Context, connection: Connection, order: Row) -> dict[str, str]:
    """The key that goes with a certificate, if km has it, and holds it no more for the order alone."""
    if order.key_id is None:
        return {}
    if order.holds_key:
        if not secrets.release(connection, order.key_id):
            raise Rejected('The key of the order is not there any more.')
        return {'private_key': order.key_id}
    wanted = {'private_key': order.key_id, 'private_key_passphrase': order.passphrase_id}
    ids = [secret_id for secret_id in wanted.values() if secret_id]
    gone = secrets.hold(connection, ids, project_id=ctx.identity.project_id, now=ctx.clock())
    return {name: secret_id for name, secret_id in wanted.items()
            if secret_id and secret_id not in gone}


def _let_in(ctx: Context, connection: Connection, before: Row, members: Mapping[str, str]) -> None:
    """Let whoever may read what is replaced read what replaces it, and nobody else: whom its owner let
    in needs it from now on, and a key that was kept private stays so."""
    former = {'certificate': before.certificate_id, 'intermediates': before.intermediates_id,
              'private_key': before.private_key_id, 'private_key_passphrase': before.passphrase_id}
    replaced = {former[name]: new for name, new in members.items() if former[name] not in (None, new)}
    now = ctx.clock()
    secrets.hold(connection, list(replaced), project_id=before.project_id, now=now)
    for old, new in replaced.items():
        row = secrets.get(connection, old, reader=None, now=now, whole=False)
        if row is not None and row.acl_created:
            acls.put(connection, SECRET, new, project_access=row.project_access,
                     users=acls.users(connection, SECRET, old), now=now)


def _contained(ctx: Context, connection: Connection, job: Job, before: Row | None,
               members: Mapping[str, str]) -> str:
    """The container that these secrets are in now, in the place of those of that name."""
    now = ctx.clock()
    if before is not None:
        if not containers.touch(connection, before.container_id, now=now):
            raise Rejected('The container was deleted: there is nothing to renew.')
        containers.empty(connection, before.container_id)
        containers.add(connection, before.container_id, members)
        return before.container_id
    container_id = str(uuid.uuid4())
    containers.insert(
        connection, id=container_id, project_id=job.owner.project_id, creator_id=job.owner.user_id,
        name=job.meta.get('name'), type='certificate', created=now, updated=now)
    containers.add(connection, container_id, members)
    return container_id


def _row(ctx: Context, job: Job, order: Row, described: Description, *, container_id: str,
         members: Mapping[str, str], before: Row | None, renew_at: datetime | None) -> dict[str, Any]:
    now, key_id = ctx.clock(), members.get('private_key')
    stayed = before is not None and before.owns_key and before.private_key_id == key_id
    names = json.dumps(list(described.names), ensure_ascii=False)
    return {
        'id': str(uuid.uuid4()), 'project_id': job.owner.project_id,
        'creator_id': job.owner.user_id, 'order_id': job.id, 'container_id': container_id,
        'authority_id': order.authority_id, 'profile': order.profile,
        'version': before.version + 1 if before else 1,
        'is_current': True, 'serial': described.serial[:64], 'subject': described.subject,
        'issuer': described.issuer, 'names': names if len(names) <= _MOST_NAMES else '[]',
        'fingerprint': described.fingerprint, 'csr': order.csr, 'not_before': described.not_before,
        'not_after': described.not_after, 'certificate_id': members['certificate'],
        'intermediates_id': members.get('intermediates'),
        'private_key_id': key_id,
        'passphrase_id': members.get('private_key_passphrase'),
        'owns_key': order.holds_key or stayed,
        'renew_percent': order.renew_percent, 'renew_key': order.renew_key,
        'renew_at': renew_at, 'created': now, 'updated': now}


def _first_look(ctx: Context, order: Row, described: Description) -> datetime | None:
    """When to look whether to renew a new certificate: at once, where the authority has an opinion."""
    if order.renew_percent is None:
        return None
    _, authority = issuers.issuer(ctx, order.authority_id)
    if authority.able(RenewalAdviser):
        return ctx.clock()
    return usual_time(described.not_before, described.not_after, order.renew_percent,
                      created=ctx.clock())


def usual_time(not_before: datetime, not_after: datetime, percent: int, *,
               created: datetime) -> datetime:
    """When a part of a lifetime has passed. The time before km had it does not count: of what lives for
    minutes it may be the most, and one after the other would be renewed at once."""
    began = max(not_before, created)
    return max(began + (not_after - began) * percent / 100, began + _SHORTEST_PAUSE)


def _tell(ctx: Context, connection: Connection, row: dict[str, Any], before: Row | None, *,
          made: list[str]) -> None:
    """Tell of a certificate, and of the secrets that were made for it."""
    for secret_id in made:
        events.add(ctx, connection, 'secret.created', project_id=row['project_id'],
                   resource_type='secret', resource_id=secret_id)
    details = {'container_id': row['container_id'], 'order_id': row['order_id'],
               'serial': row['serial'], 'subject': row['subject'][:255],
               'not_after': f'{row["not_after"].isoformat()}Z', 'version': row['version']}
    kind = 'certificate.issued' if before is None else 'certificate.renewed'
    events.add(ctx, connection, kind, project_id=row['project_id'], resource_type='certificate',
               resource_id=row['id'], details=details)
    if before is None:
        events.add(ctx, connection, 'container.created', project_id=row['project_id'],
                   resource_type='container', resource_id=row['container_id'])
