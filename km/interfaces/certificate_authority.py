# SPDX-License-Identifier: Apache-2.0
"""Who issues certificates."""
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from km.errors import NotSupported
from km.interfaces.plugin import Plugin
from km.interfaces.secret_store import Reference, StoredSecret
from km.interfaces.signing_store import SigningKey, SigningKeyRequest, SignRequest

#: Why certificates are revoked: RFC 5280, 5.3.1, by its names. ``removeFromCRL`` takes a
#: ``certificateHold`` back.
REVOCATION_REASONS = (
    'unspecified', 'keyCompromise', 'cACompromise', 'affiliationChanged', 'superseded',
    'cessationOfOperation', 'certificateHold', 'removeFromCRL', 'privilegeWithdrawn', 'aACompromise')


class KeyStore(Protocol):
    """A secret store that signs, as a certificate authority is given it: what ``SigningStore`` and
    ``SecretStore`` say of these methods holds."""

    def generate_signing_key(self, request: SigningKeyRequest) -> SigningKey: ...
    def sign(self, request: SignRequest) -> bytes: ...
    def find(self, secret_id: str) -> Reference | None: ...
    def delete(self, stored: StoredSecret) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One of those that a plugin issues as: most plugins are one, some are several.

    :param name: the plugin's own name of it, at most 255 characters, which never changes.
    :param description: a line for people.
    :param certificate: X.509 (RFC 5280), DER: what it signs with now; None if that is not known yet.
    :param chain: the certificates above that one, DER, its issuer first.
    """

    name: str
    description: str = ''
    certificate: bytes | None = None
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRequest:
    """A certificate to issue.

    :param order_id: lower-case UUID. It is the same each time km asks about one order, and of no other.
    :param project_id: the owner.
    :param authority: as whom to issue it: the name of one of ``authorities``.
    :param csr: PKCS#10 (RFC 2986), DER. Its signature was found to be that of its key, and its names to
        be names; whether they may have a certificate is for the authority to say.
    :param profile: the name of the profile that was asked for; None for whichever is the usual one.
    :param not_after: when it shall end at the latest, UTC without a zone; None for the profile's time.
    :param replaces: the certificate that this one shall replace, DER (RFC 9773, 5); None for a first.
    :param details: whatever else a ``custom`` order said, by the client's names.
    :param attempt: 1 the first time. Later ones follow an attempt that was cut off, perhaps after it had
        its effect: find out first whether there is one for ``order_id`` already, and give that.
    """

    order_id: str
    project_id: str
    authority: str
    csr: bytes
    profile: str | None = None
    not_after: datetime | None = None
    replaces: bytes | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate.

    :param certificate: X.509 (RFC 5280), DER.
    :param chain: the certificates above it, DER, its issuer first; with or without the root.
    """

    certificate: bytes
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """There is no certificate yet, and asking again will tell.

    :param reference: what the plugin needs to go on; kept with the order before ``poll`` is called.
    :param poll_after_seconds: when to ask again; km waits so long, and no shorter, and holds no thread.
    :param sentence: what it waits for, for the person who ordered it.
    """

    reference: Reference
    poll_after_seconds: float
    sentence: str = ''


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingOrder:
    """An order that ``issue`` or ``poll`` called pending.

    :param order: as ``issue`` was given it.
    :param reference: the last that was given for it.
    """

    order: IssueRequest
    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeRequest:
    """A certificate to revoke.

    :param authority: who issued it.
    :param order_id: for what order.
    :param certificate: X.509, DER.
    :param reason: one of ``REVOCATION_REASONS``.
    :param revoked_at: when it was asked for, UTC without a zone.
    :param invalidity_date: since when its key is not to be trusted (RFC 5280, 5.3.2), if that is known.
    """

    authority: str
    order_id: str
    certificate: bytes
    reason: str
    revoked_at: datetime
    invalidity_date: datetime | None = None


