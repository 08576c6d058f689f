# SPDX-License-Identifier: Apache-2.0
"""Local CA: a certificate authority of km's own."""
import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from km.interfaces import (
    Authority,
    CertificateAuthority,
    Crl,
    CrlRequest,
    Issued,
    IssueRequest,
    IssuerRotation,
    KmError,
    Misconfigured,
    NotFound,
    NotSupported,
    OcspAnswer,
    OcspRequest,
    Rejected,
    RevokeRequest,
    StatusPublisher,
    SubordinateMaker,
    SubordinateRequest,
    Unavailable,
)
from km.plugins.certificate_authority.local_ca import (
    building,
    constraints,
    linting,
    requests,
)
from km.plugins.certificate_authority.local_ca.hierarchy import Hierarchy
from km.plugins.certificate_authority.local_ca.issuing import Issuing
from km.plugins.certificate_authority.local_ca.keys import Keys, require_signature, signature
from km.plugins.certificate_authority.local_ca.options import OPTIONS, policy_of
from km.plugins.certificate_authority.local_ca.profiles import Profile
from km.plugins.certificate_authority.local_ca.publishing import Publishing
from km.plugins.certificate_authority.local_ca.responding import Responding
from km.plugins.certificate_authority.local_ca.revocation import Revocation
from km.plugins.certificate_authority.local_ca.signers import Signer, Signers
from km.plugins.certificate_authority.local_ca.tables import (
    CURRENT,
    ISSUING,
    REMOVED,
    ROOT,
    SUBORDINATE,
    TABLES,
)
from km.plugins.certificate_authority.local_ca.upkeep import Upkeep
from km.plugins.database import PluginDatabase


