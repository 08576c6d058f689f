# SPDX-License-Identifier: Apache-2.0
"""Orders of certificates: placed, approved, cancelled, deleted. ``certificate_steps`` is what becomes of
them."""
import json
import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from km.certificates import requests
from km.db import certificate_orders as rows
from km.db import orders
from km.db.certificate_orders import APPROVE, ISSUE, REQUEST
from km.db.failures import retried
from km.errors import Conflict, Forbidden, Unavailable
from km.lifecycle import authorities, certificate_requests, certificate_steps, jobs, quotas
from km.lifecycle.context import Context, task
from km.lifecycle.jobs import CERTIFICATE

LOG = logging.getLogger(__name__)


@task('orders:post')
def place(ctx: Context, *, meta: dict[str, Any], request_type: str, csr: bytes | None = None,
          container: str | None = None, ca_id: str | None = None, profile: str | None = None,
          not_after: datetime | None = None, renews: bool = False,
          renew_percent: int | None = None, renew_key: bool = True) -> str:
    """Place an order of a certificate.

    :param meta: what clients are shown of it.
    :param request_type: ``simple-cmc``, ``full-cmc``, ``stored-key``, ``new-key`` or ``custom``.
    :param csr: PKCS#10, DER, if the client made it.
    :param container: the id of the one that has the key, if it is in one.
    :param ca_id: the authority; None for the usual one.
    :param not_after: when the certificate shall end at the latest, UTC without a zone.
    :param renews: whether km shall renew it.
    :param renew_percent: at what part of its lifetime; None for the usual one.
    :param renew_key: whether it has a new key then, if km has the key.
    :returns: the id.
    :raises Invalid, Forbidden: what is said of the authority or the container is not so.
    :raises QuotaExceeded: there is no room for the order, or for what it would make.
    :raises Unavailable: the authority is not enabled here.
    """
    if csr is not None:
        requests.require_sane(csr)
    order_id = _insert(ctx, meta, container, ca_id, {
        'request_type': request_type, 'profile': profile, 'not_after': not_after,
        'renew_percent': (renew_percent or ctx.certificates.renew_percent) if renews else None,
        'renew_key': renew_key,
        'csr': None if csr is None else certificate_requests.encoded(csr)})
    have_processed(ctx, order_id)
    return order_id


@task('order:approve')
def approve(ctx: Context, *, order_id: str) -> None:
    """Let an order go to its authority that waits for somebody else than who placed it to agree.

    :raises Conflict: it does not wait for that.
    :raises Forbidden: whoever asks has placed it.
    """
    _approve(ctx, order_id)
    have_processed(ctx, order_id)


@retried
def _approve(ctx: Context, order_id: str) -> None:
    with ctx.transaction() as connection:
        row = orders.get(connection, order_id, project_id=ctx.identity.project_id)
        if row is None or not orders.due_now(
                connection, order_id, project_id=ctx.identity.project_id, now=ctx.clock(),
                deleting=False):
            raise Conflict('The order does not wait for anybody to approve it.')
        order = rows.get(connection, order_id)
        if order.step != APPROVE:
            raise Conflict('The order does not wait for anybody to approve it.')
        if ctx.identity.user_id is None or ctx.identity.user_id == row.creator_id:
            raise Forbidden('Somebody else than who placed the order must approve it.')
        rows.change(connection, order_id, step=_first_step(order.csr),
                    approved_by=ctx.identity.user_id)
    LOG.info('Order %s was approved by user %s.', order_id, ctx.identity.user_id)


@task('order:cancel')
def cancel(ctx: Context, *, order_id: str) -> None:
    """Give up a pending order of a certificate, unless there is one by then.

    :raises Conflict: it is not pending any more, or is none of a certificate.
    """
    if not _is_given_up(ctx, order_id, deleting=False):
        raise Conflict('The order is not a pending one of a certificate.')
    have_processed(ctx, order_id)


def delete(ctx: Context, *, order_id: str) -> bool:
    """Have a pending order of a certificate given up and removed; False if it is not pending."""
    given_up = _is_given_up(ctx, order_id, deleting=True)
    if given_up:
        have_processed(ctx, order_id)
    return given_up


@retried
def _insert(ctx: Context, meta: dict[str, Any], container: str | None, ca_id: str | None,
            how: dict[str, Any]) -> str:
    order_id, now = str(uuid.uuid4()), ctx.clock()
    with ctx.transaction() as connection:
        authority = authorities.choose(ctx, connection, ctx.identity.project_id, ca_id)
        key = certificate_requests.stored_key(ctx, connection, container) if container else {}
        makes = {'secrets': 2 if key or how['csr'] else 3, 'containers': 1}
        quotas.require_room(ctx, connection, orders=1, **makes)
        hosted = ctx.authorities.get(authority.plugin_name)
        if hosted is None:  # whoever has it knows whether its orders must be approved
            raise Unavailable(f"The certificate authority '{authority.plugin_name}' is not enabled.")
        step = APPROVE if hosted.needs_approval else _first_step(how['csr'])
        insert(connection, ctx, order_id, meta=meta, due=now, authority_id=authority.id, step=step,
               **how, **key)
    return order_id


def _first_step(csr: str | None) -> str:
    return REQUEST if csr is None else ISSUE


def insert(connection: Connection, ctx: Context, order_id: str, *, meta: dict[str, Any], due: datetime,
           **how: Any) -> None:
    """Add an order of ``ctx.identity``, and how far it is: not at all."""
    now = ctx.clock()
    orders.insert(
        connection, id=order_id, project_id=ctx.identity.project_id, creator_id=ctx.identity.user_id,
        type=CERTIFICATE, meta=json.dumps(meta, ensure_ascii=False), fence=0, repeatable=True,
        created=now, updated=now, lease_until=due)
    rows.insert(connection, order_id=order_id, give_up_at=now + timedelta(
        hours=ctx.certificates.give_up_after_hours), **how)


def have_processed(ctx: Context, order_id: str) -> None:
    """Have an order of a certificate looked at right away."""
    jobs.have_processed(ctx, process, order_id)


@task()
def process(ctx: Context, *, order_id: str) -> None:
    """Take an order of a certificate further, if it is due and nobody else is at it."""
    job = jobs.claimed(ctx, order_id)
    if job is not None:
        certificate_steps.advance(ctx, job)


@retried
def _is_given_up(ctx: Context, order_id: str, *, deleting: bool) -> bool:
    with ctx.transaction() as connection:
        pending = orders.due_now(connection, order_id, project_id=ctx.identity.project_id,
                                 now=ctx.clock(), deleting=deleting)
        if pending:
            rows.cancel(connection, order_id)
    return pending
