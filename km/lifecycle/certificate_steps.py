# SPDX-License-Identifier: Apache-2.0
"""The steps of an order of a certificate: to its authority and back, without ever waiting.

Each step is written down before it is taken, so that whoever comes after a worker that was killed takes
it again. An authority knows an order by its id and gives one certificate for it, however often it is
asked.
"""
import contextlib
import json
import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Row

from km.db import certificate_orders as rows
from km.db import orders, secrets
from km.db.certificate_orders import APPROVE, ISSUE, POLL, REQUEST
from km.db.failures import retried
from km.db.models import DELETING
from km.errors import Invalid, KmError, NotSupported, Rejected, Unavailable
from km.hosting.guest import asked_seconds
from km.interfaces import Issued, IssueRequest, Pending, PendingOrder
from km.lifecycle import certificate_requests, certificates, events, issuers
from km.lifecycle.context import Context, new_intent
from km.lifecycle.jobs import FAILED, Job, Superseded, changed, lease, line

LOG = logging.getLogger(__name__)

#: What an order says of itself while it waits, and in the end.
WAITING = 'cert_request_pending'
_WAITING = 'Request has been submitted to the CA.  Waiting for certificate to be generated'
_UNAPPROVED = 'cert_waiting_for_approval', 'Somebody else than who placed the order must approve it'
_SILENT = {
    REQUEST: ('cert_ca_unavail_for_issue', 'Unable to submit the certificate request: {}'),
    ISSUE: ('cert_ca_unavail_for_issue', 'Unable to submit the certificate request: {}'),
    POLL: ('cert_ca_unavail_for_status_check', 'Unable to ask for the certificate: {}')}
_REFUSED, _BROKEN = 'cert_data_invalid', 'cert_internal_error'
_CANCELLED, _AGED = 'cert_cancelled', 'cert_not_issued_in_time'
#: So many steps that need no waiting are taken at once; then others have their turn.
_MOST_STEPS = 20
_SHORTEST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(hours=1)
_LONGEST_REASON, _LONGEST_MESSAGE = 1024, 255


class _GivenUp(Exception):
    """Nobody waits for the certificate any more."""


def advance(ctx: Context, job: Job) -> None:
    """Take an order as far as it goes without waiting."""
    with _outcome(ctx, job):
        order = _begun(ctx, job)
        if order.step == APPROVE and not _is_unwanted(ctx, order):
            _await_approval(ctx, job, order)
            return
        if order.step == REQUEST and not _is_unwanted(ctx, order):
            order = certificate_requests.complete(ctx, job, order)
        for _ in range(_MOST_STEPS):
            progress = _asked(ctx, job, order)
            if isinstance(progress, Issued):
                if job.status == DELETING:
                    raise _GivenUp  # there is nobody left to keep it for
                certificates.keep(ctx, job, order, progress)
                return
            order = _waits(ctx, job, progress)
            if progress.poll_after_seconds > 0:
                return
        _postpone(ctx, job, order, 'There is more to do.', after=_SHORTEST_PAUSE)


def _begun(ctx: Context, job: Job) -> Row:
    with ctx.statement() as connection:
        return rows.get(connection, job.id)


@retried
def _await_approval(ctx: Context, job: Job, order: Row) -> None:
    """Let an order rest until somebody approves it, or nobody has for too long."""
    with ctx.statement() as connection:
        orders.postponed(connection, job.id, fence=job.fence, until=order.give_up_at,
                         told=_UNAPPROVED)


def _is_unwanted(ctx: Context, order: Row) -> bool:
    return order.cancelled or ctx.clock() >= order.give_up_at


def _asked(ctx: Context, job: Job, order: Row) -> Issued | Pending:
    """What the authority says.

    One that nobody wants any more is asked once more whether there is a certificate: what it has issued
    shall not be lost, unless the order was deleted.

    :raises _GivenUp: nobody wants it, and the authority has issued nothing.
    """
    unwanted = _is_unwanted(ctx, order)
    if unwanted and not order.issuing:
        raise _GivenUp
    row, authority = issuers.issuer(ctx, order.authority_id)
    if order.step == ISSUE:
        order = changed(ctx, job, issuing=order.issuing + 1)
        request = _request(ctx, job, order, row.plugin_ca_id)
        progress = authority.issue(request)
    else:
        request = _request(ctx, job, order, row.plugin_ca_id)
        progress = authority.poll(PendingOrder(
            order=request, reference=json.loads(order.reference)))
    if unwanted and isinstance(progress, Pending):
        authority.cancel(PendingOrder(order=request, reference=progress.reference))
        raise _GivenUp
    return progress


def _request(ctx: Context, job: Job, order: Row, authority: str) -> IssueRequest:
    return IssueRequest(
        order_id=job.id, project_id=job.owner.project_id, authority=authority,
        csr=certificate_requests.decoded(order.csr),
        profile=order.profile, not_after=order.not_after, attempt=order.issuing,
        replaces=certificates.replaced(ctx, order), details=job.meta.get('details', {}))


