# SPDX-License-Identifier: Apache-2.0
"""Changing the keys and values that users tie to secrets."""
from km.db import metadata, secrets
from km.db.failures import retried
from km.errors import Conflict, NotFound
from km.lifecycle.context import Context, task


@task('secret_meta:put')
@retried
def replace(ctx: Context, *, secret_id: str, pairs: dict[str, str]) -> None:
    """Put ``pairs`` in the place of all there are."""
    with ctx.transaction() as connection:
        _touch(ctx, connection, secret_id)
        metadata.replace(connection, secret_id, pairs)


@task('secret_meta:post')
@retried
def add(ctx: Context, *, secret_id: str, key: str, value: str) -> None:
    """Add a pair.

    :raises Conflict: the key is there already.
    """
    with ctx.transaction() as connection:
        _touch(ctx, connection, secret_id)
        if not metadata.insert(connection, secret_id, key, value):
            raise Conflict('Key in the request already in use in this secret.')


@task('secret_meta:put', 'secret_meta:post')
@retried
def put(ctx: Context, *, secret_id: str, key: str, value: str, create: bool = False) -> None:
    """Change a value.

    :param create: add the pair if there is no such key.
    :raises NotFound: there is no such key.
    """
    with ctx.transaction() as connection:
        _touch(ctx, connection, secret_id)
        if metadata.update(connection, secret_id, key, value):
            return
        if not create:
            raise NotFound('Secret metadata not found.')
        metadata.insert(connection, secret_id, key, value)


@task('secret_meta:delete')
@retried
def delete(ctx: Context, *, secret_id: str, key: str) -> None:
    """Remove a pair; no error if there is no such key."""
    with ctx.transaction() as connection:
        _touch(ctx, connection, secret_id)
        metadata.delete(connection, secret_id, key)


def _touch(ctx: Context, connection, secret_id: str) -> None:
    if not secrets.touch(connection, secret_id, now=ctx.clock()):
        raise NotFound('Secret not found.')
