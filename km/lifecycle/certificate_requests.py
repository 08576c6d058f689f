# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates that km makes itself: by a key that it keeps, or that it makes for them."""
import base64
from typing import Any

from sqlalchemy import Connection, Row

from km.acl import targets
from km.certificates import requests
from km.db import certificates, containers, secrets, settings
from km.db.certificate_orders import ISSUE
from km.db.failures import retried
from km.db.models import CONTAINER, SECRET
from km.errors import CannotOpen, Forbidden, Invalid, NotFound, Rejected
from km.lifecycle import keys, stores
from km.lifecycle import secrets as payloads
from km.lifecycle.context import Context
from km.lifecycle.jobs import Job, Superseded, change, changed
from km.lifecycle.secrets import Deposit

#: The kind of key that is made where an order does not say.
ALGORITHM, BIT_LENGTH = 'ec', 256
_LABEL = 'CERTIFICATE REQUEST'
_NO_KEY = 'Invalid container: Container Wrong Type.'


def encoded(csr: bytes) -> str:
    """A request, PKCS#10, DER, as PEM (RFC 7468)."""
    lines = base64.encodebytes(csr).decode()
    return f'-----BEGIN {_LABEL}-----\n{lines}-----END {_LABEL}-----\n'


def decoded(csr: str) -> bytes:
    """The DER of what ``encoded`` gave."""
    return requests.decoded(csr, label=_LABEL, longest=requests.MAX_REQUEST_BYTES)


def stored_key(ctx: Context, connection: Connection, container_id: str) -> dict[str, str | None]:
    """The secrets of a container that has a key pair: which is its private key, and its passphrase.

    The certificate is for that key, so whoever orders it must be allowed to read the container, and
    the key in it.

    :raises Invalid: there is no such container, or it has no private key.
    :raises Forbidden: whoever asks may not read it.
    """
    held = {}
    _require_allowed(ctx, connection, CONTAINER, container_id, 'container:get')
    found = containers.whole(connection, container_id, now=ctx.clock())
    if found is not None and found.row.type in ('rsa', 'generic', 'certificate'):
        held = dict(found.secrets)
    if 'private_key' not in held:
        raise Invalid(_NO_KEY)
    for name in ('private_key', 'private_key_passphrase'):
        if name in held:
            _require_allowed(ctx, connection, SECRET, held[name], 'secret:decrypt')
    return {'key_id': held['private_key'], 'passphrase_id': held.get('private_key_passphrase')}


def complete(ctx: Context, job: Job, order: Row) -> Row:
    """Make the request of an order that has none; the order as it is then.

    A key that is made for it is kept first, and held for the order.

    :raises Rejected: the key that was to be used is gone, or there is no making a request of it.
    :raises Unavailable: as a store says.
    :raises Superseded: the claim is not the last one.
    """
    if order.key_id:
        key, passphrase = _stored(ctx, order.key_id), None
        if order.passphrase_id:
            passphrase = _stored(ctx, order.passphrase_id)
        return changed(ctx, job, csr=encoded(_made(job, key, passphrase)), step=ISSUE)
    algorithm, bits = job.meta.get('algorithm') or ALGORITHM, job.meta.get('bit_length') or BIT_LENGTH
    keys.require_pair(algorithm, bits, legacy=False)
    private = keys.make_pair(algorithm, bits, passphrase=None)[1]
    csr = _again(ctx, private, order.renews) if order.renews else _made(job, private, None)
    deposit = _begun(ctx, job, algorithm, bits)
    reference, = payloads.fill(ctx, [deposit], lambda: [deposit.store.store(deposit.request(private))])
    try:
        return _held(ctx, job, deposit, reference, encoded(csr))
    except Superseded:
        payloads.undo(deposit, reference)
        raise


def _require_allowed(ctx: Context, connection: Connection, kind: str, object_id: str,
                     action: str) -> None:
    try:
        row = targets.fetch(connection, kind, object_id, identity=ctx.identity, now=ctx.clock(),
                            whole=False)
    except NotFound:
        raise Invalid('Invalid container: Container Not Found.') from None
    if not ctx.may(ctx.identity, action, targets.described(kind, row)):
        raise Forbidden('Invalid container: its key may not be used.')


def _stored(ctx: Context, secret_id: str) -> bytes:
    """A payload that whoever placed the order was allowed to read."""
    with ctx.statement() as connection:
        row = secrets.state(connection, secret_id)
    if row is None or row.reference is None:
        raise Rejected('The key of the order is not there any more.')
    try:
        return payloads.retrieved(ctx, secret_id=secret_id, project_id=row.project_id,
                                  store=row.store, reference=row.reference)
    except (NotFound, CannotOpen):
        raise Rejected('The key of the order cannot be read.') from None


def _again(ctx: Context, key: bytes, certificate_id: str) -> bytes:
    """A request for what a certificate was requested for; the order's meta need not have room for it."""
    with ctx.statement() as connection:
        row = certificates.get(connection, certificate_id)
    if row is None:
        raise Rejected('The certificate that was to be renewed is not there any more.')
    return requests.again(key, decoded(row.csr))


def _made(job: Job, key: bytes, passphrase: bytes | None) -> bytes:
    return requests.make(key, passphrase=passphrase, subject_dn=job.meta.get('subject_dn') or '',
                         names=job.meta.get('subject_alt_names') or ())


@retried
def _begun(ctx: Context, job: Job, algorithm: str, bits: int) -> Deposit:
    with ctx.transaction() as connection:
        store = stores.choose(ctx, settings.get(connection, job.owner.project_id))
        return payloads.begin(
            ctx, connection, store, job.owner, name=job.meta.get('name'), secret_type='private',
            algorithm=algorithm, bit_length=bits, mode=None, expiration=None, content_type=keys.OCTETS)


@retried
def _held(ctx: Context, job: Job, deposit: Deposit, reference: Any, csr: str) -> Row:
    """Record that the key is kept, and how far the order is with it, or neither."""
    with ctx.transaction() as connection:
        if not secrets.hold_for_order(
                connection, deposit.secret_id, intent=deposit.intent, reference=reference):
            raise Superseded
        return change(ctx, connection, job, csr=csr, step=ISSUE, key_id=deposit.secret_id,
                      holds_key=True)
