# SPDX-License-Identifier: Apache-2.0
"""Who issues certificates: writing down what plugins say, and what projects choose."""
import logging
import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from km.certificates import certificates
from km.db import authorities as rows
from km.db import chosen_authorities as chosen
from km.db import settings
from km.db.failures import all_or_none, retried
from km.db.models import ACTIVE
from km.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KmError,
    NotFound,
    Rejected,
    Unavailable,
    Unexpected,
)
from km.interfaces import Authority, SubordinateMaker
from km.lifecycle.context import NOBODY, Context, task

LOG = logging.getLogger(__name__)

_ATTEMPTS = 5
#: How long what a plugin said of an authority holds.
HOLDS = timedelta(days=1)
_LONGEST_DESCRIPTION = 1024
#: Characters of PEM that a row has room for.
_LONGEST_CERTIFICATE, _LONGEST_CHAIN = 16384, 32768
_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
NOT_OWNED = 'Subordinate CA is not owned by this project'
UNKNOWN = 'CA not found.'

#: What plugins said, by plugin and the plugin's name of an authority, as its row has it.
Told = dict[str, dict[str, dict[str, Any]]]


def announce(ctx: Context) -> None:
    """Write down which authorities this worker has, for processes that have no plugin.

    Any number of workers may start at once: who comes second finds it done. If they are not configured
    alike, the last one to start is believed. A plugin that does not answer is left to ``refresh``.

    :raises Unavailable: the database does not answer, or others write all the time.
    """
    _write(ctx, _told(ctx, ctx.authorities), whole=True)


def refresh(ctx: Context) -> None:
    """Ask the plugins anew whose authorities were described too long ago, or never.

    :raises Unavailable: see ``announce``.
    """
    with ctx.statement() as connection:
        plugins = rows.unheard(connection, set(ctx.authorities), now=ctx.clock())
    if plugins and (told := _told(ctx, plugins)):
        _write(ctx, told, whole=False)


def choose(ctx: Context, connection: Connection, project_id: str, ca_id: str | None) -> Row:
    """The authority that a project orders a certificate of. It stays until the transaction ends.

    :param ca_id: what the order says; None for the one that the project prefers, or else the global
        preferred one, or else the first there is.
    :raises Invalid: the order names none, or there is none.
    :raises Forbidden: the one it names is of another project, or not among those the project has chosen.
    :raises Unavailable: the preferred one is not enabled. It must not silently be another.
    """
    if ca_id is not None:
        return _named(connection, project_id, ca_id)
    preferred = chosen.preferred(connection, project_id) or rows.global_preferred(connection)
    found = preferred or rows.first(connection, list(ctx.authorities))
    if found is None:
        raise Invalid('There is no certificate authority.')
    row = rows.held(connection, found.id)
    if row is None or row.status != ACTIVE:
        raise Unavailable('The preferred certificate authority is not enabled.')
    return row


@task('certificate_authority:add_to_project')
@retried
def add(ctx: Context, *, ca_id: str) -> None:
    """Have the caller's project choose an authority; the first one it chooses is the one it prefers.

    :raises NotFound: it is gone.
    :raises Invalid: it is not enabled any more.
    """
    project_id = ctx.identity.project_id
    with ctx.transaction() as connection:
        settings.lock(connection, project_id)
        row = _held(connection, ca_id)
        found = chosen.of(connection, project_id)
        if row.id not in found:
            chosen.add(connection, project_id, row.id, preferred=not found, now=ctx.clock())


@task('certificate_authority:remove_from_project')
@retried
def remove(ctx: Context, *, ca_id: str) -> None:
    """Have the caller's project choose an authority no more. If it was the last, it may use all again.

    :raises NotFound: the project has not chosen it.
    :raises Conflict: it is the preferred one, and there are others.
    """
    project_id = ctx.identity.project_id
    with ctx.transaction() as connection:
        settings.lock(connection, project_id)
        if not leave(connection, project_id, ca_id):
            raise NotFound('The CA is not among those of this project.')


@task('certificate_authority:set_preferred')
@retried
def prefer(ctx: Context, *, ca_id: str) -> None:
    """Have the caller's project prefer one of those that it has chosen.

    :raises NotFound: it is gone.
    :raises Invalid: the project has not chosen it, or it is not enabled any more.
    """
    project_id = ctx.identity.project_id
    with ctx.transaction() as connection:
        settings.lock(connection, project_id)
        row = _held(connection, ca_id)
        if row.id not in chosen.of(connection, project_id):
            raise Invalid('The CA is not among those of this project; add it first.')
        chosen.prefer(connection, project_id, row.id)


@task('certificate_authority:set_global_preferred')
def prefer_globally(ctx: Context, *, ca_id: str) -> None:
    """Have all projects that have chosen none prefer an authority.

    :raises NotFound: it is gone.
    :raises Invalid: it is a subordinate, which is of one project, or is not enabled any more.
    """
    _prefer_globally(ctx, ca_id)


