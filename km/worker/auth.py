# SPDX-License-Identifier: Apache-2.0
"""Who asks, and whether they may, decided anew for a message that came over a wire.

The API has decided it already. But whoever has the API's host can send what they like, and shall read
no more by it than the tokens they hold could.
"""
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from km.acl import targets
from km.acl.decision import Policy
from km.acl.rules import RULES
from km.errors import Forbidden
from km.identity import Identity
from km.keystone import Tokens
from km.lifecycle.context import ANYBODY, NOBODY, Task

#: The kind of thing each action is about, such as 'secret'; None for those about nothing yet.
_ABOUT = {rule.action: targets.kind_of(dict.fromkeys(re.findall(r'{(\w+)}', rule.path)))
          for rule in RULES}


class Guard:
    """Lets a task run for whom Keystone and the rules let it.

    :param statement: opens a connection to the metadata.
    :param clock: tells the time, UTC without a zone.
    """

    def __init__(self, *, tokens: Tokens, policy: Policy, clock: Callable[[], datetime],
                 statement: Callable[[], AbstractContextManager[Connection]]):
        self._tokens, self._policy = tokens, policy
        self._statement, self._clock = statement, clock

    def admit(self, task: Task, told: Identity, arguments: dict[str, Any], *,
              cast: bool) -> tuple[Identity, dict[str, Any]]:
        """As whom a task runs, and with what; nothing is believed of a message but its tokens.

        :param told: bears the tokens, of a call.
        :raises Unauthenticated, Forbidden, NotFound: as the API would have said.
        :raises Unavailable: Keystone or the metadata do not answer.
        """
        if cast != (not task.actions):
            raise Forbidden("A task of km's own is cast, any other is called.")
        if cast or task.actions == (ANYBODY,):
            return NOBODY, arguments
        identity = self._tokens.identity(
            told.token, told.service_token, request_id=told.request_id)
        return identity, self._decided(task, identity, arguments)

    def _decided(self, task: Task, identity: Identity, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, those of the row taken from it, after one of the actions is found allowed."""
        for action in (action.format(kind=arguments.get('kind')) for action in task.actions):
            row, target, kind = None, targets.NOTHING, _ABOUT.get(action)
            if kind and (row := self._row(kind, arguments, identity)) is not None:
                target = targets.described(kind, row)
            if action in _ABOUT and bool(kind) == bool(target) and self._policy.allowed(
                    identity, action, target):
                return {**arguments, **{name: getattr(row, name) for name in task.reread}}
        raise Forbidden('The worker does not allow this.')

    def _row(self, kind: str, arguments: dict[str, Any], identity: Identity) -> Row | None:
        """The thing of that kind that a task is about; None if it names none."""
        found = arguments.get(f'{kind}_id')
        if found is None and arguments.get('kind') == kind:
            found = arguments.get('object_id')
        if not isinstance(found, str):
            return None
        with self._statement() as connection:
            return targets.fetch(connection, kind, found, identity=identity, now=self._clock(),
                                 whole=False)
