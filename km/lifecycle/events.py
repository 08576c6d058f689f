# SPDX-License-Identifier: Apache-2.0
"""What notifiers are told of, in two steps: written down with what happened, told afterwards.

The row is written in the transaction that makes the thing true, so nothing is told that is not, and
nothing is forgotten that is. It goes when its notifier has been told. Whoever is killed in between
leaves it, and it is told again with the same id. Notifiers know nothing of each other: what one cannot
be told waits for that one alone.
"""
import json
import logging
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row

from km.db import events
from km.errors import KmError, Rejected
from km.hosting.guest import asked_seconds
from km.hosting.notifier import HostedNotifier
from km.interfaces import Event
from km.lifecycle.context import Context

LOG = logging.getLogger(__name__)

_PAGE = 50
_MOST_DETAILS = 2048
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 10, 3600
#: A notifier is told of one event after the other for so long; then whoever delivers has other work.
_PASS_SECONDS = 5.0
#: What is claimed is due again so much later than its notifier may take for it.
_MARGIN_SECONDS = 60.0
#: Between an event's row and the first look at it, which shall find it committed.
_SOON = timedelta(seconds=1)


def wanted(ctx: Context, kind: str) -> bool:
    """Whether any notifier is to be told of events of a kind, so that ``add`` needs a transaction."""
    return any(kind in notifier.kinds for notifier in ctx.notifiers.values())


def add(ctx: Context, connection: Connection, kind: str, *, project_id: str, resource_type: str,
        resource_id: str, details: Mapping[str, str | int] | None = None) -> None:
    """Write down that something happened, for each notifier that wants to hear of it.

    Nothing is asked of the database if there is none.

    :param connection: of the transaction that makes it true.
    :param kind: one of ``km.conf.events.KINDS``.
    :param resource_type: ``secret``, ``container``, ``order`` or ``certificate``.
    :param details: what else there is to say; ``user_id``, who asked, is added if anybody did.
    """
    told = [name for name, notifier in ctx.notifiers.items() if kind in notifier.kinds]
    if not told:
        return
    now = ctx.clock()
    asked = {'user_id': ctx.identity.user_id} if ctx.identity.user_id else {}
    event = {'event_id': str(uuid.uuid4()), 'kind': kind, 'project_id': project_id,
             'resource_type': resource_type, 'resource_id': resource_id, 'occurred': now,
             'details': _written({**asked, **(details or {})})}
    events.insert(connection, [{**event, 'id': str(uuid.uuid4()), 'notifier': name} for name in told])
    ctx.remind(now + _SOON)


def deliver(ctx: Context) -> int:
    """Tell notifiers what they are to be told by now, each in a thread of its own, so that none waits
    for another. Any number of processes may do so at once.

    :returns: of how many events a notifier was told.
    """
    with ctx.statement() as connection:
        due = events.notifiers_due(connection, now=ctx.clock())
    for name in sorted(due.difference(ctx.notifiers)):
        _give_up_aged(ctx, name, 'It is not enabled.')
    ready = [notifier for name, notifier in ctx.notifiers.items() if name in due and not notifier.rests]
    if not ready:
        return 0
    with ThreadPoolExecutor(len(ready), thread_name_prefix='km-notifier') as threads:
        return sum(threads.map(lambda notifier: _deliver(ctx, notifier), ready))


def _deliver(ctx: Context, notifier: HostedNotifier) -> int:
    """Tell one notifier what is due, until nothing is, it does not answer, or it took long enough."""
    told, enough = 0, time.monotonic() + _PASS_SECONDS
    while True:
        with ctx.statement() as connection:
            page = events.due(connection, notifier.name, now=ctx.clock(), page=_PAGE)
        for row in page:
            told += _tell(ctx, notifier, row)
            if notifier.rests:
                _give_up_aged(ctx, notifier.name, 'It does not answer.')
                return told
            if time.monotonic() > enough:
                ctx.remind(ctx.clock())
                return told
        if len(page) < _PAGE:
            return told


def _tell(ctx: Context, notifier: HostedNotifier, row: Row) -> bool:
    """Tell a notifier of an event, unless somebody else is at it, and record how that went."""
    lease = timedelta(seconds=notifier.seconds + _MARGIN_SECONDS)
    with ctx.statement() as connection:
        if not events.claim(connection, row, until=ctx.clock() + lease):
            return False
    try:
        notifier.notify(_event(row))
    except Rejected as error:
        _give_up(ctx, row, error.sentence)
        return False
    except KmError as error:
        _postpone(ctx, row, error)
        return False
    with ctx.statement() as connection:
        events.delete(connection, row.id)
    return True


def _postpone(ctx: Context, row: Row, error: KmError) -> None:
    """Let an event be told later, or give it up if it is too old."""
    now = ctx.clock()
    if row.occurred <= _too_old(ctx, now):
        _give_up(ctx, row, error.sentence)
        return
    pause = max(asked_seconds(error),
                min(_FIRST_PAUSE_SECONDS * 2 ** min(row.attempts, 20), _LONGEST_PAUSE_SECONDS))
    until = now + timedelta(seconds=pause)
    LOG.warning('Notifier %s is told again in %d s of event %s: %s', row.notifier, pause, row.event_id,
                error.sentence)
    with ctx.statement() as connection:
        events.postpone(connection, row, until=until)
    ctx.remind(until)


def _give_up_aged(ctx: Context, name: str, why: str) -> None:
    """Give up what is too old for a notifier that cannot be told of anything now, and perhaps never can
    be again: its rows must not become ever more."""
    before = _too_old(ctx, ctx.clock())
    while True:
        with ctx.statement() as connection:
            page = events.aged(connection, name, before=before, page=_PAGE)
        for row in page:
            _give_up(ctx, row, why)
        if len(page) < _PAGE:
            return


def _give_up(ctx: Context, row: Row, why: str) -> None:
    LOG.error('Notifier %s is never told of event %s (%s of %s %s): %s', row.notifier, row.event_id,
              row.kind, row.resource_type, row.resource_id, why)
    with ctx.statement() as connection:
        events.delete(connection, row.id)


def _too_old(ctx: Context, now: datetime) -> datetime:
    return now - timedelta(days=ctx.events.most_age_days)


def _event(row: Row) -> Event:
    return Event(id=row.event_id, kind=row.kind, project_id=row.project_id,
                 resource_type=row.resource_type, resource_id=row.resource_id, occurred=row.occurred,
                 details=json.loads(row.details))


def _written(details: Mapping[str, str | int]) -> str:
    """Details as a row has them. An event without its details is better than none."""
    written = json.dumps(details, ensure_ascii=False)
    return written if len(written) <= _MOST_DETAILS else json.dumps({'omitted': 'too long'})
