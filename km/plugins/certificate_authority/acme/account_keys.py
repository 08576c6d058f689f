# SPDX-License-Identifier: Apache-2.0
"""The keys of accounts: made in a signing store, written down here, destroyed when nobody has them."""
import json
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa

from km.interfaces import (
    KeyStore,
    KmError,
    NotSupported,
    SigningKeyRequest,
    SigningStore,
    StoredSecret,
    Unavailable,
)
from km.plugins.certificate_authority.acme.conversation import Signer, signer_of
from km.plugins.certificate_authority.acme.tables import ACCOUNT_KEYS, ACCOUNTS
from km.plugins.database import PluginDatabase
from km.plugins.signer import signer

LOG = logging.getLogger(__name__)

#: RFC 8555, 6.2 demands ES256 of authorities; RS256 is what the others take as well.
_KINDS = (('ec', 256), ('rsa', 2048))
#: How long after it was written down a key may still be about to get an account.
_YOUNG = timedelta(hours=1)


class AccountKeys:
    """The account keys of one instance of the plugin."""

    def __init__(self, database: PluginDatabase, *, authority: str, key_store: str,
                 key_stores: Mapping[str, KeyStore]):
        """Touch nothing yet.

        :param key_store: where new keys are made.
        """
        self._database, self._authority = database, authority
        self._key_store, self._key_stores = key_store, key_stores

    def make(self) -> str:
        """A new key's id.

        :raises NotSupported: the store makes none that accounts can have.
        :raises Unavailable: not now; what was made, if anything, is swept.
        """
        key_id = str(uuid.uuid4())
        self._database.run(sa.insert(ACCOUNT_KEYS).values(
            key_id=key_id, authority=self._authority, key_store=self._key_store, written_at=_now()))
        for algorithm, bit_length in _KINDS:
            try:
                made = self._key_stores[self._key_store].generate_signing_key(SigningKeyRequest(
                    key_id=key_id, project_id='', algorithm=algorithm, bit_length=bit_length))
            except NotSupported:
                continue
            self._database.run(sa.update(ACCOUNT_KEYS).where(ACCOUNT_KEYS.c.key_id == key_id).values(
                reference=json.dumps(dict(made.reference)), public_key=made.public_key))
            return key_id
        self._drop(key_id)
        raise NotSupported(f"The secret store '{self._key_store}' makes neither EC nor RSA keys, one of "
                           'which an ACME account needs.')

    def signer(self, key_id: str) -> Signer:
        """What signs with a key.

        :raises Unavailable: it is not there, or its store is not.
        """
        row = self._database.one(sa.select(ACCOUNT_KEYS).where(ACCOUNT_KEYS.c.key_id == key_id))
        if row is None or row.reference is None:
            raise Unavailable('The account key of the authority is not there any more.')
        store = cast(SigningStore, self._store(row.key_store))
        return signer_of(signer(store, _stored(row), row.public_key), row.public_key)

    def destroy(self, key_id: str) -> None:
        """Destroy a key that no account has; no error if it is gone.

        :raises Unavailable: not now.
        """
        row = self._database.one(sa.select(ACCOUNT_KEYS).where(ACCOUNT_KEYS.c.key_id == key_id))
        if row is None:
            return
        store = self._store(row.key_store)
        if row.reference:
            store.delete(_stored(row))
        elif found := store.find(key_id):
            store.delete(StoredSecret(secret_id=key_id, project_id='', reference=found))
        self._drop(key_id)

    def sweep(self) -> None:
        """Destroy the keys that no account has and that nobody can be about to give one."""
        in_use = sa.select(ACCOUNTS.c.key_id).union(
            sa.select(ACCOUNTS.c.next_key_id).where(ACCOUNTS.c.next_key_id.is_not(None)))
        for row in self._database.all(sa.select(ACCOUNT_KEYS.c.key_id).where(
                ACCOUNT_KEYS.c.authority == self._authority,
                ACCOUNT_KEYS.c.written_at < _now() - _YOUNG,
                ACCOUNT_KEYS.c.key_id.not_in(in_use))):
            try:
                self.destroy(row.key_id)
            except KmError as error:
                LOG.warning("Account key %s of the authority '%s' is left over, and could not be "
                            'destroyed: %s', row.key_id, self._authority, error.sentence)

    def _store(self, name: str) -> KeyStore:
        try:
            return self._key_stores[name]
        except KeyError:
            raise Unavailable(f"The account key is in the secret store '{name}', which is not "
                              'enabled.') from None

    def _drop(self, key_id: str) -> None:
        self._database.run(sa.delete(ACCOUNT_KEYS).where(ACCOUNT_KEYS.c.key_id == key_id))


def _stored(row: Any) -> StoredSecret:
    return StoredSecret(secret_id=row.key_id, project_id='', reference=json.loads(row.reference))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
