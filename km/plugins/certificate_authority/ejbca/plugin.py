# SPDX-License-Identifier: Apache-2.0
"""EJBCA: certificates by one CA of it, over REST and mutual TLS or with OAuth 2.0 tokens.

Each order has an end entity of its own, which is named by the order's id. Before anything is asked for,
EJBCA is asked what it has for that name: so whatever is asked twice happens once. Nothing is given to
anybody but what is for the key and the names of the order, ends in time, and verifies to an anchor.
"""
import contextlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import (
    Authority,
    CertificateAuthority,
    Issued,
    IssueRequest,
    Misconfigured,
    NotSupported,
    Pending,
    PendingOrder,
    Rejected,
    RevokeRequest,
    Unavailable,
)
from km.plugins.certificate_authority.ejbca import authority, checking, failures, searching
from km.plugins.certificate_authority.ejbca.approvals import ApprovedEnrollment
from km.plugins.certificate_authority.ejbca.connection import Connection
from km.plugins.certificate_authority.ejbca.delivery import Delivery
from km.plugins.certificate_authority.ejbca.enrollment import Enrollment
from km.plugins.certificate_authority.ejbca.failures import NoAnswer
from km.plugins.certificate_authority.ejbca.options import OPTIONS, TWO_STEP, EjbcaSettings, Profile
from km.plugins.certificate_authority.ejbca.order import Order, Progress
from km.plugins.certificate_authority.ejbca.revocation import Revocation

LOG = logging.getLogger(__name__)


class Ejbca(CertificateAuthority):
    """One CA of an EJBCA."""

    options = OPTIONS

    def open(self) -> None:
        self._config = EjbcaSettings(self.name, self.settings)
        self._connection = Connection(self._config)
        self._revocation = Revocation(self._connection, self._config)
        made_by = ApprovedEnrollment if self._config.enrollment_mode == TWO_STEP else Enrollment
        self._enrollment = made_by(
            self._connection, self._config, Delivery(self._connection, self._config, self._revocation))
        try:
            self._require_what_it_takes()
        except NoAnswer as error:
            self.close()
            raise Unavailable(error.operators) from None

    def check(self) -> str:
        try:
            told = self._connection.ask('GET', 'v1', 'certificate', 'status').fields()
            ca = authority.find(self._connection, self._config.certificate_authority)
            chain = self._verified(ca)
            crl = authority.crl(self._connection, ca)
        except NoAnswer as error:
            raise Unavailable(error.operators) from None
        revision = failures.cleaned(told.get('revision')) or 'of no known version'
        return (f'{revision}; {ca.name} ends {chain[0].not_valid_after_utc:%Y-%m-%d}; '
                f'{_about(crl, chain[0])}')

    def close(self) -> None:
        self._connection.close()

    def authorities(self) -> Sequence[Authority]:
        ca = authority.find(self._connection, self._config.certificate_authority)
        chain = tuple(one.public_bytes(Encoding.DER) for one in self._verified(ca))
        return (Authority(name=ca.name, description=ca.subject_dn, certificate=chain[0],
                          chain=chain[1:]),)

    def issue(self, request: IssueRequest) -> Issued | Pending:
        return self._enrollment.go_on(self._order(request), Progress())

    def poll(self, pending: PendingOrder) -> Issued | Pending:
        return self._enrollment.go_on(self._order(pending.order), Progress.of(pending.reference))

    def cancel(self, pending: PendingOrder) -> None:
        # Whatever became of its profile, its end or the name of the CA since: nothing more is ordered.
        self._enrollment.cancel(self._named(pending.order, self._config.usual_profile))

    def revoke(self, request: RevokeRequest) -> None:
        """Revoke a certificate, and with it any other for its key and its order: EJBCA may have made one
        that km gave up to hear of, and nobody else would revoke that."""
        certificate = x509.load_der_x509_certificate(request.certificate)
        self._revocation.revoke(certificate, request.reason, request.invalidity_date)
        for twin in searching.certificates(
                self._connection, f'{self._config.username_prefix}{request.order_id}',
                certificate.public_key()):
            if twin != certificate:
                with contextlib.suppress(Rejected):  # it is by another authority, or never revoked so
                    self._revocation.revoke(twin, request.reason, request.invalidity_date)

    def _require_what_it_takes(self) -> None:
        authority.find(self._connection, self._config.certificate_authority)
        if isinstance(self._enrollment, ApprovedEnrollment):
            try:
                self._enrollment.require_end_entities()
            except NoAnswer as error:
                if error.operators == failures.NO_END_ENTITIES:
                    raise Misconfigured(f'[certificate_authority:{self.name}] enrollment_mode: '
                                        f'{error.operators}') from None
                raise

    def _order(self, request: IssueRequest) -> Order:
        if request.authority != self._config.certificate_authority:
            raise NotSupported('The certificate authority is not of that name any more.')
        if request.details:
            raise NotSupported('The certificate authority takes no details: '
                               f'{", ".join(map(failures.cleaned, sorted(request.details)))}.')
        if request.not_after is not None and request.not_after <= datetime.now(UTC).replace(tzinfo=None):
            raise Rejected('The certificate would have to end before it begins.')
        return self._named(request, self._config.profile(request.profile))

    def _named(self, request: IssueRequest, profile: Profile) -> Order:
        return Order(request, _request(request.csr),
                     f'{self._config.username_prefix}{request.order_id}', profile)

    def _verified(self, ca: authority.Ca) -> tuple[x509.Certificate, ...]:
        """The certificate of the CA and those above it, in their order."""
        own, *others = authority.certificates(self._connection, ca)
        try:
            return (own, *checking.path(own, others, self._config.anchors))
        except checking.Unverified:
            raise self._connection.no_answer(
                'The certificate of the CA has no way that verifies to a certificate in '
                'anchors_file.') from None


def _request(csr: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_der_x509_csr(csr)
        request.public_key()
        list(request.extensions)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType):
        raise Rejected('The request is no PKCS#10, or of a key that km does not know.') from None
    return request


def _about(crl: x509.CertificateRevocationList | None, issuer: x509.Certificate) -> str:
    """A CRL in some words."""
    if crl is None:
        return 'it has no CRL'
    if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        return 'its CRL is by another key'
    ends = crl.next_update_utc
    if ends is None:
        return 'its CRL does not end'
    return f'its CRL {"ended" if ends < datetime.now(UTC) else "holds until"} {ends:%Y-%m-%d %H:%M} UTC'
