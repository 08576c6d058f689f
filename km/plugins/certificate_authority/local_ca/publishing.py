# SPDX-License-Identifier: Apache-2.0
"""When CRLs are made, and what is on them (RFC 5280, 5).

Complete and delta CRLs have one line of numbers. A number is taken before the entries are read, and only
one who took it can keep it: so a higher number never knows less.
"""
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from km.interfaces import Crl, NotFound, Unavailable
from km.plugins.certificate_authority.local_ca import crls
from km.plugins.certificate_authority.local_ca.crls import Entry
from km.plugins.certificate_authority.local_ca.keys import Keys
from km.plugins.certificate_authority.local_ca.options import Policy
from km.plugins.certificate_authority.local_ca.revocation import RELEASE
from km.plugins.certificate_authority.local_ca.signers import Signer, Signers
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES, CRLS, REMOVED
from km.plugins.database import PluginDatabase

LOG = logging.getLogger(__name__)

#: How often somebody else may take the number.
_MOST_ATTEMPTS = 20
#: How many that have not ended are kept beside the newest: each may be large, and nobody asks for them.
_MOST_KEPT = 50
_COMPLETE = CRLS.c.base_number.is_(None)


class Publishing:
    """All methods raise ``Unavailable`` when the database does not answer."""

    def __init__(self, policy: Policy, database: PluginDatabase, signers: Signers, keys: Keys,
                 now: Callable[[], datetime]):
        self._policy, self._database, self._now = policy, database, now
        self._signers, self._keys = signers, keys

    def complete(self, issuer: Signer) -> Crl:
        """The newest complete CRL of an issuer, made now if it is due.

        :raises NotFound: it is removed and has none.
        """
        return self._newest_of(issuer, _COMPLETE, self._complete_due, None)

    def delta(self, issuer: Signer) -> Crl:
        """What changed since the newest complete one.

        :raises NotFound: this issuer makes none.
        """
        if self._policy.delta_period is None or issuer.state == REMOVED:
            raise NotFound('This issuer has no delta CRL.')
        self.complete(issuer)
        base = self._newest(issuer, _COMPLETE)
        assert base is not None  # noqa: S101 -- complete has made it
        return self._newest_of(issuer, CRLS.c.base_number == base.number, self._delta_due, base)

    def last(self, issuer: Signer, next_update: datetime) -> None:
        """Make the complete CRL that holds until the end, unless it is made."""
        def due(row: sa.Row, of: Signer) -> bool:
            return row.next_update < next_update or row.version < of.version

        try:
            self._until_not(due, issuer, lambda: self._make(issuer, None, next_update))
        except Unavailable:
            made = self._newest(issuer, _COMPLETE)
            if made is None or due(made, self._signers.get(issuer.id)):
                raise
            # Another process has made it, and destroyed the key before this one signed.

    def newest(self) -> dict[str, Crl]:
        """The newest complete CRL of every issuer, by its id."""
        return {row.issuer_id: _crl(row) for row in self._newest_of_all(_COMPLETE, *CRLS.c)}

    def is_due(self) -> Callable[[Signer], bool]:
        """Tells of an issuer whether a CRL of it is due now, without asking for each."""
        told = (CRLS.c.issuer_id, CRLS.c.number, CRLS.c.base_number, CRLS.c.version, CRLS.c.this_update)
        complete, deltas = ({row.issuer_id: row for row in self._newest_of_all(kind, *told)}
                            for kind in (_COMPLETE, ~_COMPLETE))

        def is_due(issuer: Signer) -> bool:
            base, delta = complete.get(issuer.id), deltas.get(issuer.id)
            if base is None or self._complete_due(base, issuer):
                return True
            return self._policy.delta_period is not None and (
                delta is None or delta.base_number != base.number or self._delta_due(delta, issuer))

        return is_due

    def _newest_of_all(self, kind: sa.ColumnElement[bool],
                       *columns: sa.ColumnElement[Any]) -> Sequence[sa.Row]:
        numbers = sa.select(CRLS.c.issuer_id, sa.func.max(CRLS.c.number).label('number')).where(
            kind).group_by(CRLS.c.issuer_id).subquery()
        return self._database.all(sa.select(*columns).join(numbers, sa.and_(
            CRLS.c.issuer_id == numbers.c.issuer_id, CRLS.c.number == numbers.c.number)))

    def _newest_of(self, issuer: Signer, kind: sa.ColumnElement[bool],
                   due: Callable[[sa.Row, Signer], bool], base: sa.Row | None) -> Crl:
        try:
            return _crl(self._until_not(due, issuer, lambda: self._make(issuer, base), kind))
        except NotFound:
            if (last := self._newest(issuer, kind)) is None:
                raise
            return _crl(last)
        except Unavailable:
            before = self._newest(issuer, kind)
            if before is None or before.next_update <= self._now():
                raise
            LOG.warning('The CRL of issuer %s cannot be made now; the one before holds.', issuer.id)
            return _crl(before)

    def _until_not(self, due: Callable[[sa.Row, Signer], bool], issuer: Signer,
                   make: Callable[[], None], kind: sa.ColumnElement[bool] = _COMPLETE) -> sa.Row:
        """The newest of a kind, once it is not due to be made anew."""
        for _ in range(_MOST_ATTEMPTS):
            row = self._newest(issuer, kind)
            if row is not None and not due(row, self._signers.get(issuer.id)):
                return row
            make()
        raise Unavailable('The CRL is being made.')

    def _complete_due(self, row: sa.Row, issuer: Signer) -> bool:
        return self._now() >= row.this_update + self._policy.crl_period or (
            self._policy.delta_period is None and row.version < issuer.version)

    def _delta_due(self, row: sa.Row, issuer: Signer) -> bool:
        period = self._policy.delta_period or timedelta()
        return self._now() >= row.this_update + period or row.version < issuer.version

    def _make(self, issuer: Signer, base: sa.Row | None, next_update: datetime | None = None) -> None:
        policy = self._policy
        number = (self._database.one(sa.select(sa.func.max(CRLS.c.number)).where(
            CRLS.c.issuer_id == issuer.id)) or (None,))[0] or 0
        before = self._newest(issuer, _COMPLETE)
        issuer = self._signers.get(issuer.id)  # in this order, see above
        if issuer.state == REMOVED and next_update is None:
            raise NotFound('This issuer makes no CRL any more.')  # nothing may come after its last one
        period = policy.crl_period if base is None else policy.delta_period or timedelta()
        this_update = self._now()
        ends = next_update or this_update + period + period / 2
        content = crls.build(
            issuer=issuer.loaded, key=self._keys.private(issuer.key_id), number=number + 1,
            entries=self._entries(issuer, before) if base is None else self._changes(issuer, base),
            this_update=this_update, next_update=ends,
            base_number=None if base is None else base.number,
            freshest_url=policy.publication.freshest(issuer.id)
            if policy.publication and base is None and next_update is None else None)
        try:
            self._database.run(
                CRLS.insert(), issuer_id=issuer.id, number=number + 1, version=issuer.version,
                content=content, this_update=this_update, next_update=ends,
                base_number=None if base is None else base.number)
        except IntegrityError:
            return  # somebody else took the number
        ended = sa.and_(CRLS.c.next_update < this_update,
                        CRLS.c.number <= (number if base is None else base.number - 1))
        passed = sa.and_(CRLS.c.number <= number - _MOST_KEPT, *([] if base is None else [~_COMPLETE]))
        self._database.run(CRLS.delete().where(CRLS.c.issuer_id == issuer.id, sa.or_(ended, passed)))

    def _entries(self, issuer: Signer, before: sa.Row | None) -> list[Entry]:
        """What is revoked and has not ended, or had not when the complete CRL before was made."""
        where = [] if before is None else [sa.or_(
            CERTIFICATES.c.not_after >= before.this_update, CERTIFICATES.c.changed > before.version)]
        return [_entry(row) for row in self._listed(
            issuer, CERTIFICATES.c.revoked_at.is_not(None), *where)]

    def _changes(self, issuer: Signer, base: sa.Row) -> list[Entry]:
        return [_entry(row) if row.revoked_at is not None
                else Entry(int(row.serial, 16), self._now(), RELEASE)
                for row in self._listed(issuer, CERTIFICATES.c.changed > base.version)]

    def _listed(self, issuer: Signer, *where: sa.ColumnElement[bool]) -> list[sa.Row]:
        return list(self._database.all(sa.select(
            CERTIFICATES.c.serial, CERTIFICATES.c.revoked_at, CERTIFICATES.c.reason,
            CERTIFICATES.c.invalidity_date).where(
            CERTIFICATES.c.issuer_id == issuer.id, CERTIFICATES.c.listed, *where).order_by(
            CERTIFICATES.c.serial)))

    def _newest(self, issuer: Signer, kind: sa.ColumnElement[bool]) -> sa.Row | None:
        return self._database.one(sa.select(CRLS).where(
            CRLS.c.issuer_id == issuer.id, kind).order_by(CRLS.c.number.desc()).limit(1))


def _entry(row: sa.Row) -> Entry:
    return Entry(int(row.serial, 16), row.revoked_at, row.reason, row.invalidity_date)


def _crl(row: sa.Row) -> Crl:
    return Crl(content=row.content, number=row.number, this_update=row.this_update,
               next_update=row.next_update)
