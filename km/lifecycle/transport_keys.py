# SPDX-License-Identifier: Apache-2.0
"""Keys that clients wrap payloads with, so that only a worker sees them.

The private half of a key is a payload like any other: it is in a secret store, under the key's id,
and it gets there and goes away by intent, effect and outcome.
"""
import json
import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import Row

from km.db import transport_keys as rows
from km.db.failures import retried
from km.errors import Invalid, NotFound, Unavailable
from km.hosting.deadlines import Overdue
from km.hosting.store import HostedStore
from km.interfaces import StoredSecret, StoreRequest
from km.lifecycle import stores, wrapping
from km.lifecycle.context import NOBODY, Context, new_intent, task

#: How a client wrapped a payload: the ``transport_key_id`` and ``padding`` that ``unwrap`` takes.
Wrapping = Mapping[str, Any]

LOG = logging.getLogger(__name__)

#: What km's own keys have for a plugin's name: km itself unwraps, whichever the store is.
OWN = 'km'

_TEXT = 'text/plain'
_OWNER = NOBODY.project_id


@task('transport_keys:get', 'secrets:post')
def current(ctx: Context) -> str:
    """The id of the key to wrap payloads with from now on. If there is none, one is made.

    :raises NotFound: km is not configured to have any.
    """
    if not ctx.transport_keys.enabled:
        raise NotFound('Transport keys are not enabled in the service configuration.')
    with ctx.statement() as connection:
        row = rows.current(connection)
    return row.id if row else _make(ctx, instead_of=None)


@task('transport_keys:post')
def register(ctx: Context, *, plugin_name: str, transport_key: str) -> str:
    """Add a public key for clients of a plugin, which km itself cannot unwrap with.

    :param transport_key: PEM.
    :returns: the id.
    :raises Invalid: the plugin's name is the one of km's own keys.
    """
    if plugin_name == OWN:
        raise Invalid(f"The plugin name '{OWN}' is of keys that km makes itself.")
    key_id, now = str(uuid.uuid4()), ctx.clock()
    with ctx.statement() as connection:
        rows.insert(connection, id=key_id, plugin_name=plugin_name, transport_key=transport_key,
                    created=now, updated=now)
    return key_id


@task('transport_key:delete')
def delete(ctx: Context, *, transport_key_id: str) -> None:
    """Delete a key, with its private half. If it is the current one, the next client gets a new one.

    :raises NotFound: it is gone already.
    """
    with ctx.statement() as connection:
        marked = rows.mark_deleting(
            connection, transport_key_id, intent=new_intent(), now=ctx.clock())
        row = rows.state(connection, transport_key_id) if marked else None
    if row is None:
        raise NotFound('Transport key not found.')
    with stores.left_to_the_sweep(f'Transport key {transport_key_id}'):
        erase(ctx, row)


def rotate(ctx: Context) -> str:
    """Put a new key in the place of the current one, which opens payloads until it is retired.

    :returns: the id of the key that is current now. If somebody else rotated meanwhile, it is theirs.
    """
    with ctx.statement() as connection:
        row = rows.current(connection)
    return _make(ctx, instead_of=row.id if row else None)


def rotate_aged(ctx: Context) -> None:
    """``rotate``, if the current key is old enough."""
    if not ctx.transport_keys.enabled:
        return
    with ctx.statement() as connection:
        row = rows.current(connection)
    if row is not None and row.created <= _days_ago(ctx, ctx.transport_keys.rotate_days):
        _make(ctx, instead_of=row.id)


def retire_superseded(ctx: Context) -> int:
    """Delete the keys that are no longer current for long enough; how many these were."""
    with ctx.statement() as connection:
        ids = rows.superseded(connection, before=_days_ago(ctx, ctx.transport_keys.retire_days))
    retired = 0
    for key_id in ids:
        try:
            delete(ctx, transport_key_id=key_id)
            retired += 1
        except NotFound:
            continue  # another sweep was faster
    return retired


