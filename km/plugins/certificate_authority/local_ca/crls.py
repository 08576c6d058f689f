# SPDX-License-Identifier: Apache-2.0
"""CRLs, complete and delta (RFC 5280, 5)."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from km.plugins.certificate_authority.local_ca.keys import digest_for

_Extension = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate that is revoked, or, on a delta CRL, is not any more.

    :param serial: its serial number.
    :param revoked_at: UTC without a zone, as all times here.
    :param reason: one of ``km.interfaces.REVOCATION_REASONS``.
    :param invalidity_date: since when its key is not to be trusted, if that is known.
    """

    serial: int
    revoked_at: datetime
    reason: str
    invalidity_date: datetime | None = None


def build(*, issuer: x509.Certificate, key: Any, entries: Iterable[Entry], number: int,
          this_update: datetime, next_update: datetime, base_number: int | None = None,
          freshest_url: str | None = None) -> bytes:
    """A CRL, DER.

    :param key: the issuer's, as ``cryptography`` takes private keys.
    :param entries: what is on it. ``removeFromCRL`` is for deltas; a complete CRL has no such entry.
    :param number: of one line with the deltas' (5.2.3).
    :param base_number: of the complete CRL that this one goes with, and is a delta to; None for a
        complete one.
    :param freshest_url: where the deltas to this complete one are; a delta does not say that (5.2.6).
    :raises Unavailable: the key's store does not sign now.
    """
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.subject, last_update=this_update, next_update=next_update,
        revoked_certificates=[_revoked(entry) for entry in entries
                              if base_number is not None or entry.reason != 'removeFromCRL'])
    for extension, critical in _extensions(issuer, number, base_number, freshest_url):
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, digest_for(key.public_key())).public_bytes(  # type: ignore[arg-type]
        Encoding.DER)


def key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """What tells the key of an issuer from others of the same name (4.2.1.1)."""
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _extensions(issuer: x509.Certificate, number: int, base_number: int | None,
                freshest_url: str | None) -> Iterator[_Extension]:
    yield key_identifier(issuer), False
    yield x509.CRLNumber(number), False
    if base_number is not None:
        yield x509.DeltaCRLIndicator(base_number), True
    elif freshest_url is not None:
        yield x509.FreshestCRL([x509.DistributionPoint(
            full_name=[x509.UniformResourceIdentifier(freshest_url)],
            relative_name=None, reasons=None, crl_issuer=None)]), False


def _revoked(entry: Entry) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(entry.serial, entry.revoked_at)
    if entry.reason != 'unspecified':  # to say that is to say nothing, and one should not (5.3.1)
        builder = builder.add_extension(x509.CRLReason(reason_flag(entry.reason)), False)
    if entry.invalidity_date is not None:
        builder = builder.add_extension(x509.InvalidityDate(entry.invalidity_date), False)
    return builder.build()


def reason_flag(reason: str) -> x509.ReasonFlags:
    """A reason of ``km.interfaces.REVOCATION_REASONS`` as ``cryptography`` has it.

    :raises ValueError: it is none.
    """
    return x509.ReasonFlags(reason)
