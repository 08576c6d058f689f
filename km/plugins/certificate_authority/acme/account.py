# SPDX-License-Identifier: Apache-2.0
"""Our account at an authority (RFC 8555, 7.1.2): registered when it is first needed, and again if the
authority has forgotten it. What becomes of its key is written down before it happens."""
import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from acme import messages
from sqlalchemy.exc import IntegrityError

from km.interfaces import KmError, Rejected, Unavailable
from km.plugins.certificate_authority.acme.account_keys import AccountKeys
from km.plugins.certificate_authority.acme.conversation import Conversation, Signer
from km.plugins.certificate_authority.acme.options import AcmeSettings
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.tables import ACCOUNTS
from km.plugins.certificate_authority.acme.transport import is_url
from km.plugins.database import PluginDatabase

LOG = logging.getLogger(__name__)

FORGOTTEN = 'accountDoesNotExist'


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an authority, and the key that signs for it."""

    url: str
    key_id: str
    signer: Signer

    def is_same(self, other: 'Account') -> bool:
        """Whether the other is this one, with the same key."""
        return (self.url, self.key_id) == (other.url, other.key_id)


class Accounts:
    """The account of one instance of the plugin at the authority that it asks."""

    def __init__(self, database: PluginDatabase, settings: AcmeSettings, *, authority: str,
                 keys: AccountKeys):
        """Touch nothing yet."""
        self._database, self._settings, self._keys = database, settings, keys
        self._place = {'authority': authority, 'directory_sha256': hashlib.sha256(
            settings.directory_url.encode()).hexdigest()}
        self._here = sa.and_(*(ACCOUNTS.c[name] == value for name, value in self._place.items()))

    def current(self, conversation: Conversation) -> Account:
        """The account, registered if it was not yet.

        :raises Refusal, Rejected, NotSupported, Unavailable: it cannot be.
        """
        row = self._row() or self._begun()
        if row.next_key_id and self._has_changed(conversation, row):
            row = self._row()
        signer = self._keys.signer(row.key_id)
        url = row.url or self._registered(conversation, row.key_id, signer)
        return Account(url, row.key_id, signer)

    def register_again(self, conversation: Conversation, account: Account) -> Account:
        """The account of the same key, which the authority has forgotten."""
        self._changed(row_key_id=account.key_id, url=None)
        return self.current(conversation)

    def roll_over(self, conversation: Conversation) -> str:
        """Give the account another key, and destroy the one before (RFC 8555, 7.3.5). If that was begun
        already it is brought to its end.

        :returns: the thumbprint of the key that it has now (RFC 7638).
        :raises Refusal: the authority does not do it; the key stays.
        :raises NotSupported, Unavailable: not now; ask again.
        """
        account = self.current(conversation)
        next_key_id = self._next(account.key_id)
        fresh, url = self._keys.signer(next_key_id), conversation.resource('keyChange')
        inner = fresh.signed({'account': account.url, 'oldKey': account.signer.jwk.to_json()}, url=url)
        try:
            conversation.post(url, inner, account.signer, account_url=account.url)
        except Refusal as refusal:
            if self.current(conversation).key_id == next_key_id:  # another process was faster
                return fresh.thumbprint()
            if not refusal.passes:
                self._changed(row_key_id=account.key_id, next_key_id=None)
                self._destroyed(next_key_id)
            raise
        self._switch(account.key_id, next_key_id)
        return fresh.thumbprint()

    def _next(self, key_id: str) -> str:
        """The key that comes after one, made and written down."""
        row = self._row()
        if row and row.next_key_id:
            return row.next_key_id
        made = self._keys.make()
        if self._database.run(sa.update(ACCOUNTS).where(
                self._here, ACCOUNTS.c.key_id == key_id, ACCOUNTS.c.next_key_id.is_(None)).values(
                next_key_id=made)):
            return made
        self._destroyed(made)
        raise Unavailable('Another process gives the account another key just now.')

    def _has_changed(self, conversation: Conversation, row: Any) -> bool:
        """Whether the authority knows the account by its next key already: then it is written down.

        The next key is tried first, for the one before is of no use if that is so.
        """
        if row.url is None:
            return False
        try:
            conversation.post(row.url, None, self._keys.signer(row.next_key_id), account_url=row.url)
        except Refusal as refusal:
            if refusal.passes:
                raise
            return False
        self._switch(row.key_id, row.next_key_id)
        return True

    def _switch(self, key_id: str, next_key_id: str) -> None:
        self._changed(row_key_id=key_id, key_id=next_key_id, next_key_id=None)
        self._destroyed(key_id)

    def _destroyed(self, key_id: str) -> None:
        try:
            self._keys.destroy(key_id)
        except KmError as error:
            LOG.warning('The account key %s could not be destroyed, and is swept later: %s', key_id,
                        error.sentence)

    def _registered(self, conversation: Conversation, key_id: str, signer: Signer) -> str:
        """The URL of the account of a key, which may exist already."""
        settings, meta = self._settings, conversation.meta
        payload: dict[str, Any] = {'contact': settings.contact} if settings.contact else {}
        if settings.terms_of_service_agreed:
            payload['termsOfServiceAgreed'] = True
        elif meta.get('termsOfService'):
            raise Rejected(f'{settings.section} terms_of_service_agreed: the authority has terms of '
                           'service, and this km does not agree to them.')
        if settings.eab_key_id and settings.eab_key:
            payload['externalAccountBinding'] = messages.ExternalAccountBinding.from_data(
                signer.jwk, settings.eab_key_id, settings.eab_key,
                messages.Directory(conversation.directory))
        answer = conversation.post(conversation.resource('newAccount'), payload, signer)
        url = answer.headers.get('Location')
        if not is_url(url):
            raise Unavailable('The authority does not say where the account is.')
        self._changed(row_key_id=key_id, url=url)
        return url

    def _begun(self) -> Any:
        """The row of an account that is to be registered, with a key."""
        made = self._keys.make()
        try:
            self._database.run(sa.insert(ACCOUNTS).values(**self._place, key_id=made))
        except IntegrityError:  # another process was faster
            self._destroyed(made)
        row = self._row()
        if row is None:
            raise Unavailable('The account was taken away while it was made.')
        return row

    def _row(self) -> Any:
        return self._database.one(sa.select(ACCOUNTS).where(self._here))

    def _changed(self, *, row_key_id: str, **values: str | None) -> None:
        """Change the row, unless its key is another by now."""
        self._database.run(sa.update(ACCOUNTS).where(
            self._here, ACCOUNTS.c.key_id == row_key_id).values(**values))
