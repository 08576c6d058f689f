# SPDX-License-Identifier: Apache-2.0
"""Who signs in a Local CA, as rows: found, begun, given a key, put in charge and taken out of it.

Each change is one statement that names the state it expects, or one transaction, so that of several
processes that do the same at once one does it, and all see what it did.
"""
import functools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.exc import IntegrityError

from km.interfaces import NotFound, Rejected
from km.plugins.certificate_authority.local_ca import distinguished
from km.plugins.certificate_authority.local_ca.keys import Keys
from km.plugins.certificate_authority.local_ca.tables import (
    CURRENT,
    INTENDED,
    REMOVED,
    REQUESTED,
    RESPONDER,
    SIGNERS,
    SUPERSEDED,
)
from km.plugins.database import PluginDatabase

_PENDING = (INTENDED, REQUESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A row of ``SIGNERS``, as ``tables`` describes it.

    :param chain: the certificates above its own, DER, its issuer's first.
    """

    id: str
    authority: str
    generation: int
    role: str
    parent_id: str | None
    project_id: str | None
    subject: bytes
    state: str
    key_id: str | None
    certificate: bytes | None
    chain: tuple[bytes, ...]
    not_after: datetime | None
    version: int

    @property
    def loaded(self) -> x509.Certificate:
        """Its certificate.

        :raises NotFound: it has none yet.
        """
        if self.certificate is None:
            raise NotFound('The authority has no certificate yet.')
        return parsed(self.certificate)

    @property
    def above(self) -> list[x509.Certificate]:
        """The certificates above whatever it signs, its own first."""
        return [self.loaded, *map(parsed, self.chain)]

    @property
    def name(self) -> x509.Name:
        """What its certificate has for its subject, or shall have."""
        return distinguished.load(self.subject)

    @property
    def line(self) -> str:
        """What tells people which it is."""
        return (f'{self.name.rfc4514_string()}, serial {self.loaded.serial_number:x}, '
                f'until {self.not_after:%Y-%m-%d}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Intention:
    """A signer to be.

    :param authority: the name that it shares with those before it.
    :param name: the subject of the first; see ``distinguished.of_generation``.
    :param state: ``INTENDED``, or ``REQUESTED`` if its certificate comes from elsewhere.
    """

    authority: str
    role: str
    name: x509.Name
    parent_id: str | None = None
    project_id: str | None = None
    state: str = INTENDED


@functools.lru_cache(maxsize=256)
def parsed(certificate: bytes) -> x509.Certificate:
    """A certificate from its DER."""
    return x509.load_der_x509_certificate(certificate)


class Signers:
    """All methods raise ``Unavailable`` when the database does not answer."""

    def __init__(self, database: PluginDatabase, keys: Keys):
        self._database, self._keys = database, keys

    def get(self, signer_id: str | None) -> Signer:
        """:raises NotFound: there is none with this id."""
        found = self._select(SIGNERS.c.id == signer_id)
        if not found:
            raise NotFound('There is no such issuer.')
        return found[0]

    def of(self, authority: str) -> list[Signer]:
        """All of an authority's, the newest first."""
        return self._select(SIGNERS.c.authority == authority)[::-1]

    def current(self, authority: str) -> Signer | None:
        """The one of an authority that signs the new certificates."""
        return next((one for one in self.of(authority) if one.state == CURRENT), None)

    def pending(self, authority: str) -> Signer | None:
        """The one of an authority that has no certificate yet, unless a later one has."""
        newest = next(iter(self.of(authority)), None)
        return newest if newest is not None and newest.state in _PENDING else None

    def issuers(self) -> list[Signer]:
        """All that may have to answer for certificates: those that have one of their own."""
        return self._select(SIGNERS.c.role != RESPONDER, SIGNERS.c.certificate.is_not(None))

    def all(self, *roles: str) -> list[Signer]:
        """All of these roles."""
        return self._select(SIGNERS.c.role.in_(roles))

    def begin(self, wanted: Intention, *, after: Signer | None) -> Signer:
        """Write down that an authority shall have another, or give the one that somebody else has begun
        by now, or even put in charge.

        :param after: the one that was in charge when this one was found to be needed.
        :raises Rejected: somebody else has that name.
        """
        generation = after.generation + 1 if after else 1
        newest = next(iter(self.of(wanted.authority)), None)
        if newest is not None and newest.generation >= generation:
            return self._as_wanted(newest, wanted)
        name = distinguished.of_generation(wanted.name, generation)
        try:
            self._database.run(
                SIGNERS.insert(), id=str(uuid.uuid4()), authority=wanted.authority, chain=b'',
                generation=generation, role=wanted.role, parent_id=wanted.parent_id, version=0,
                project_id=wanted.project_id, subject=name.public_bytes(), state=wanted.state,
                named=distinguished.digest(name))
        except IntegrityError:
            if not any(one.generation == generation for one in self.of(wanted.authority)):
                raise Rejected('Another authority has that subject.') from None
        return next(one for one in self.of(wanted.authority) if one.generation == generation)

    def _as_wanted(self, begun: Signer, wanted: Intention) -> Signer:
        """What was begun, under whoever is above it by now: here or elsewhere."""
        asked = wanted.state, wanted.parent_id
        if begun.state in _PENDING and (begun.state, begun.parent_id) != asked:
            self._database.run(SIGNERS.update().where(
                SIGNERS.c.id == begun.id, SIGNERS.c.state == begun.state).values(
                state=wanted.state, parent_id=wanted.parent_id))
        return self.get(begun.id)

    def bury(self, authority: str, role: str) -> None:
        """Write down that there shall never be an authority of this name, if none was begun."""
        try:
            self._database.run(
                SIGNERS.insert(), id=str(uuid.uuid4()), authority=authority, chain=b'', generation=1,
                role=role, version=0, subject=b'', state=REMOVED)
        except IntegrityError:
            return

    def with_key(self, signer: Signer) -> Signer:
        """The same with a key, which is made unless it has one.

        :raises Rejected: it was removed meanwhile.
        """
        if signer.key_id is None and signer.state in _PENDING:
            made = self._keys.make()
            if not self._database.run(SIGNERS.update().where(
                    SIGNERS.c.id == signer.id, SIGNERS.c.key_id.is_(None),
                    SIGNERS.c.state.in_(_PENDING)).values(key_id=made)):
                self._keys.destroy(made)  # somebody else was faster, or removed it
            signer = self.get(signer.id)
        if signer.state == REMOVED:
            raise Rejected('The authority was removed.')
        return signer

    def put_in_charge(self, signer: Signer, certificate: bytes, chain: Sequence[bytes]) -> Signer:
        """Give a pending one its certificate, and have it sign in the place of those before it.

        :raises Rejected: it was removed meanwhile.
        """
        loaded = parsed(certificate)
        with self._database.transaction() as connection:
            if connection.execute(SIGNERS.update().where(
                    SIGNERS.c.id == signer.id, SIGNERS.c.state.in_(_PENDING)).values(
                    state=CURRENT, certificate=certificate, chain=_joined(chain),
                    not_after=loaded.not_valid_after_utc.replace(tzinfo=None),
                    subject=loaded.subject.public_bytes(),
                    named=distinguished.digest(loaded.subject))).rowcount:
                connection.execute(SIGNERS.update().where(
                    SIGNERS.c.authority == signer.authority, SIGNERS.c.state == CURRENT,
                    SIGNERS.c.generation < signer.generation).values(state=SUPERSEDED))
        signer = self.get(signer.id)
        if signer.state == REMOVED:
            raise Rejected('The authority was removed.')
        return signer

    def remove(self, signer: Signer) -> Signer:
        """Have one sign no new certificates ever again; it keeps its key."""
        self._database.run(SIGNERS.update().where(SIGNERS.c.id == signer.id).values(
            state=REMOVED, named=sa.case((SIGNERS.c.certificate.is_not(None), SIGNERS.c.named))))
        return self.get(signer.id)

    def destroy_key(self, signer: Signer) -> None:
        """Destroy the key of one; no error if it has none any more."""
        if signer.key_id is not None:
            self._keys.destroy(signer.key_id)
            self._database.run(SIGNERS.update().where(SIGNERS.c.id == signer.id).values(key_id=None))

    def forget(self, signer: Signer) -> None:
        """Drop the row of one whose key is destroyed."""
        self._database.run(SIGNERS.delete().where(SIGNERS.c.id == signer.id))

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Signer]:
        rows = self._database.all(sa.select(*(SIGNERS.c[name] for name in _COLUMNS)).where(
            *where).order_by(SIGNERS.c.authority, SIGNERS.c.generation))
        return [Signer(**{**row._mapping, 'chain': _split(row.chain)}) for row in rows]


_COLUMNS = list(Signer.__dataclass_fields__)


def _joined(chain: Sequence[bytes]) -> bytes:
    return b''.join(parsed(certificate).public_bytes(Encoding.PEM) for certificate in chain)


@functools.lru_cache(maxsize=256)
def _split(chain: bytes) -> tuple[bytes, ...]:
    return tuple(certificate.public_bytes(Encoding.DER)
                 for certificate in x509.load_pem_x509_certificates(chain)) if chain else ()
