# SPDX-License-Identifier: Apache-2.0
"""ACME: certificates of any authority that speaks RFC 8555, such as Let's Encrypt."""
import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import josepy
import sqlalchemy as sa

from km.interfaces import (
    REVOCATION_REASONS,
    CannotOpen,
    CertificateAuthority,
    Issued,
    IssueRequest,
    Misconfigured,
    NotFound,
    NotSupported,
    Pending,
    PendingOrder,
    Rejected,
    RenewalAdviser,
    RenewalWindow,
    RevokeRequest,
    Unavailable,
)
from km.plugins.certificate_authority.acme import conversation, renewal
from km.plugins.certificate_authority.acme.account import Accounts
from km.plugins.certificate_authority.acme.account_keys import AccountKeys
from km.plugins.certificate_authority.acme.challenges import Answers
from km.plugins.certificate_authority.acme.conversation import Conversation
from km.plugins.certificate_authority.acme.options import OPTIONS, AcmeSettings
from km.plugins.certificate_authority.acme.orders import Orders, Waiting
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.session import Session
from km.plugins.certificate_authority.acme.tables import TABLES
from km.plugins.certificate_authority.acme.transport import Transport
from km.plugins.database import PluginDatabase

LOG = logging.getLogger(__name__)

#: How long a directory is believed: authorities change theirs about never.
_DIRECTORY_SECONDS = 3600
#: RFC 5280, 5.3.1, has no 7.
_REASONS = {name: number + (number > 6) for number, name in enumerate(REVOCATION_REASONS)}


class Acme(CertificateAuthority, RenewalAdviser):
    """An authority elsewhere, asked by ACME. km has one account there, whose key is in a store."""

    options = OPTIONS

    def open(self) -> None:
        self._config = AcmeSettings(self.name, self.settings, key_stores=self.key_stores,
                                    responders=self.responders)
        self._directory: tuple[float, Mapping[str, Any]] | None = None
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._database = self._opened_database()
        self._keys = AccountKeys(
            self._database, authority=self.name, key_store=self.settings.key_store,
            key_stores=self.key_stores)
        self._accounts = Accounts(self._database, self._config, authority=self.name, keys=self._keys)
        self._answers = Answers(self._database, authority=self.name, responders=self.responders,
                                order=self._config.responders)
        self._orders = Orders(
            self._answers, directory_url=self._config.directory_url,
            preferred_chain=self.settings.preferred_chain,
            waiting=Waiting(self.settings.poll_min_seconds, self.settings.poll_max_seconds))
        self._answers.sweep()
        self._keys.sweep()

    def check(self) -> str:
        self._directory = None
        with self._session() as session:
            account = session.read(session.account.url)
            if account.status != 'valid':
                raise Unavailable('The authority says that the account of km is not valid any more.')
            advises = 'says' if session.conversation.directory.get('renewalInfo') else 'does not say'
            return (f'account {session.account.url}, key {session.account.signer.algorithm}; the '
                    f'authority {advises} when to renew')

    def close(self) -> None:
        self._database.close()

    def issue(self, request: IssueRequest) -> Issued | Pending:
        """Place an order. One that an attempt before this has left has no certificate: it never gets one
        but by ``poll``, which is not called before its reference is kept."""
        if request.details:
            raise NotSupported('An ACME authority takes no other details than the certificate request.')
        with self._session() as session:
            return self._orders.place(session, request)

    def poll(self, pending: PendingOrder) -> Issued | Pending:
        try:
            with self._turn(pending.order.order_id), self._session() as session:
                return self._orders.advance(session, pending)
        except Rejected:
            self._answers.remove(pending.order.order_id)
            raise

    def cancel(self, pending: PendingOrder) -> None:
        try:
            with self._session() as session:
                self._orders.cancel(session, pending)
        except (Rejected, NotSupported) as error:  # there is no account any more, and so no order
            LOG.warning("Order %s could not be given up at the authority '%s': %s",
                        pending.order.order_id, self.name, error.sentence)
        self._answers.remove(pending.order.order_id)

    def revoke(self, request: RevokeRequest) -> None:
        if request.reason == 'removeFromCRL':
            raise Rejected('An ACME authority revokes for good; it takes no revocation back.')
        with self._session() as session:
            try:
                session.post(session.conversation.resource('revokeCert'), {
                    'certificate': josepy.b64encode(request.certificate).decode(),
                    'reason': _REASONS[request.reason]})
            except Refusal as refusal:
                if refusal.kind != 'alreadyRevoked':
                    raise

    def renewal_window(self, certificate: bytes) -> RenewalWindow | None:
        with self._conversation() as asked:
            return renewal.window(asked, certificate)

    def roll_over_account_key(self) -> str:
        """Give the account another key, made in ``key_store``, and destroy the one before (RFC 8555,
        7.3.5). It may be interrupted anywhere, and asked again.

        :returns: one line for the operator, which names the key.
        :raises Rejected: the authority does not do it; the key stays.
        :raises NotSupported: ``key_store`` makes no key that an account can have.
        :raises Unavailable: not now.
        """
        with self._conversation() as asked:
            thumbprint = self._accounts.roll_over(asked)
        return f'the account has a new key, with the thumbprint {thumbprint}'

    def _turn(self, order_id: str) -> threading.Lock:
        """What lets one thread at a time go on with an order, whose call may have been given up and made
        again: an authority that is told twice at once to issue may do so."""
        with self._lock:
            return self._turns.setdefault(order_id, threading.Lock())

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with self._conversation() as asked:
            yield Session(asked, self._accounts)

    @contextlib.contextmanager
    def _conversation(self) -> Iterator[Conversation]:
        transport = Transport(self._config.context, self.settings.http_timeout_seconds)
        try:
            yield Conversation(transport, self._known_directory(transport))
        except Refusal as refusal:
            raise refusal.told() from None
        except (NotFound, CannotOpen):
            raise Unavailable('The account key is not in its store, or does not open.') from None
        finally:
            transport.close()

    def _known_directory(self, transport: Transport) -> Mapping[str, Any]:
        with self._lock:
            known = self._directory
        if known is None or time.monotonic() - known[0] > _DIRECTORY_SECONDS:
            known = time.monotonic(), conversation.directory(transport, self._config.directory_url)
            with self._lock:
                self._directory = known
        return known[1]

    def _opened_database(self) -> PluginDatabase:
        settings, section = self.settings, self._config.section
        try:
            return PluginDatabase(
                settings.connection, TABLES, name='certificate authority',
                max_connections=settings.max_connections, seconds=settings.database_timeout_seconds)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError, TypeError) as error:
            raise Misconfigured(f'{section} connection: it is not a database URL that this km can use '
                                f'({type(error).__name__}).') from None
        except Unavailable:
            raise Unavailable(f'{section} connection: the database does not answer.') from None
