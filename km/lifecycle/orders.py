# SPDX-License-Identifier: Apache-2.0
"""The life of an order: placed, fulfilled or given up, deleted.

Placing writes the row, and everything else may be lost or done twice: a worker that claims an order
gets its next fencing number, and what it made becomes real in the same transaction that makes the
order active under that number, or not at all.
"""
import contextlib
import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from km.db import containers, orders
from km.db.failures import retried
from km.db.secrets import activate
from km.errors import NotFound, QuotaExceeded, Rejected, Unavailable
from km.interfaces import Reference
from km.lifecycle import (
    certificate_orders,
    certificate_steps,
    events,
    keys,
    making,
    quotas,
    secrets,
    stores,
)
from km.lifecycle.context import Context, task
from km.lifecycle.jobs import (
    ASYMMETRIC,
    CERTIFICATE,
    FAILED,
    Job,
    Superseded,
    claimed,
    have_processed,
    lease,
    line,
)
from km.lifecycle.keys import Wanted
from km.lifecycle.secrets import Deposit

LOG = logging.getLogger(__name__)

_PAGE = 100
_LONGEST_REASON = 1024
_LONGEST_PAUSE = timedelta(hours=1)


@task('orders:post')
def place(ctx: Context, *, order_type: str, meta: dict[str, Any],
          passphrase: str | None = None) -> str:
    """Place an order. A quick one is fulfilled, or has failed, when this returns.

    :param order_type: see ``km.lifecycle.jobs``.
    :param meta: algorithm, bit_length, mode, name, expiration, payload_content_type.
    :param passphrase: for the private half of a pair. It is not kept with the order, so that an order
        with one cannot be tried again.
    :returns: the id.
    :raises QuotaExceeded: the project may not have the order, or what it would make.
    """
    order_id, now = str(uuid.uuid4()), ctx.clock()
    waits = order_type == ASYMMETRIC and not passphrase and keys.is_slow(
        meta['algorithm'], meta['bit_length'])
    job = Job(id=order_id, type=order_type, meta=meta, fence=int(not waits), attempts=int(not waits),
              repeatable=not passphrase, owner=ctx.identity, passphrase=passphrase)
    wanted, refusal = ([], None) if waits else _wanted(ctx, job)
    deposits = _place(ctx, job, wanted, due=now if waits else now + lease(ctx))
    if waits:
        have_processed(ctx, process, order_id)
        return order_id
    with _outcome(ctx, job):
        if refusal:
            raise refusal
        _keep(ctx, job, wanted, deposits)
    return order_id


@task()
def process(ctx: Context, *, order_id: str) -> None:
    """Fulfil an order that is due, unless somebody else is at it."""
    _process(ctx, order_id)


def process_next(ctx: Context) -> bool:
    """Fulfil the order that has been due longest; False if there is none."""
    return _process(ctx, None)


@task('order:delete')
def delete(ctx: Context, *, order_id: str) -> None:
    """Delete an order. What it made stays, and what it is making right now will not be.

    :raises NotFound: it is gone already.
    """
    with ctx.statement() as connection:
        deleted = orders.delete(connection, order_id, project_id=ctx.identity.project_id)
    if not deleted and not certificate_orders.delete(ctx, order_id=order_id):
        raise NotFound('Order not found.')


def clean(ctx: Context, *, days: int) -> int:
    """Delete the orders that ended so many days ago; what they made stays.

    :returns: how many there were.
    """
    cleaned, before = 0, ctx.clock() - timedelta(days=days)
    while True:
        with ctx.statement() as connection:
            page = orders.ended(connection, before=before, page=_PAGE)
            for row in page:
                cleaned += orders.delete(connection, row.id, project_id=row.project_id)
        if len(page) < _PAGE:
            return cleaned


@retried
def _place(ctx: Context, job: Job, wanted: list[Wanted], *, due: datetime) -> list[Deposit]:
    """Write an order, and what it makes at once: its intents are there before anybody else counts.

    :raises QuotaExceeded: there is no room for them.
    """
    now = ctx.clock()
    with ctx.transaction() as connection:
        project = quotas.require_room(ctx, connection, orders=1, **job.makes())
        orders.insert(
            connection, id=job.id, project_id=job.owner.project_id, creator_id=job.owner.user_id,
            type=job.type, meta=json.dumps(job.meta, ensure_ascii=False), fence=job.fence,
            attempts=job.attempts, repeatable=job.repeatable, created=now, updated=now,
            lease_until=due)
        return _begin(ctx, connection, job, wanted, project)


def _process(ctx: Context, order_id: str | None) -> bool:
    job = claimed(ctx, order_id)
    if job is None:
        return False
    if job.type == CERTIFICATE:
        certificate_steps.advance(ctx, job)
    elif job.repeatable:
        with _outcome(ctx, job):
            _fulfil(ctx, job)
    else:
        _give_up(ctx, job, '500', 'The order was cut off, and its passphrase is not kept: '
                                  'place it again.')
    return True


@contextlib.contextmanager
def _outcome(ctx: Context, job: Job) -> Iterator[None]:
    """Fulfil an order in here, and how it went is written down."""
    try:
        yield
    except Superseded:
        LOG.warning('Order %s was deleted, or taken over from claim %d.', job.id, job.fence)
    except Rejected as error:
        _give_up(ctx, job, '400', error.sentence)
    except QuotaExceeded as error:
        if job.attempts > 1:  # an attempt that was cut off may have the room until it is swept
            _postpone(ctx, job, error.sentence)
        else:
            _give_up(ctx, job, '403', error.sentence)
    except Unavailable as error:
        _postpone(ctx, job, error.sentence)
    except Exception:
        LOG.exception('Order %s failed in a way nobody foresaw.', job.id)
        _give_up(ctx, job, '500', FAILED)


