# SPDX-License-Identifier: Apache-2.0
"""What is asked of an authority in the name of our account, during one call of the plugin."""
from collections.abc import Mapping
from typing import Any, NamedTuple

from km.interfaces import NotFound, Unavailable
from km.plugins.certificate_authority.acme.account import FORGOTTEN, Account, Accounts
from km.plugins.certificate_authority.acme.conversation import Conversation
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.transport import Answer

#: What an authority says to who signs by a key that is not the account's (any more).
_NOT_THIS_KEY = (FORGOTTEN, 'unauthorized', 'malformed')


class Resource(NamedTuple):
    """An order, an authorization, a challenge as it is now.

    :param wait: after how many seconds to look again, if the authority said so.
    """

    url: str
    fields: Mapping[str, Any]
    wait: float | None

    @property
    def status(self) -> str:
        """Its status (RFC 8555, 7.1.6)."""
        return str(self.fields.get('status'))


class Session:
    """A conversation in the name of our account; of one thread."""

    def __init__(self, conversation: Conversation, accounts: Accounts):
        """Find the account, or register it.

        :raises Refusal, Rejected, NotSupported, Unavailable: there is none.
        """
        self.conversation, self._accounts = conversation, accounts
        self.account = accounts.current(conversation)

    def post(self, url: str, payload: Mapping[str, Any] | None = None, *,
             accept: str | None = None, as_now: bool = False) -> Answer:
        """The answer to a message of the account's.

        If another process has given the account another key meanwhile, or the authority has forgotten
        the account, it is sent once more.

        :param payload: what to say; None to only ask for what is there (POST-as-GET).
        :param as_now: whether it is worth nothing by another account or another key, and not sent then.
        :raises Refusal, Unavailable: there is no such answer.
        """
        try:
            return self._posted(url, payload, accept)
        except (Refusal, NotFound) as error:
            if not self._has_another_account(error):
                raise
        if as_now:
            raise Unavailable('The account has got another key just now.')
        return self._posted(url, payload, accept)

    def read(self, url: str, payload: Mapping[str, Any] | None = None) -> Resource:
        """A resource as it is, or as it is after a message.

        :raises Refusal, Unavailable: there is no such answer.
        """
        answer = self.post(url, payload)
        fields = answer.document()
        if not isinstance(fields, dict):
            raise Unavailable('The authority answers with what is no ACME message.')
        return Resource(url, fields, answer.retry_after_seconds())

    def _posted(self, url: str, payload: Mapping[str, Any] | None, accept: str | None) -> Answer:
        return self.conversation.post(url, payload, self.account.signer, account_url=self.account.url,
                                      accept=accept)

    def _has_another_account(self, error: Refusal | NotFound) -> bool:
        kind = error.kind if isinstance(error, Refusal) else FORGOTTEN
        if kind not in _NOT_THIS_KEY:
            return False
        now: Account = self._accounts.current(self.conversation)
        if now.is_same(self.account):
            if kind != FORGOTTEN or isinstance(error, NotFound):
                return False
            now = self._accounts.register_again(self.conversation, self.account)
        self.account = now
        return True