@retried
def _waits(ctx: Context, job: Job, pending: Pending) -> Row:
    """Write down what an authority needs to be asked again, and when that is to be."""
    until = ctx.clock() + (_pause(ctx, pending.poll_after_seconds) or lease(ctx))
    told = WAITING, line(pending.sentence or _WAITING, _LONGEST_MESSAGE)
    with ctx.transaction() as connection:
        if not orders.postponed(connection, job.id, fence=job.fence, until=until, told=told):
            raise Superseded
        order = rows.change(connection, job.id, step=POLL, failures=0,
                            reference=json.dumps(dict(pending.reference)))
    ctx.remind(until)
    return order


def _pause(ctx: Context, seconds: float) -> timedelta:
    """How long an authority wants not to be asked, or none at all; no longer than any order waits."""
    longest = timedelta(hours=ctx.certificates.give_up_after_hours)
    pause = timedelta(seconds=min(seconds, longest.total_seconds()))
    return max(pause, _SHORTEST_PAUSE) if seconds > 0 else timedelta()


@contextlib.contextmanager
def _outcome(ctx: Context, job: Job) -> Iterator[None]:
    """Take an order further in here, and how it went is written down."""
    try:
        yield
    except Superseded:
        LOG.warning('Order %s was deleted, or taken over from claim %d.', job.id, job.fence)
    except _GivenUp:
        _end_unwanted(ctx, job)
    except Unavailable as error:
        _try_later(ctx, job, error)
    except (Rejected, NotSupported, Invalid) as error:
        give_up(ctx, job, '400', f'Problem with data in certificate request - Reason: {error.sentence}',
                sub_status=_REFUSED)
    except KmError as error:
        LOG.error('Order %s failed: %s', job.id, error.sentence)
        give_up(ctx, job, '500', FAILED, sub_status=_BROKEN)
    except Exception:
        LOG.exception('Order %s failed in a way nobody foresaw.', job.id)
        give_up(ctx, job, '500', FAILED, sub_status=_BROKEN)


def _end_unwanted(ctx: Context, job: Job) -> None:
    if _begun(ctx, job).cancelled:
        give_up(ctx, job, '400', 'The order was cancelled.', sub_status=_CANCELLED)
    else:
        give_up(ctx, job, '503', 'The authority has not issued the certificate in time.',
                sub_status=_AGED)


def _try_later(ctx: Context, job: Job, error: Unavailable) -> None:
    """Let an order be taken further later; or give it up if it is too old."""
    order = _begun(ctx, job)
    if ctx.clock() >= order.give_up_at:
        give_up(ctx, job, '503', error.sentence, sub_status=_AGED)
        return
    LOG.warning('Order %s is tried again later: %s', job.id, error.sentence)
    pause = _LONGEST_PAUSE
    if order.failures < 20:  # further on it would be longer anyway
        pause = min(timedelta(seconds=ctx.certificates.retry_seconds * 2 ** order.failures), pause)
    pause *= random.uniform(0.8, 1.2)  # noqa: S311  nobody gains by guessing it
    if asked := asked_seconds(error):
        pause = max(timedelta(seconds=asked), _SHORTEST_PAUSE)
    with contextlib.suppress(Superseded):
        _postpone(ctx, job, order, error.sentence, after=pause, failures=order.failures + 1)


@retried
def _postpone(ctx: Context, job: Job, order: Row, why: str, *, after: timedelta,
              failures: int = 0) -> None:
    until = ctx.clock() + after
    sub_status, message = _SILENT[order.step]
    with ctx.transaction() as connection:
        if not orders.postponed(connection, job.id, fence=job.fence, until=until,
                                told=(sub_status, line(message.format(why), _LONGEST_MESSAGE))):
            raise Superseded
        rows.change(connection, job.id, failures=failures)
        if order.renews:
            certificates.renewal_waits(replace(ctx, identity=job.owner), connection, order.renews,
                                       order_id=job.id, failures=failures, reason=why)
    ctx.remind(until)


@retried
def give_up(ctx: Context, job: Job, code: str, reason: str, *, sub_status: str) -> None:
    """End an order without a certificate: what was made for it goes, and who renews tries again."""
    now, reason = ctx.clock(), line(reason, _LONGEST_REASON)
    with ctx.transaction() as connection:
        if not orders.failed(connection, job.id, fence=job.fence, code=code, now=now,
                             reason=reason, told=(sub_status, reason[:_LONGEST_MESSAGE])):
            return
        order = rows.get(connection, job.id)
        if order.holds_key and order.key_id:
            secrets.drop_held(connection, order.key_id, intent=new_intent(), now=now)
        owned = replace(ctx, identity=job.owner)
        if order.renews:
            certificates.renewal_failed(owned, connection, order.renews, order_id=job.id, reason=reason)
        else:
            events.add(owned, connection, 'order.failed', project_id=job.owner.project_id,
                       resource_type='order', resource_id=job.id,
                       details={'error_status_code': code, 'sub_status': sub_status})
        if job.status == DELETING:
            orders.remove(connection, job.id)
