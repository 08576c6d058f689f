# SPDX-License-Identifier: Apache-2.0
"""Whether what EJBCA issued is what was ordered, and by whom it should be."""
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import verification
from cryptography.x509.oid import ExtensionOID, NameOID

_GENERAL_NAMES = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)


class Unverified(Exception):
    """There is no way from a certificate to an anchor."""


def unlike(order_csr: x509.CertificateSigningRequest, not_after: datetime | None,
           certificate: x509.Certificate) -> str | None:
    """How a certificate goes beyond its order, for the client; None if it does not.

    It may have fewer names. It may have more in its subject, as a profile puts organisations there, but
    no common name that was not ordered.

    :param not_after: the wish, UTC without a zone.
    """
    ends = certificate.not_valid_after_utc.replace(tzinfo=None)
    if not_after is not None and ends > not_after:
        return (f'EJBCA issued a certificate that ends at {ends:%Y-%m-%dT%H:%M:%SZ}, which is later '
                'than was asked for.')
    asked = _alternative_names(order_csr)
    common = _common_names(order_csr.subject)
    if not _alternative_names(certificate) <= asked | {('DNSName', name.lower()) for name in common}:
        return 'EJBCA issued a certificate with alternative names that were not asked for.'
    if not _common_names(certificate.subject) <= common | {str(value) for _, value in asked}:
        return 'EJBCA issued a certificate with a common name that was not asked for.'
    return None


def path(certificate: x509.Certificate, between: Iterable[x509.Certificate],
         anchors: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates above one, its issuer first and an anchor last (RFC 5280, 6).

    Signatures, times, name constraints and that authorities are such are looked at; what a certificate
    is for is not.

    :param between: those that may be between, in whatever order.
    :raises Unverified: there is no way to an anchor.
    """
    authority = verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, None,
    ).may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _require_signing)
    verifier = verification.PolicyBuilder().store(verification.Store(list(anchors))).time(
        datetime.now(UTC)).extension_policies(
        ca_policy=authority, ee_policy=verification.ExtensionPolicy.permit_all()).build_client_verifier()
    try:
        return tuple(verifier.verify(certificate, list(between)).chain[1:])
    except (verification.VerificationError, ValueError, UnsupportedAlgorithm):
        raise Unverified from None


def _require_signing(_policy: Any, _certificate: Any, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError('not one that signs certificates')


def _alternative_names(told: x509.Certificate | x509.CertificateSigningRequest) -> set[tuple[str, str]]:
    try:
        names = told.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return set()
    assert isinstance(names, x509.SubjectAlternativeName)  # noqa: S101 - what its OID says
    return {_alternative_name(name) for name in names}


def _alternative_name(name: x509.GeneralName) -> tuple[str, str]:
    kind = type(name).__name__
    if not isinstance(name, _GENERAL_NAMES):
        return kind, repr(name)
    value = str(name.value)
    return kind, value.lower() if isinstance(name, x509.DNSName) else value


def _common_names(name: x509.Name) -> set[str]:
    return {str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)}
