# SPDX-License-Identifier: Apache-2.0
"""The life of a subordinate authority: made, and removed, by intent, effect and outcome."""
import uuid
from typing import Any

from sqlalchemy import Row

from km.db import authorities as rows
from km.db import chosen_authorities as chosen
from km.db import settings
from km.db.failures import retried
from km.db.models import ACTIVE, DISABLED, STORING
from km.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from km.hosting.deadlines import Overdue
from km.interfaces import SubordinateMaker, SubordinateRequest
from km.lifecycle import authorities, quotas, stores
from km.lifecycle.context import Context, new_intent, task

#: The states in which an authority exists for clients.
_SEEN = (ACTIVE, DISABLED)


@task('certificate_authorities:post')
def create(ctx: Context, *, name: str, description: str, subject: bytes, parent_id: str) -> str:
    """Have an authority made under another; only the caller's project will have certificates of it.

    :param subject: its Name (RFC 5280, 4.1.2.6), DER.
    :returns: the id.
    :raises Invalid: there is no such parent, or it can have none under it.
    :raises Forbidden: the parent is of another project.
    :raises QuotaExceeded: the project has as many as it may have.
    :raises Rejected, Unavailable: as the parent's plugin says; then nothing was made.
    """
    authority_id, intent = str(uuid.uuid4()), new_intent()
    parent = _begin(ctx, parent_id, id=authority_id, plugin_ca_id=authority_id, name=name,
                    description=description, intent=intent)
    try:
        made = _maker(ctx, parent.plugin_name).make_subordinate(SubordinateRequest(
            authority_id=authority_id, project_id=ctx.identity.project_id,
            parent=parent.plugin_ca_id, subject=subject, name=name))
        described = authorities.described(parent.plugin_name, made)
        if made.name != authority_id:
            raise authorities.failed(parent.plugin_name, 'gave a subordinate another name')
    except Overdue:
        raise  # it may be made yet; the sweep waits for it
    except Exception:
        _take_back(ctx, parent.plugin_name, authority_id)
        raise
    if not _record(ctx, authority_id, intent, described):
        _take_back(ctx, parent.plugin_name, authority_id)
        raise Unavailable('The subordinate CA took too long to make.')
    return authority_id


@task('certificate_authority:delete')
def delete(ctx: Context, *, ca_id: str) -> None:
    """Delete a subordinate: it issues no more, and its key is destroyed.

    :raises NotFound: it is gone already.
    :raises Forbidden: it is no subordinate.
    :raises Conflict: something hangs on it: another under it, certificates that were ordered of it, or
        the project's preference.
    """
    row = _mark_deleting(ctx, ca_id)
    with stores.left_to_the_sweep(f'Certificate authority {ca_id}'):
        finish(ctx, row)


def finish(ctx: Context, row: Row) -> None:
    """Have a subordinate removed that clients cannot see, then its row.

    :raises Unavailable: its plugin does not answer; the row stays for the next sweep.
    """
    _remove(ctx, row.plugin_name, row.id)


def forget(ctx: Context, project_id: str) -> int:
    """Remove the subordinates of a project, and what it has chosen; its orders must be gone before.

    :returns: how many subordinates there were.
    """
    with ctx.statement() as connection:
        chosen.forget(connection, project_id)
        found = rows.of_project(connection, project_id)
    gone = 0
    for row in found:
        with stores.left_to_the_sweep(f'Certificate authority {row.id}'):
            if row.status in _SEEN:
                delete(ctx, ca_id=row.id)
            elif row.status == STORING:
                _stop_making(ctx, row)
            gone += 1
    return gone


@retried
def _begin(ctx: Context, parent_id: str, **subordinate: Any) -> Row:
    """Write down that an authority is to be made; the one above it, which stays as long.

    :raises Invalid, Forbidden, QuotaExceeded: see ``create``.
    """
    now, owner = ctx.clock(), ctx.identity
    with ctx.transaction() as connection:
        _require_parent(ctx, rows.get(connection, parent_id))
        quotas.require_room(ctx, connection, cas=1)  # first, as whoever deletes one takes the project
        parent = _require_parent(ctx, rows.held(connection, parent_id))
        rows.insert(
            connection, plugin_name=parent.plugin_name, parent_id=parent.id,
            project_id=owner.project_id, creator_id=owner.user_id, intent_at=now, created=now,
            updated=now, **subordinate)
    return parent


def _require_parent(ctx: Context, parent: Row | None) -> Row:
    """Insist on an authority that the caller may have one made under.

    :raises Invalid, Forbidden: see ``create``.
    """
    if parent is None:
        raise Invalid('The parent CA in the request is invalid.')
    if parent.project_id not in (None, ctx.identity.project_id):
        raise Forbidden(authorities.NOT_OWNED)
    if parent.status != ACTIVE:
        raise Invalid('The parent CA is not enabled.')
    _maker(ctx, parent.plugin_name)
    return parent


def _record(ctx: Context, authority_id: str, intent: str, described: dict[str, Any]) -> bool:
    now = ctx.clock()
    with ctx.statement() as connection:
        return rows.activate(connection, authority_id, intent=intent, updated=now,
                             expiration=now + authorities.HOLDS, **described)


def _take_back(ctx: Context, plugin: str, authority_id: str) -> None:
    """Undo what was done for one that nobody was told of, even if a sweep has removed its row."""
    with stores.left_to_the_sweep(f'Certificate authority {authority_id}'):
        _remove(ctx, plugin, authority_id)


def _remove(ctx: Context, plugin: str, authority_id: str) -> None:
    _maker(ctx, plugin).remove_subordinate(authority_id)
    with ctx.statement() as connection:
        rows.delete(connection, authority_id)


@retried
def _mark_deleting(ctx: Context, authority_id: str) -> Row:
    """Make a subordinate invisible, and chosen no more.

    :raises NotFound, Forbidden, Conflict: see ``delete``.
    """
    with ctx.transaction() as connection:
        row = rows.get(connection, authority_id)
        if row is None:
            raise NotFound(authorities.UNKNOWN)
        if row.project_id is None:
            raise Forbidden('Only subordinate CAs can be deleted.')
        settings.lock(connection, row.project_id)
        if not rows.mark_deleting(connection, row.id, intent=new_intent(), now=ctx.clock()):
            raise NotFound(authorities.UNKNOWN)
        if rows.has_subordinates(connection, row.id):
            raise Conflict('The CA has subordinate CAs under it; delete those first.')
        if rows.has_pending_orders(connection, row.id):
            raise Conflict('Certificates are being ordered of the CA.')
        authorities.leave(connection, row.project_id, row.id)
    return row


def _stop_making(ctx: Context, row: Row) -> None:
    """Remove a subordinate that is being made; who is at it will find it gone."""
    with ctx.statement() as connection:
        taken = rows.take_over(connection, row, intent=new_intent(), now=ctx.clock())
    if taken:
        finish(ctx, row)
    else:
        delete(ctx, ca_id=row.id)


def _maker(ctx: Context, plugin: str) -> SubordinateMaker:
    """A plugin, as one that has subordinates.

    :raises Unavailable: it is not enabled.
    :raises Invalid: it can have none.
    """
    hosted = ctx.authorities.get(plugin)
    if hosted is None:
        raise Unavailable(f"The certificate authority '{plugin}' is not enabled.")
    maker = hosted.able(SubordinateMaker)
    if maker is None:
        raise Invalid('The parent CA can have no subordinate CAs.')
    return maker
