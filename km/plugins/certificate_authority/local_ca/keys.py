# SPDX-License-Identifier: Apache-2.0
"""The keys of a Local CA: in a secret store that signs with them and never gives them out.

A key's row is written before the key is made, so that nothing is in a store that no row names.
"""
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from km.interfaces import (
    CannotOpen,
    KeyStore,
    NotFound,
    SigningKeyRequest,
    SignRequest,
    StoredSecret,
    Unavailable,
)
from km.plugins.certificate_authority.local_ca.tables import KEYS, SIGNERS
from km.plugins.database import PluginDatabase
from km.plugins.signer import signer

LOG = logging.getLogger(__name__)

#: How long somebody may take from a key's row to the row of the signer that has it.
_ABANDONED_AFTER = timedelta(hours=1)
#: The keys are km's own, whoever has certificates by them.
_OWNER = ''


class Keys:
    """All methods raise ``Unavailable`` when the store or the database does not answer."""

    def __init__(self, database: PluginDatabase, stores: Mapping[str, KeyStore], *, store: str,
                 algorithm: str, bits: int, now: Callable[[], datetime]):
        """:param store: where new keys are made; ``algorithm`` and ``bits`` say which."""
        self._database, self._stores, self._now = database, stores, now
        self._store, self._algorithm, self._bits = store, algorithm, bits

    def make(self) -> str:
        """A new key's id."""
        key_id = str(uuid.uuid4())
        self._database.run(KEYS.insert(), id=key_id, store=self._store, created_at=self._now())
        made = self._stores[self._store].generate_signing_key(SigningKeyRequest(
            key_id=key_id, project_id=_OWNER, algorithm=self._algorithm, bit_length=self._bits))
        self._database.run(KEYS.update().where(KEYS.c.id == key_id).values(
            reference=json.dumps(made.reference), public_key=made.public_key))
        return key_id

    def private(self, key_id: str | None) -> Any:
        """A key as ``cryptography`` takes private keys; what signs with it raises ``Unavailable`` only.

        :raises NotFound: it was destroyed.
        """
        row = self._database.one(sa.select(KEYS).where(KEYS.c.id == key_id))
        if row is None or row.reference is None:
            raise NotFound('The key of the authority was destroyed.')
        stored = StoredSecret(
            secret_id=row.id, project_id=_OWNER, reference=json.loads(row.reference))
        return signer(_Heard(self._in(row.store)), stored, row.public_key)  # type: ignore[arg-type]

    def destroy(self, key_id: str) -> None:
        """Destroy a key, whether it was made or only begun; no error if it is gone."""
        row = self._database.one(sa.select(KEYS).where(KEYS.c.id == key_id))
        if row is None:
            return
        store = self._in(row.store)
        while (found := store.find(key_id)) is not None:
            store.delete(StoredSecret(secret_id=key_id, project_id=_OWNER, reference=found))
        self._database.run(KEYS.delete().where(KEYS.c.id == key_id))

    def destroy_abandoned(self) -> int:
        """Destroy the keys whose maker was cut off before a signer had them; how many."""
        used = sa.select(SIGNERS.c.key_id).where(SIGNERS.c.key_id == KEYS.c.id)
        left = self._database.all(sa.select(KEYS.c.id).where(
            KEYS.c.created_at < self._now() - _ABANDONED_AFTER, ~used.exists()))
        for row in left:
            self.destroy(row.id)
        return len(left)

    def _in(self, store: str) -> KeyStore:
        try:
            return self._stores[store]
        except KeyError:
            raise Unavailable(f"The store '{store}' of the authority's key is not enabled.") from None


class _Heard:
    """A store whose failure to find or open a key is told to its operator, and to others as a failure
    that may pass: it is no fault of theirs."""

    def __init__(self, store: KeyStore):
        self._store = store

    def sign(self, request: SignRequest) -> bytes:
        try:
            return self._store.sign(request)
        except (NotFound, CannotOpen) as error:
            LOG.error('Key %s of a Local CA cannot be used: %s', request.key.secret_id, error.sentence)
            raise Unavailable("The authority's key is not in its store.") from None


def digest_for(public_key: Any) -> Any:
    """What a key signs the hash of, for ``cryptography``: one as strong as its curve; None for Ed25519.

    :param public_key: the half of it that ``cryptography`` has.
    """
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return {256: hashes.SHA256(), 384: hashes.SHA384()}.get(public_key.key_size, hashes.SHA512())
    return hashes.SHA256() if isinstance(public_key, rsa.RSAPublicKey) else None


def signature(private: Any, data: bytes) -> bytes:
    """What a key says of ``data``, as X.509 has signatures by such keys (RFC 5758, 4055, 8410)."""
    digest = digest_for(private.public_key())
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(data, ec.ECDSA(digest))
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), digest)
    return private.sign(data)


def require_signature(public_key: Any, signed: bytes, data: bytes) -> None:
    """Insist that ``signature`` made a signature.

    :raises cryptography.exceptions.InvalidSignature: it did not, or not over ``data``.
    """
    digest = digest_for(public_key)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        public_key.verify(signed, data, ec.ECDSA(digest))
    elif isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signed, data, padding.PKCS1v15(), digest)
    else:
        public_key.verify(signed, data)
