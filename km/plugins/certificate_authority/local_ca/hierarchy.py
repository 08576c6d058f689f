# SPDX-License-Identifier: Apache-2.0
"""The authorities of a Local CA, one below the other: made, and replaced while in use.

Each is begun as a row, given a key, given a certificate as any order is, and put in charge. Whoever is
cut off between two of these is followed by the next who wants the same, and both end with one.
"""
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.exc import IntegrityError

from km.interfaces import NotFound, NotSupported, Rejected, SubordinateRequest, Unavailable
from km.plugins.certificate_authority.local_ca import (
    building,
    constraints,
    distinguished,
    elsewhere,
)
from km.plugins.certificate_authority.local_ca.issuing import Issuing
from km.plugins.certificate_authority.local_ca.keys import Keys, digest_for
from km.plugins.certificate_authority.local_ca.options import Policy
from km.plugins.certificate_authority.local_ca.signers import Intention, Signer, Signers
from km.plugins.certificate_authority.local_ca.tables import (
    CURRENT,
    ISSUING,
    REMOVED,
    REQUESTED,
    RESPONDER,
    ROOT,
    SUBORDINATE,
    SUPERSEDED,
)

#: How late the clocks of those who verify may be.
BACKDATING = timedelta(minutes=1)


class Hierarchy:
    """All methods raise ``Unavailable`` when the key store or the database does not answer."""

    def __init__(self, policy: Policy, signers: Signers, keys: Keys, issuing: Issuing,
                 now: Callable[[], datetime]):
        self._policy, self._signers, self._now = policy, signers, now
        self._keys, self._issuing = keys, issuing

    def ensure(self) -> None:
        """Make a root of one's own, and the issuing authority under it, unless they are there."""
        for authority in (ROOT, ISSUING) if self._policy.own_root else ():
            if self._signers.current(authority) is None:
                self.finish(self._signers.begin(self._intended(authority), after=None))

    def finish(self, signer: Signer) -> Signer:
        """Give a signer that is begun its key and its certificate, and put it in charge.

        :raises Rejected: it, or who is above it, was removed meanwhile.
        """
        signer = self._signers.with_key(signer)
        if signer.state in (CURRENT, SUPERSEDED):
            return signer
        parent = signer if signer.role == ROOT else self._signers.get(signer.parent_id)
        try:
            certificate = self._issuing.make(
                signer.id, parent, self._certificate(signer, parent),
                listed=signer.role not in (ROOT, RESPONDER))
            row = self._issuing.find(signer.id)
            if row is not None and row.issuer_id != parent.id:
                parent = self._signers.get(row.issuer_id)  # it was begun under another one
        except NotFound:
            raise Rejected('The authority was removed.') from None
        return self._signers.put_in_charge(
            signer, certificate, _chain(parent) if signer.role != ROOT else ())

    def usable(self, authority: str) -> Signer:
        """The one of an authority that signs new certificates.

        :raises Rejected: there is no such authority, or none any more.
        :raises Unavailable: its certificate was not brought from elsewhere yet.
        """
        found = self._signers.current(authority)
        if found is not None and found.role != RESPONDER:
            return found
        if authority == ISSUING and not self._policy.own_root:
            raise Unavailable(
                'The issuing authority has no certificate yet: its operator has to have one signed '
                '("km-manage ca request") and install it ("km-manage ca install").')
        raise Rejected('There is no such authority, or none any more.')

    def rotate(self, authority: str) -> Signer:
        """Replace who signs as an authority.

        :raises NotSupported: its certificate comes from elsewhere.
        :raises NotFound: there is no such authority.
        """
        if authority == ISSUING and not self._policy.own_root:
            raise NotSupported('Its certificate comes from elsewhere: ask for a request, and install '
                               'what is signed.')
        before = self._known(authority)
        wanted = self._intended(authority) if before.role != SUBORDINATE else self._successor(before)
        return self.finish(self._signers.begin(wanted, after=self._signers.current(authority)))

    def request(self, authority: str) -> bytes:
        """A request for a certificate from elsewhere, PKCS#10, DER; for the same key until that is here.

        :raises NotSupported: its certificate is signed here.
        :raises NotFound: there is no such authority.
        """
        self._require_elsewhere(authority)
        signer = self._signers.with_key(self._signers.begin(
            self._intended(ISSUING), after=self._signers.current(ISSUING)))
        private = self._keys.private(signer.key_id)
        return building.authority_request(signer.name, path_length=self._policy.path_length - 1).sign(
            private, digest_for(private.public_key())).public_bytes(
            Encoding.DER)

    def install(self, authority: str, certificate: bytes, chain: tuple[bytes, ...]) -> Signer:
        """Put the one in charge whose certificate came from elsewhere.

        :raises Rejected: it is not for that key, or not one of an authority.
        """
        self._require_elsewhere(authority)
        installed = self._signers.current(authority)
        if installed is not None and installed.certificate == certificate:
            return installed
        signer = self._signers.pending(authority)
        if signer is None or signer.key_id is None:
            raise Rejected('Nothing was requested: ask for a request first.')
        elsewhere.require_installable(
            certificate, chain, self._keys.private(signer.key_id).public_key(), now=self._now())
        try:
            return self._signers.put_in_charge(signer, certificate, chain)
        except IntegrityError:
            raise Rejected('Its subject is that of another authority here; CRLs are told apart by '
                           'it.') from None

    def subordinate(self, request: SubordinateRequest) -> Signer:
        """The authority of a project, made unless it is there.

        :raises Rejected: the operator allows none, or none of that subject; or it was removed.
        """
        before = self._signers.of(request.authority_id)
        if before and all(one.state == REMOVED for one in before):
            raise Rejected('The authority was removed.')
        if found := self._signers.current(request.authority_id):
            return found
        parent = self.usable(request.parent)
        self._require_room(parent, request.project_id)
        name = self._subject(request, parent)
        return self.finish(self._signers.begin(Intention(
            authority=request.authority_id, role=SUBORDINATE, name=name, parent_id=parent.id,
            project_id=request.project_id), after=None))

    def _subject(self, request: SubordinateRequest, parent: Signer) -> x509.Name:
        """The subject that a project wants for its authority, if nothing speaks against it."""
        try:
            name = distinguished.load(request.subject)
            distinguished.require_common_name(name)
            forbidden = constraints.breach(parent.above, name, ())
        except (ValueError, TypeError) as error:
            raise Rejected(f'The subject cannot be that of an authority: {error}.') from None
        if distinguished.digest(name) in {distinguished.digest(one.subject) for one in parent.above}:
            raise Rejected('Its subject is that of an authority above it.')
        if forbidden:
            raise Rejected(f'The authority above must not name anybody {forbidden}.')
        own = self._constraints(request.project_id)
        if own is not None and not constraints.permits(own, x509.DirectoryName(name)):
            # Its OCSP responder is named as it is, and would be refused by who verifies.
            raise Rejected('The subject is not among those that the operator permits to the project.')
        return name

    def _certificate(self, signer: Signer, parent: Signer) -> x509.CertificateBuilder:
        """What a signer's certificate shall say, but for its serial number."""
        policy, begin = self._policy, self._now() - BACKDATING
        public = self._keys.private(signer.key_id).public_key()
        if signer.role == ROOT:
            builder = building.authority(signer.name, public, path_length=policy.path_length)
            return building.valid(building.by_itself(builder, signer.name, public),
                                  begin, self._now() + policy.root_life)
        if signer.role == RESPONDER:
            builder, life = building.responder(signer.name, public), policy.responder_life
        elif signer.role == SUBORDINATE:
            life, builder = policy.subordinate_life, building.authority(
                signer.name, public, path_length=0, constraints=self._constraints(signer.project_id))
        else:
            life, builder = policy.issuing_life, building.authority(
                signer.name, public, path_length=policy.path_length - 1)
        if _end(parent) <= self._now():
            raise Rejected('The certificate of the authority above has ended.')
        builder = building.valid(
            building.by(builder, parent.loaded), begin, min(self._now() + life, _end(parent)))
        if policy.publication is None or signer.role == RESPONDER:
            return builder
        return policy.publication.pointing(builder, parent.id)

    def _intended(self, authority: str) -> Intention:
        policy = self._policy
        if authority == ROOT:
            return Intention(authority=ROOT, role=ROOT, name=policy.root_subject)
        if not policy.own_root:
            return Intention(authority=ISSUING, role=ISSUING, name=policy.subject, state=REQUESTED)
        return Intention(authority=ISSUING, role=ISSUING, name=policy.subject,
                         parent_id=self.usable(ROOT).id)

    def _successor(self, before: Signer) -> Intention:
        """Another of a project's, under whoever is above it by now."""
        first = self._signers.of(before.authority)[-1]
        parent = self.usable(self._signers.get(before.parent_id).authority)
        return Intention(authority=before.authority, role=SUBORDINATE, name=first.name,
                         parent_id=parent.id, project_id=before.project_id)

    def _known(self, authority: str) -> Signer:
        for signer in self._signers.of(authority):
            if signer.state != REMOVED and signer.role != RESPONDER:
                return signer
        raise NotFound('There is no such authority.')

    def _require_elsewhere(self, authority: str) -> None:
        if authority != ISSUING:
            raise NotFound('There is no such authority whose certificate comes from elsewhere.')
        if self._policy.own_root:
            raise NotSupported('Its certificate is signed here: have it rotated.')

    def _require_room(self, parent: Signer, project_id: str) -> None:
        """Insist that an authority may have others below it, and the operator said for which names."""
        if not self._policy.permitted and not self._policy.excluded:
            raise Rejected('The operator of this authority permits no authorities of projects.')
        basic = parent.loaded.extensions.get_extension_for_class(x509.BasicConstraints).value
        if basic.path_length == 0 or parent.role != ISSUING:
            raise Rejected('This authority cannot have another below it.')
        self._constraints(project_id)

    def _constraints(self, project_id: str | None) -> x509.NameConstraints | None:
        if not self._policy.permitted and not self._policy.excluded:
            return None
        try:
            return constraints.parse(self._policy.permitted, self._policy.excluded, project_id or '')
        except ValueError as error:
            raise Rejected(f'The project can have no authority: {error}.') from None


def _chain(parent: Signer) -> tuple[bytes, ...]:
    return parent.loaded.public_bytes(Encoding.DER), *parent.chain


def _end(parent: Signer) -> datetime:
    return parent.loaded.not_valid_after_utc.replace(tzinfo=None)