def unwrap(ctx: Context, wrapped: bytes, *, transport_key_id: str, padding: str | None,
           content_type: str | None) -> bytes:
    """The payload that a client wrapped.

    :param wrapped: see ``km.lifecycle.wrapping``.
    :param padding: of RSA ciphertext, as the client told it; None if it did not.
    :param content_type: the payload's; text must turn out to be UTF-8.
    :raises Invalid: the key is none of km's own, or does not open it, or what is in it cannot be kept.
    :raises CannotOpen, Unavailable: as the store of the private half says.
    """
    if not ctx.transport_keys.enabled:
        raise Invalid('Transport keys are not enabled in the service configuration.')
    legacy = (wrapping.PKCS1,) if ctx.transport_keys.legacy_padding else ()
    payload = wrapping.opened(
        wrapped, _private(ctx, transport_key_id), key_id=transport_key_id,
        project_id=ctx.identity.project_id,
        paddings=(padding,) if padding else (wrapping.OAEP, *legacy))
    if not payload:
        raise Invalid('No data supplied to process.')
    if content_type == _TEXT:
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise Invalid('A text/plain payload must be UTF-8.') from None
    return payload


def erase(ctx: Context, row: Row) -> None:
    """Destroy whatever is kept for a key that clients cannot see, then its row.

    :raises Unavailable: the store does not answer; the row stays for the next sweep.
    """
    _erase(ctx, row.store and stores.enabled(ctx, row.store), row.id)


def _make(ctx: Context, *, instead_of: str | None) -> str:
    """Make a key and give it out, unless another than ``instead_of`` is given out by then.

    :returns: the id of the key that is current now.
    :raises Rejected, Unavailable: as the default store says; then nothing was made.
    """
    private = rsa.generate_private_key(public_exponent=65537, key_size=ctx.transport_keys.bits)
    key_id, intent, now = str(uuid.uuid4()), new_intent(), ctx.clock()
    store = stores.enabled(ctx, ctx.default_store)
    with ctx.statement() as connection:
        rows.insert(
            connection, id=key_id, plugin_name=OWN, transport_key=_public_pem(private),
            store=store.name, intent=intent, intent_at=now, created=now, updated=now)
    try:
        reference = store.store(StoreRequest(
            secret_id=key_id, project_id=_OWNER, payload=private.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption())))
    except Overdue:
        raise  # it may be kept yet; the sweep waits for it
    except Exception:
        _take_back(ctx, store, key_id)
        raise
    if _give_out(ctx, key_id, intent=intent, reference=reference, instead_of=instead_of):
        LOG.info('Transport key %s is the current one.', key_id)
        return key_id
    _take_back(ctx, store, key_id)
    return _winner(ctx)


@retried
def _give_out(ctx: Context, key_id: str, **made: Any) -> bool:
    with ctx.transaction() as connection:
        return rows.make_current(connection, key_id, now=ctx.clock(), **made)


def _take_back(ctx: Context, store: HostedStore, key_id: str) -> None:
    with stores.left_to_the_sweep(f'Transport key {key_id}'):
        _erase(ctx, store, key_id)


def _erase(ctx: Context, store: HostedStore | None, key_id: str) -> None:
    if store:
        stores.destroy(store, key_id, _OWNER)
    with ctx.statement() as connection:
        rows.delete(connection, key_id)


def _winner(ctx: Context) -> str:
    with ctx.statement() as connection:
        row = rows.current(connection)
    if row is None:
        raise Unavailable('The transport key took too long to store.')
    return row.id


def _private(ctx: Context, key_id: str) -> rsa.RSAPrivateKey:
    with ctx.statement() as connection:
        row = rows.get(connection, key_id)
    if row is None:
        raise _unknown()
    if row.store is None:
        raise Invalid('km has only the public half of this transport key and cannot unwrap with it.')
    try:
        kept = stores.enabled(ctx, row.store).retrieve(StoredSecret(
            secret_id=row.id, project_id=_OWNER, reference=json.loads(row.reference)))
    except NotFound:
        raise _unknown() from None
    # It is checked to be whole by the store that sealed it; RSA's own checks cost more than its use.
    return serialization.load_der_private_key(  # type: ignore[return-value]
        kept, password=None, unsafe_skip_rsa_key_validation=True)


def _days_ago(ctx: Context, days: int) -> datetime:
    return ctx.clock() - timedelta(days=days)


def _unknown() -> Invalid:
    return Invalid('Provided transport key is unknown or retired.')


def _public_pem(private: rsa.RSAPrivateKey) -> str:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