class CertificateAuthority(Plugin):
    """Issues certificates. km orders them, keeps them, renews them and has them revoked.

    km may be killed at any time and asks again then: whatever is asked twice must happen once. No call
    may sleep until something outside has happened: return ``Pending``, and be asked again.

    Before ``open``, ``key_stores`` is set to the enabled secret stores that can sign, and ``responders``
    to the enabled ``ChallengeResponder`` plugins, both by the operator's names.
    """

    key_stores: Mapping[str, KeyStore]
    responders: Mapping[str, Any]

    def authorities(self) -> Sequence[Authority]:
        """Those that it issues as; the first is the usual one. Asked at start, and once a day.

        :raises Unavailable: it cannot say now.
        """
        return (Authority(name=self.name),)

    @abstractmethod
    def issue(self, request: IssueRequest) -> Issued | Pending:
        """Issue a certificate, or begin to.

        :raises Rejected: it never will, for this request; the sentence tells the client why.
        :raises NotSupported: it does not do what is asked, such as this profile or these details.
        :raises Unavailable: not now; ``retry_after_seconds`` of the error, if it has such, is heeded.
        """

    def poll(self, pending: PendingOrder) -> Issued | Pending:
        """Go on with an order that was pending. One that was issued already gives the same certificate.

        :raises Rejected, Unavailable: as in ``issue``.
        """
        raise NotSupported('This authority leaves nothing pending.')

    def cancel(self, pending: PendingOrder) -> None:
        """Give up an order that was pending: nobody will ask for it again. No error if it is gone.

        :raises Unavailable: not now; km will ask again.
        """

    @abstractmethod
    def revoke(self, request: RevokeRequest) -> None:
        """Revoke a certificate; no error if it is revoked already.

        :raises Rejected: it cannot be revoked, or not for this reason.
        :raises NotSupported: this plugin revokes nothing.
        :raises Unavailable: not now; km will ask again.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SubordinateRequest:
    """An authority to make under another.

    :param authority_id: lower-case UUID; it is the new one's name.
    :param project_id: its owner; only it has certificates of it.
    :param parent: the name of the one above it.
    :param subject: the Name (RFC 5280, 4.1.2.6) it shall have, DER.
    :param name: what its owner calls it.
    """

    authority_id: str
    project_id: str
    parent: str
    subject: bytes
    name: str


class SubordinateMaker(ABC):
    """What a certificate authority may be besides: able to make others under it."""

    @abstractmethod
    def make_subordinate(self, request: SubordinateRequest) -> Authority:
        """Make one, or give the one that was made for this ``authority_id`` already.

        :raises Rejected: the parent may have none, or none of that subject.
        :raises Unavailable: not now; km will ask again, or have it removed.
        """

    @abstractmethod
    def remove_subordinate(self, authority_id: str) -> None:
        """Have one issue no more, and destroy its key; no error if it is gone. What it issued stays
        revocable for as long as its parent's certificates say so.

        :raises Unavailable: not now; km will ask again.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalWindow:
    """When an authority would have a certificate renewed (RFC 9773, 4.2). Times are UTC without a zone.

    :param ask_after_seconds: how long that holds.
    :param explanation_url: a page that says why, if there is one.
    """

    start: datetime
    end: datetime
    ask_after_seconds: float
    explanation_url: str | None = None


class RenewalAdviser(ABC):
    """What a certificate authority may be besides: able to say when to renew."""

    @abstractmethod
    def renewal_window(self, certificate: bytes) -> RenewalWindow | None:
        """When to renew a certificate of its, X.509, DER; None if it has no opinion.

        :raises Unavailable: not now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRequest:
    """A CRL that somebody fetches.

    :param issuer: whose, by the plugin's own name of it in the URL that it put into certificates.
    :param delta: whether the changes since the last complete one are wanted (RFC 5280, 5.2.4).
    """

    issuer: str
    delta: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Crl:
    """A CRL (RFC 5280, 5), DER. Times are UTC without a zone."""

    content: bytes
    number: int
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspRequest:
    """A question about certificates of one issuer.

    :param issuer: as in ``CrlRequest``.
    :param content: OCSPRequest (RFC 6960, 4.1.1), DER, as it came from anybody.
    """

    issuer: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspAnswer:
    """OCSPResponse (RFC 6960, 4.2.1), DER.

    :param next_update: until when it may be told to who asks the same again; None if it may not be.
    """

    content: bytes
    next_update: datetime | None = None


class StatusPublisher(ABC):
    """What a certificate authority may be besides: one that says itself what it has revoked.

    km serves it to everybody, without asking who they are: at ``/pki/NAME/ISSUER.crl``,
    ``/pki/NAME/ISSUER-delta.crl``, ``/pki/NAME/ISSUER.crt`` and ``/pki/NAME/ISSUER/ocsp`` (RFC 6960, A)
    of its URL, where ``NAME`` is the operator's name of the plugin. Whatever is asked comes from
    strangers.
    """

    @abstractmethod
    def issuer_certificate(self, issuer: str) -> bytes:
        """The certificate of an issuer, X.509, DER.

        :raises NotFound: there is no such issuer.
        """

    @abstractmethod
    def crl(self, request: CrlRequest) -> Crl:
        """The newest CRL; made now if there is none, or it ends soon.

        :raises NotFound: there is no such issuer.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def ocsp(self, request: OcspRequest) -> OcspAnswer:
        """An answer, which may be that there is none (``malformedRequest``, ``unauthorized``).

        :raises NotFound: there is no such issuer.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def publish(self) -> Mapping[str, Crl]:
        """Make what CRLs are due, of every issuer that still has to; km calls it in each sweep.

        :returns: the newest complete CRL of each issuer that has one.
        :raises Unavailable: not now.
        """


class IssuerRotation(ABC):
    """What a certificate authority may be besides: one whose issuing keys can be replaced in use.

    The key before goes on signing CRLs and OCSP answers until its last certificate has ended.
    """

    @abstractmethod
    def rotate_issuer(self, authority: str) -> str:
        """Issue by a new key from now on.

        :returns: a line that names it.
        :raises NotSupported: what is above it is elsewhere: see ``issuer_request``.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def issuer_request(self, authority: str) -> bytes:
        """A request for a new issuing certificate, for an authority elsewhere to sign.

        Asked again before it is installed it gives one for the same key.

        :returns: PKCS#10 (RFC 2986), DER.
        :raises NotFound: there is no such authority.
        :raises NotSupported: nothing above it is elsewhere: see ``rotate_issuer``.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def install_issuer(self, authority: str, certificate: bytes, chain: tuple[bytes, ...]) -> str:
        """Issue by the key of the last ``issuer_request`` from now on.

        :param certificate: X.509, DER.
        :param chain: the certificates above it, DER, its issuer first.
        :returns: a line that names it.
        :raises Rejected: it is not for that key, or not one of an authority; the sentence says which.
        :raises Unavailable: not now.
        """
