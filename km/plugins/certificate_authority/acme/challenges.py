# SPDX-License-Identifier: Apache-2.0
"""How names are proved (RFC 8555, 7.5.1 and 8): by responders, whose answers are written down before
they are presented, and taken away when nobody looks at them any more."""
import logging
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from km.interfaces import Challenge, KmError, Rejected, Unavailable
from km.plugins.certificate_authority.acme.problems import Refusal, cleaned
from km.plugins.certificate_authority.acme.session import Resource, Session
from km.plugins.certificate_authority.acme.tables import ANSWERS
from km.plugins.database import PluginDatabase

LOG = logging.getLogger(__name__)

_TOKEN = re.compile(r'[A-Za-z0-9_-]{1,255}')
#: How old an answer is that nobody can be about to look at: authorities look within minutes.
_OLD = timedelta(days=1)


class Answers:
    """The answers to challenges of one instance of the plugin."""

    def __init__(self, database: PluginDatabase, *, authority: str, responders: Mapping[str, Any],
                 order: Sequence[str]):
        """Touch nothing yet.

        :param responders: all that there are, by their names.
        :param order: the names of those that may be asked; the first that can does.
        """
        self._database, self._authority = database, authority
        self._responders, self._order = responders, order

    @property
    def kinds(self) -> set[str]:
        """The kinds of challenges that can be answered."""
        return {self._responders[name].kind for name in self._order}

    def prove(self, session: Session, order_id: str, authorization: Resource) -> float:
        """Present what an authorization wants, and tell the authority to look; do no more than that is
        left to do of it.

        :param authorization: one that is pending.
        :returns: after how many seconds to ask again, because the proof is not visible yet; else 0.
        :raises Rejected: no responder can.
        :raises Refusal, Unavailable: not now.
        """
        offered = _offered(authorization)
        name, refused = name_of(authorization), []
        for responder in self._order:
            wanted = offered.get(self._responders[responder].kind)
            if wanted is None:
                continue
            challenge = Challenge(
                identifier=name, token=wanted['token'],
                key_authorization=f'{wanted["token"]}.{session.account.signer.thumbprint()}')
            try:
                row = self._written(order_id, responder, challenge)
                wait = 0 if row.told else self._presented(row, challenge)
            except Rejected as rejected:
                refused.append(rejected.sentence)
                continue
            if not wait and not row.told:
                self._tell(session, row, authorization, wanted)
            return wait
        kinds = ', '.join(sorted(map(cleaned, offered)))
        raise Rejected(' '.join([f'No challenge responder can prove {cleaned(name)}; the authority '
                                 f'offers {kinds}.', *refused]))

    def remove(self, order_id: str, *, but: Collection[str] = ()) -> None:
        """Have all answers for an order taken away, but those with these tokens. What cannot be taken
        away now is swept."""
        for row in self._database.all(sa.select(ANSWERS).where(
                ANSWERS.c.authority == self._authority, ANSWERS.c.order_id == order_id)):
            if row.token not in but:
                self._removed(row)

    def sweep(self) -> None:
        """Have all answers taken away that are so old that nobody can want them."""
        for row in self._database.all(sa.select(ANSWERS).where(
                ANSWERS.c.authority == self._authority, ANSWERS.c.written_at < _now() - _OLD)):
            self._removed(row)

    def _presented(self, row: Any, challenge: Challenge) -> float:
        try:
            return self._responders[row.responder].present(challenge)
        except Rejected:
            self._forget(row)
            raise

    def _tell(self, session: Session, row: Any, authorization: Resource,
              wanted: Mapping[str, Any]) -> None:
        """Tell the authority to look, unless it does already."""
        if _is_pending(wanted):
            try:
                # What was presented is by the key that the account had when this call began.
                session.post(wanted['url'], {}, as_now=True)
            except Refusal as refusal:
                # Another call, which was thought to be dead, may have told it meanwhile.
                if refusal.passes or _wants(session.read(authorization.url), row.token):
                    raise
        self._database.run(sa.update(ANSWERS).where(ANSWERS.c.answer_id == row.answer_id).values(
            told=True))

    def _written(self, order_id: str, responder: str, challenge: Challenge) -> Any:
        """The row of an answer. One by an account key of before is taken away: it proves nothing now."""
        for row in self._database.all(sa.select(ANSWERS).where(
                ANSWERS.c.authority == self._authority, ANSWERS.c.order_id == order_id,
                ANSWERS.c.token == challenge.token, ANSWERS.c.responder == responder)):
            if row.key_authorization == challenge.key_authorization:
                return row
            self._removed(row)
        answer_id = str(uuid.uuid4())
        self._database.run(sa.insert(ANSWERS).values(
            answer_id=answer_id, authority=self._authority, order_id=order_id, responder=responder,
            identifier=challenge.identifier, token=challenge.token,
            key_authorization=challenge.key_authorization, told=False, written_at=_now()))
        return self._database.one(sa.select(ANSWERS).where(ANSWERS.c.answer_id == answer_id))

    def _removed(self, row: Any) -> None:
        responder = self._responders.get(row.responder)
        try:
            if responder is None:
                LOG.warning("The challenge responder '%s' is gone; what it presented for %s may be left "
                            'over.', row.responder, row.identifier)
            else:
                responder.remove(Challenge(identifier=row.identifier, token=row.token,
                                           key_authorization=row.key_authorization))
            self._forget(row)
        except KmError as error:
            LOG.warning("What the challenge responder '%s' presented for %s could not be taken away, "
                        'and is swept later: %s', row.responder, row.identifier, error.sentence)

    def _forget(self, row: Any) -> None:
        self._database.run(sa.delete(ANSWERS).where(ANSWERS.c.answer_id == row.answer_id))


def tokens(authorization: Resource) -> set[str]:
    """The tokens of all challenges of an authorization."""
    return {one['token'] for one in _offered(authorization).values()}


def name_of(authorization: Resource) -> str:
    """What an authorization is for: a domain name in lower case, without ``*.``, or an IP address.

    :raises Unavailable: it does not say.
    """
    identifier = authorization.fields.get('identifier')
    name = identifier.get('value') if isinstance(identifier, Mapping) else None
    if not isinstance(name, str) or not name:
        raise Unavailable('The authority wants a proof, and does not say of what.')
    return name.lower()


def _wants(authorization: Resource, token: str) -> bool:
    """Whether an authorization still waits for being told of an answer."""
    return authorization.status == 'pending' and any(
        one['token'] == token and _is_pending(one) for one in _offered(authorization).values())


def _is_pending(challenge: Mapping[str, Any]) -> bool:
    return challenge.get('status', 'pending') == 'pending'


def _offered(authorization: Resource) -> dict[str, Mapping[str, Any]]:
    """The challenges of an authorization that km could answer, by their types."""
    found = authorization.fields.get('challenges')
    return {one['type']: one for one in (found if isinstance(found, list) else ())
            if isinstance(one, Mapping) and isinstance(one.get('type'), str)
            and isinstance(one.get('url'), str) and isinstance(one.get('token'), str)
            and _TOKEN.fullmatch(one['token'])}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