@task('certificate_authorities:unset_global_preferred')
def unprefer_globally(ctx: Context) -> None:
    """Have no authority preferred by all projects; it is no error if none is."""
    _prefer_globally(ctx, None)


def leave(connection: Connection, project_id: str, authority_id: str) -> bool:
    """Have a project choose an authority no more; False if it had not. Needs its settings locked.

    :raises Conflict: it is the preferred one, and there are others.
    """
    found = chosen.of(connection, project_id)
    if found.get(authority_id) and len(found) > 1:
        raise Conflict('The CA is the preferred one of the project: prefer another one first.')
    chosen.remove(connection, project_id, authority_id)
    return authority_id in found


@retried
def _write(ctx: Context, told: Told, *, whole: bool) -> None:
    """Make the rows say what plugins told.

    :param whole: whether what other plugins had, unless they are merely silent, is gone.
    """
    made = {(plugin, name) for plugin, authorities in told.items() for name in authorities
            if _UUID.fullmatch(name) and ctx.authorities[plugin].able(SubordinateMaker)}
    for _ in range(_ATTEMPTS):
        now = ctx.clock()
        with ctx.statement() as connection:
            statements = rows.outdated(
                connection, told, enabled=set(ctx.authorities) if whole else None, made=made,
                now=now, until=now + HOLDS)
        if not statements:
            return
        with ctx.transaction() as connection:
            if all_or_none(connection, statements):
                return
    raise Unavailable('The certificate authorities could not be written down.')


def _told(ctx: Context, plugins: Collection[str]) -> Told:
    """What plugins say of their authorities; those that do not answer are left out."""
    told: Told = {}
    for plugin in (name for name in ctx.authorities if name in plugins):
        try:
            told[plugin] = {
                authority.name: {'name': authority.name, **described(plugin, authority),
                                 'description': _line(authority.description)}
                for authority in ctx.authorities[plugin].authorities()}
        except KmError as error:
            LOG.warning('The authorities of %s stay as they are: %s', plugin, error.sentence)
    return told


def _line(text: str) -> str:
    return ''.join(letter if letter.isprintable() else ' ' for letter in text)[:_LONGEST_DESCRIPTION]


def described(plugin: str, authority: Authority) -> dict[str, Any]:
    """What signs as an authority, as its row has it.

    :raises Unexpected: it is no certificate, or longer than a row, or the authority's name is no text.
    """
    own = (authority.certificate,) if authority.certificate else ()
    if not authority.name.isprintable():
        raise failed(plugin, 'has an authority whose name cannot be printed')
    try:
        certificate, chain = (
            certificates.pem(*ders).decode() or None for ders in (own, authority.chain))
        ends = certificates.describe(own[0]).not_after if own else None
    except Rejected:
        raise failed(plugin, 'told of an authority with what is no certificate') from None
    if len(certificate or '') > _LONGEST_CERTIFICATE or len(chain or '') > _LONGEST_CHAIN:
        raise failed(plugin, 'told of an authority with more certificates than a row takes')
    return {'certificate': certificate, 'chain': chain, 'not_after': ends}


def failed(plugin: str, what: str) -> Unexpected:
    """What a client is told of a plugin that did what it must not; the log says what that was."""
    LOG.error('Certificate authority %s %s.', plugin, what)
    return Unexpected(f"The certificate authority '{plugin}' failed.")


@retried
def _prefer_globally(ctx: Context, ca_id: str | None) -> None:
    with ctx.transaction() as connection:
        settings.lock(connection, NOBODY.project_id)  # one at a time
        if ca_id is not None and _held(connection, ca_id).project_id is not None:
            raise Invalid('A subordinate CA cannot be preferred by all projects.')
        rows.prefer_globally(connection, ca_id)


def _held(connection: Connection, ca_id: str) -> Row:
    """An authority to choose.

    :raises NotFound: there is no such authority.
    :raises Invalid: it is not enabled.
    """
    row = rows.held(connection, ca_id)
    if row is None:
        raise NotFound(UNKNOWN)
    if row.status != ACTIVE:
        raise Invalid('The CA is not enabled.')
    return row


def _named(connection: Connection, project_id: str, ca_id: str) -> Row:
    """The authority that an order names.

    :raises Invalid, Forbidden: see ``choose``.
    """
    row = rows.held(connection, ca_id)
    if row is None:
        raise Invalid('The ca_id provided in the request is invalid.')
    if row.project_id not in (None, project_id):
        raise Forbidden(NOT_OWNED)
    found = chosen.of(connection, project_id)
    if found and row.id not in found:
        raise Forbidden('The ca_id provided in the request is not among the CAs of this project')
    if row.status != ACTIVE:
        raise Invalid('The CA provided in the request is not enabled.')
    return row