class LocalCa(CertificateAuthority, SubordinateMaker, StatusPublisher, IssuerRotation):
    """A root and an issuing authority, or the latter under a root elsewhere; authorities of projects
    below it. The keys are in a secret store that signs."""

    options = OPTIONS

    def open(self) -> None:
        settings = self.settings
        self._policy = policy = policy_of(self.name, settings, self.key_stores)
        self._database = database = self._connected()
        self._keys = keys = Keys(
            database, self.key_stores, store=settings.key_store, algorithm=policy.algorithm,
            bits=policy.bits, now=self._now)
        self._signers = signers = Signers(database, keys)
        self._issuing = Issuing(database, keys, signers, self._now)
        self._hierarchy = Hierarchy(policy, signers, keys, self._issuing, self._now)
        self._revocation = Revocation(
            database, self._issuing, expired=policy.revoke_expired, now=self._now)
        self._publishing = Publishing(policy, database, signers, keys, self._now)
        self._responding = Responding(policy, signers, keys, hierarchy=self._hierarchy,
                                      revocation=self._revocation, now=self._now)
        self._upkeep = Upkeep(policy, database, signers, keys, publishing=self._publishing,
                              revocation=self._revocation, now=self._now)
        try:
            self._hierarchy.ensure()
        except NotSupported as error:
            self.close()
            raise Misconfigured(f'[certificate_authority:{self.name}] key_store: '
                                f'{error.sentence}') from None
        except KmError:
            self.close()
            raise

    def check(self) -> str:
        days: dict[str, list[int]] = {ISSUING: [], ROOT: [], SUBORDINATE: []}
        for signer in self._signers.all(*days):
            if signer.state == CURRENT and signer.not_after is not None:
                self._require_signs(signer)
                days[signer.role].append((signer.not_after - self._now()).days)
        told = [f'{role}: {left} days left' for role in (ISSUING, ROOT) for left in days[role]]
        if not days[ISSUING]:
            told.insert(0, f'{ISSUING}: waits for its certificate')
        if days[SUBORDINATE]:
            told.append(f'{len(days[SUBORDINATE])} of projects: {min(days[SUBORDINATE])} days left, '
                        'or more')
        return '; '.join(told)

    def close(self) -> None:
        self._database.close()

    def authorities(self) -> Sequence[Authority]:
        """The issuing authority, and those of projects, each by its id."""
        issuing = self._signers.current(ISSUING)
        yet = Authority(name=ISSUING, description=self._policy.subject.rfc4514_string())
        return [yet if issuing is None else _told(issuing),
                *(_told(signer) for signer in self._signers.all(SUBORDINATE) if signer.state == CURRENT)]

    def issue(self, request: IssueRequest) -> Issued:
        try:
            row = self._issuing.find(request.order_id)
            certificate = self._issued(request) if row is None else self._issuing.finish(row)
            row = self._issuing.find(request.order_id)
            issuer = self._signers.get(row.issuer_id if row is not None else None)
        except NotFound as error:
            raise Rejected(error.sentence) from None
        return Issued(certificate=certificate, chain=(issuer.certificate or b'', *issuer.chain))

    def revoke(self, request: RevokeRequest) -> None:
        self._revocation.revoke(request)

    def make_subordinate(self, request: SubordinateRequest) -> Authority:
        return _told(self._hierarchy.subordinate(request))

    def remove_subordinate(self, authority_id: str) -> None:
        self._upkeep.remove(authority_id)

    def issuer_certificate(self, issuer: str) -> bytes:
        return self._issuer(issuer).certificate or b''

    def crl(self, request: CrlRequest) -> Crl:
        issuer = self._issuer(request.issuer)
        return self._publishing.delta(issuer) if request.delta else self._publishing.complete(issuer)

    def ocsp(self, request: OcspRequest) -> OcspAnswer:
        return self._responding.answer(self._issuer(request.issuer), request.content)

    def publish(self) -> Mapping[str, Crl]:
        failure: Unavailable | None = None
        issuers = [issuer for issuer in self._signers.issuers() if issuer.state != REMOVED]
        for issuer in filter(self._publishing.is_due(), issuers):
            try:
                self._publishing.complete(issuer)
                if self._policy.delta_period is not None:
                    self._publishing.delta(issuer)
            except Unavailable as error:  # perhaps the keys of others can be used
                failure = error
            except NotFound:  # it was removed meanwhile
                continue
        self._responding.renew(issuers)
        self._upkeep.sweep()
        if failure is not None:
            raise failure
        return self._publishing.newest()

    def rotate_issuer(self, authority: str) -> str:
        return self._hierarchy.rotate(authority).line

    def issuer_request(self, authority: str) -> bytes:
        return self._hierarchy.request(authority)

    def install_issuer(self, authority: str, certificate: bytes, chain: tuple[bytes, ...]) -> str:
        return self._hierarchy.install(authority, certificate, chain).line

    def _now(self) -> datetime:
        return datetime.now(UTC).replace(tzinfo=None, microsecond=0)

    def _connected(self) -> PluginDatabase:
        section, settings = f'[certificate_authority:{self.name}]', self.settings
        try:
            return PluginDatabase(
                settings.connection, TABLES, name='certificate authority',
                max_connections=settings.max_connections, seconds=settings.database_timeout_seconds)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise Misconfigured(f'{section} connection: it is not a database URL that this km can use '
                                f'({type(error).__name__}).') from None
        except Unavailable:
            raise Unavailable(f'{section} connection: the database does not answer.') from None

    def _issuer(self, issuer: str) -> Signer:
        """Whom a stranger names.

        :raises NotFound: there is no such issuer.
        """
        try:
            found = self._signers.get(str(uuid.UUID(issuer)))
        except ValueError:
            raise NotFound('There is no such issuer.') from None
        if found.certificate is None or found.role not in (ROOT, ISSUING, SUBORDINATE):
            raise NotFound('There is no such issuer.')
        return found

    def _issued(self, request: IssueRequest) -> bytes:
        if request.authority == ROOT:
            raise Rejected('The root issues to authorities only.')
        issuer = self._hierarchy.usable(request.authority)
        if issuer.project_id is not None and issuer.project_id != request.project_id:
            raise Rejected('The authority is that of another project.')
        profile = self._profile(request.profile)
        wanted = requests.wanted(
            request.csr, profile, now=self._now(), not_after=request.not_after, details=request.details,
            issuer_ends=issuer.loaded.not_valid_after_utc.replace(tzinfo=None))
        self._issuing.require_new_trust(wanted.public_key)
        builder = self._builder(wanted, issuer, pointing=not profile.short_lived)
        if self._policy.lint:
            linting.require_clean(builder.serial_number(x509.random_serial_number()), issuer.loaded)
        return self._issuing.make(request.order_id, issuer, builder, listed=not profile.short_lived)

    def _profile(self, name: str | None) -> Profile:
        wanted = name or self._policy.usual_profile
        try:
            return self._policy.profiles[wanted]
        except KeyError:
            raise NotSupported('There is no such profile; there are: '
                               f'{", ".join(sorted(self._policy.profiles))}.') from None

    def _builder(self, wanted: requests.Wanted, issuer: Signer, *,
                 pointing: bool) -> x509.CertificateBuilder:
        alternatives: Sequence[x509.GeneralName] = ()
        builder = x509.CertificateBuilder().subject_name(wanted.subject).public_key(wanted.public_key)
        for extension, critical in wanted.extensions:
            builder = builder.add_extension(extension, critical)
            if isinstance(extension, x509.SubjectAlternativeName):
                alternatives = list(extension)
        if forbidden := constraints.breach(issuer.above, wanted.subject, alternatives):
            raise Rejected(f'The authority must not give certificates to {forbidden}.')
        builder = building.by(
            building.valid(builder, wanted.not_before, wanted.not_after), issuer.loaded)
        publication = self._policy.publication
        return publication.pointing(builder, issuer.id) if publication and pointing else builder

    def _require_signs(self, signer: Signer) -> None:
        private, data = self._keys.private(signer.key_id), os.urandom(32)
        try:
            require_signature(signer.loaded.public_key(), signature(private, data), data)
        except InvalidSignature:
            raise Unavailable(f"The store of the key of '{signer.authority}' signs wrongly.") from None


def _told(signer: Signer) -> Authority:
    return Authority(name=signer.authority, description=signer.name.rfc4514_string(),
                     certificate=signer.certificate, chain=signer.chain)