def _fulfil(ctx: Context, job: Job) -> None:
    """Do what an order wants.

    :raises Rejected, Unavailable, Superseded: see ``making.wanted`` and ``_keep``.
    :raises QuotaExceeded: the project took the room otherwise since it placed the order.
    """
    wanted = making.wanted(job, legacy=ctx.orders.legacy_algorithms)
    _keep(ctx, job, wanted, _begin_again(replace(ctx, identity=job.owner), job, wanted))


@retried
def _begin_again(ctx: Context, job: Job, wanted: list[Wanted]) -> list[Deposit]:
    with ctx.transaction() as connection:
        project = quotas.require_room(ctx, connection, **job.makes())
        return _begin(ctx, connection, job, wanted, project)


def _wanted(ctx: Context, job: Job) -> tuple[list[Wanted], Rejected | None]:
    """The secrets that an order asks for; or why km does not make such."""
    try:
        return making.wanted(job, legacy=ctx.orders.legacy_algorithms), None
    except Rejected as error:
        return [], error


def _begin(ctx: Context, connection: Connection, job: Job, wanted: list[Wanted],
           project: Row | None) -> list[Deposit]:
    """Write down that what is wanted is on its way into the project's store.

    :param project: its settings, if it has any.
    """
    expiration = job.meta['expiration'] and datetime.fromisoformat(job.meta['expiration'])
    described = {name: job.meta[name] for name in ('name', 'algorithm', 'mode', 'bit_length')}
    store = stores.choose(ctx, project)
    return [secrets.begin(
        ctx, connection, store, job.owner, secret_type=one.secret_type,
        content_type=one.content_type, expiration=expiration, **described) for one in wanted]


def _keep(ctx: Context, job: Job, wanted: list[Wanted], deposits: list[Deposit]) -> None:
    """Make what is wanted, in the store, and let it and the order become real together.

    :raises Rejected, Unavailable: as the store says.
    :raises Superseded: see ``_record``.
    """
    references = secrets.fill(ctx, deposits, lambda: making.make(job, deposits))
    try:
        _record(ctx, job, wanted, deposits=deposits, references=references)
    except Superseded:
        for deposit, reference in zip(deposits, references, strict=True):
            secrets.undo(deposit, reference)
        raise


@retried
def _record(ctx: Context, job: Job, wanted: list[Wanted], *, deposits: list[Deposit],
            references: list[Reference]) -> None:
    """Let an order and its secrets be active, the halves of a pair in a container.

    :raises Superseded: this was not the last claim, or a sweep took the secrets for abandoned.
    """
    ids = [deposit.secret_id for deposit in deposits]
    with ctx.transaction() as connection:
        container_id = _contain(ctx, connection, job) if job.type == ASYMMETRIC else None
        if not orders.fulfilled(
                connection, job.id, fence=job.fence, secret_id=None if container_id else ids[0],
                container_id=container_id, now=ctx.clock()):
            raise Superseded
        for deposit, reference in zip(deposits, references, strict=True):
            if not activate(connection, deposit.secret_id, intent=deposit.intent,
                            reference=reference):
                raise Superseded
        if container_id:
            containers.add(connection, container_id, {
                one.name: secret_id for one, secret_id in zip(wanted, ids, strict=True)})
        _tell(replace(ctx, identity=job.owner), connection, ids, container_id)


def _tell(ctx: Context, connection: Connection, ids: list[str], container_id: str | None) -> None:
    """Tell of what an order has made."""
    project_id = ctx.identity.project_id
    for secret_id in ids:
        events.add(ctx, connection, 'secret.created', project_id=project_id, resource_type='secret',
                   resource_id=secret_id)
    if container_id:
        events.add(ctx, connection, 'container.created', project_id=project_id,
                   resource_type='container', resource_id=container_id)


def _contain(ctx: Context, connection: Connection, job: Job) -> str:
    container_id, now = str(uuid.uuid4()), ctx.clock()
    containers.insert(
        connection, id=container_id, project_id=job.owner.project_id, creator_id=job.owner.user_id,
        name=job.meta['name'], type='rsa' if keys.is_rsa(job.meta['algorithm']) else 'generic',
        created=now, updated=now)
    return container_id


def _give_up(ctx: Context, job: Job, code: str, reason: str) -> None:
    reason = line(reason, _LONGEST_REASON)
    if not events.wanted(ctx, 'order.failed'):
        with ctx.statement() as connection:
            orders.failed(connection, job.id, fence=job.fence, code=code, reason=reason,
                          now=ctx.clock())
        return
    with ctx.transaction() as connection:
        if orders.failed(connection, job.id, fence=job.fence, code=code, reason=reason,
                         now=ctx.clock()):
            events.add(replace(ctx, identity=job.owner), connection, 'order.failed',
                       project_id=job.owner.project_id, resource_type='order', resource_id=job.id,
                       details={'error_status_code': code})


def _postpone(ctx: Context, job: Job, reason: str) -> None:
    """Let an order be tried again later, or give it up if it has been tried enough."""
    if not job.repeatable or job.attempts >= ctx.orders.most_attempts:
        _give_up(ctx, job, '503', reason)
        return
    LOG.warning('Order %s is tried again later: %s', job.id, reason)
    pause = min(timedelta(seconds=ctx.orders.retry_seconds * 2 ** (job.attempts - 1)), _LONGEST_PAUSE)
    with ctx.statement() as connection:
        orders.postponed(connection, job.id, fence=job.fence, until=ctx.clock() + pause)
