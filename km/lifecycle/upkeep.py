# SPDX-License-Identifier: Apache-2.0
"""The sweep: what a killed process left half done is undone, what expired is erased.

Any number of sweeps may run at once; each piece of work goes to the one that takes its intent over.
"""
import dataclasses
import logging
from collections.abc import Callable
from types import ModuleType

from sqlalchemy import Row

from km.db import authorities as authority_rows
from km.db import messages
from km.db import secrets as secret_rows
from km.db import transport_keys as key_rows
from km.db.models import DELETING
from km.errors import KmError, NotFound
from km.lifecycle import (
    authorities,
    crls,
    events,
    moving,
    orders,
    renewals,
    revocations,
    secrets,
    subordinates,
    transport_keys,
)
from km.lifecycle.context import Context, new_intent

LOG = logging.getLogger(__name__)

_PAGE = 100


@dataclasses.dataclass(slots=True)
class Swept:
    """What one sweep did: secrets and transport keys erased because their time was over, pieces of work
    ended, failures, orders that were due, renewals begun, revocations carried out and events told."""

    expired: int = 0
    ended: int = 0
    failed: int = 0
    ordered: int = 0
    renewed: int = 0
    revoked: int = 0
    told: int = 0

    def __str__(self) -> str:
        return (f'{self.expired} expired, {self.ended} ended, {self.failed} failed, '
                f'{self.ordered} orders tried, {self.renewed} certificates renewed, '
                f'{self.revoked} revoked, {self.told} events told')


def sweep(ctx: Context) -> Swept:
    """Erase what expired, end what was abandoned, renew the transport key, and fulfil what is due.

    A store that does not answer is logged and asked again by the next sweep.
    """
    swept = Swept()
    with ctx.statement() as connection:
        messages.forget(connection, now=ctx.clock())
    _erase_expired(ctx, swept)
    _end_abandoned(ctx, swept, secret_rows, _end_secret)
    _end_abandoned(ctx, swept, key_rows, transport_keys.erase)
    _end_abandoned(ctx, swept, authority_rows, subordinates.finish)
    _try(ctx, swept, 'Transport keys stay as they are', _renew_transport_key)
    _try(ctx, swept, 'Authorities are not looked at', lambda *_: authorities.refresh(ctx))
    _try(ctx, swept, 'CRLs are not looked at', lambda *_: crls.publish(ctx))
    _do_what_is_due(ctx, swept)
    _try(ctx, swept, 'No notice is given of ends, and nothing is forgotten,', _warn)
    return swept


def do_what_is_due(ctx: Context) -> Swept:
    """What of a sweep cannot wait for the next one: orders whose time has come."""
    return _do_what_is_due(ctx, Swept())


def _do_what_is_due(ctx: Context, swept: Swept) -> Swept:
    _try(ctx, swept, 'Orders wait', _process)
    _try(ctx, swept, 'Certificates are not renewed', _renew)
    _try(ctx, swept, 'Certificates are not revoked', _revoke)
    _try(ctx, swept, 'Events are not told', _tell)
    return swept


def _erase_expired(ctx: Context, swept: Swept) -> None:
    while True:
        with ctx.statement() as connection:
            ids = secret_rows.expired(connection, now=ctx.clock(), page=_PAGE)
        for secret_id in ids:
            try:
                secrets.delete(ctx, secret_id=secret_id)
                swept.expired += 1
            except NotFound:
                continue  # another sweep, or its owner, was faster
        if len(ids) < _PAGE:
            return


def _end_abandoned(ctx: Context, swept: Swept, rows: ModuleType,
                   end: Callable[[Context, Row], None]) -> None:
    """End the work that was begun long ago on the things of one table.

    :param rows: the module of the table.
    :param end: does it, for a row whose intent is ours.
    """
    before = ctx.clock() - ctx.intent_timeout
    while True:
        with ctx.statement() as connection:
            page = rows.abandoned(connection, before=before, page=_PAGE)
        for row in page:
            _end(ctx, row, swept, rows, end)
        if len(page) < _PAGE:
            return


def _end(ctx: Context, row: Row, swept: Swept, rows: ModuleType,
         end: Callable[[Context, Row], None]) -> None:
    # Taking over renews the intent's time, so a row whose store fails is not met again in this sweep.
    with ctx.statement() as connection:
        if not rows.take_over(connection, row, intent=new_intent(), now=ctx.clock()):
            return
        taken = rows.state(connection, row.id)
    if taken is None:
        return  # the process taken for dead was only slow, and has finished
    try:
        end(ctx, taken)
        swept.ended += 1
    except KmError as error:
        swept.failed += 1
        LOG.warning('%s stays for the next sweep: %s', row.id, error.sentence)
    except Exception:
        swept.failed += 1
        LOG.exception('%s stays for the next sweep.', row.id)


def _end_secret(ctx: Context, row: Row) -> None:
    if row.other_store:
        moving.settle(ctx, row)
    elif row.status == DELETING:
        secrets.finish_deleting(ctx, row)
    else:
        secrets.undo_storing(ctx, row)


def _process(ctx: Context, swept: Swept) -> None:
    while orders.process_next(ctx):
        swept.ordered += 1


def _renew(ctx: Context, swept: Swept) -> None:
    swept.renewed += renewals.renew_due(ctx)


def _warn(ctx: Context, swept: Swept) -> None:
    renewals.warn(ctx)
    renewals.forget_former(ctx)


def _revoke(ctx: Context, swept: Swept) -> None:
    swept.revoked += revocations.revoke_due(ctx)


def _tell(ctx: Context, swept: Swept) -> None:
    swept.told += events.deliver(ctx)


def _renew_transport_key(ctx: Context, swept: Swept) -> None:
    swept.expired += transport_keys.retire_superseded(ctx)
    transport_keys.rotate_aged(ctx)


def _try(ctx: Context, swept: Swept, otherwise: str, work: Callable[[Context, Swept], None]) -> None:
    """Do a part of the sweep, whose failure keeps no other part from being done.

    :param otherwise: what that means, for the log.
    """
    try:
        work(ctx, swept)
    except KmError as error:
        swept.failed += 1
        LOG.warning('%s until the next sweep: %s', otherwise, error.sentence)
    except Exception:
        swept.failed += 1
        LOG.exception('%s until the next sweep.', otherwise)
