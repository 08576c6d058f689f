# SPDX-License-Identifier: Apache-2.0
"""Which secret store a payload goes to: telling which ones there are, and a project's choice."""
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy import Connection, Row

from km.db import secrets, settings
from km.db import stores as rows
from km.db.failures import all_or_none, retried
from km.db.models import ACTIVE
from km.errors import Conflict, Invalid, KmError, NotFound, Unavailable
from km.hosting.store import HostedStore
from km.interfaces import StoredSecret
from km.lifecycle.context import Context, task

LOG = logging.getLogger(__name__)

_ATTEMPTS = 5


@retried
def announce(ctx: Context, plugins: Mapping[str, str]) -> None:
    """Write down which stores this worker has enabled, for processes that have no store.

    Any number of workers may start at once: who comes second finds it done. If they are not
    configured alike, the last one to start is believed.

    :param plugins: the plugin of every store, by the operator's name.
    """
    for _ in range(_ATTEMPTS):
        with ctx.statement() as connection:
            statements = rows.outdated(
                connection, plugins, default=ctx.default_store, now=ctx.clock())
        if not statements:
            return
        with ctx.transaction() as connection:
            if all_or_none(connection, statements):
                return
    raise Unavailable('The secret stores could not be written down.')


def choose(ctx: Context, project: Row | None) -> HostedStore:
    """The store that a new payload of a project goes to: the preferred one, or the default.

    :param project: its settings, if it has any.
    :raises Unavailable: the one it prefers is not enabled. What it chose for its safety must not
        silently be another.
    """
    preferred = None if project is None else project.preferred_store
    return enabled(ctx, preferred or ctx.default_store)


def enabled(ctx: Context, name: str) -> HostedStore:
    """The open store of that name.

    :raises Unavailable: there is none.
    """
    try:
        return ctx.stores[name]
    except KeyError:
        raise Unavailable(f"The secret store '{name}' is not enabled.") from None


def active(ctx: Context, store_id: str) -> str:
    """The name of the store with that id.

    :raises NotFound: there is no such store.
    :raises Invalid: it is not enabled any more.
    """
    with ctx.statement() as connection:
        return _active(connection, store_id)


def destroy(store: HostedStore, object_id: str, project_id: str, *,
            is_ours: Callable[[], bool] = lambda: True) -> None:
    """Delete everything a store keeps for an id: more than one attempt may have left something.

    :param is_ours: whether nobody else may have put there what was found a moment ago.
    :raises Unavailable: the store does not answer, or does not delete.
    :raises Conflict: it is not ours any more; whatever is there now stays.
    """
    last = None
    while (reference := store.find(object_id)) is not None:
        if reference == last:
            raise Unavailable('The store keeps what it was told to delete.')
        if not is_ours():
            raise Conflict('Somebody else has taken it over.')
        last = reference
        store.delete(StoredSecret(secret_id=object_id, project_id=project_id, reference=reference))


def destroy_claimed(ctx: Context, row: Row, store: str) -> None:
    """Delete what a store keeps for a secret, as long as its row has the intent that it was read with.
    Who is slow is taken for dead, and then what is there may be all that there is of the payload.

    :raises Unavailable, Conflict: see ``destroy``.
    """
    def is_ours() -> bool:
        with ctx.statement() as connection:
            now = secrets.state(connection, row.id)
        return now is not None and now.intent == row.intent

    destroy(enabled(ctx, store), row.id, row.project_id, is_ours=is_ours)


@contextlib.contextmanager
def left_to_the_sweep(thing: str) -> Iterator[None]:
    """What fails in here is logged and no more: the row says what is left to do.

    :param thing: its kind and id, for the log.
    """
    try:
        yield
    except KmError as error:
        LOG.warning('%s waits for the sweep: %s', thing, error.sentence)
    except Exception:
        LOG.exception('%s waits for the sweep.', thing)


@task('secretstore_preferred:post')
def prefer(ctx: Context, *, store_id: str) -> None:
    """Have the payloads of the caller's own project go to a store from now on.

    :raises NotFound: there is no such store.
    :raises Invalid: it is not enabled any more.
    """
    _prefer(ctx, ctx.identity.project_id, store_id)


@task('secretstore_preferred:post_of_project')
def prefer_for(ctx: Context, *, store_id: str, project_id: str) -> None:
    """The same for any project; nobody asks whether Keystone has it."""
    _prefer(ctx, project_id, store_id)


@task('secretstore_preferred:delete')
def unprefer(ctx: Context, *, store_id: str) -> None:
    """Have the payloads of the caller's own project go to the default store again.

    :raises NotFound: this is not the store it prefers.
    """
    _unprefer(ctx, ctx.identity.project_id, store_id)


@task('secretstore_preferred:delete_of_project')
def unprefer_for(ctx: Context, *, store_id: str, project_id: str) -> None:
    """The same for any project."""
    _unprefer(ctx, project_id, store_id)


@retried
def _prefer(ctx: Context, project_id: str, store_id: str) -> None:
    with ctx.transaction() as connection:
        settings.set_preferred(connection, project_id, _active(connection, store_id))


@retried
def _unprefer(ctx: Context, project_id: str, store_id: str) -> None:
    with ctx.transaction() as connection:
        store = _get(connection, store_id)
        if not settings.unset_preferred(connection, project_id, store.name):
            raise NotFound('The project does not prefer this secret store.')


def _active(connection: Connection, store_id: str) -> str:
    store = _get(connection, store_id)
    if store.status != ACTIVE:
        raise Invalid('The secret store is not enabled.')
    return store.name


def _get(connection: Connection, store_id: str) -> Row:
    store = rows.get(connection, store_id)
    if store is None:
        raise NotFound('Secret store not found.')
    return store
