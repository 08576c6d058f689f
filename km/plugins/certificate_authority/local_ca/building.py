# SPDX-License-Identifier: Apache-2.0
"""What certificates of a Local CA say (RFC 5280), whoever signs them."""
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from km.plugins.certificate_authority.local_ca.crls import key_identifier


@dataclass(frozen=True, slots=True)
class Publication:
    """Where strangers find what an issuer says of its certificates.

    :param base: an http URL without a slash at its end, to which the issuer's id is put.
    :param deltas: whether there are delta CRLs.
    """

    base: str
    deltas: bool

    def pointing(self, builder: x509.CertificateBuilder, issuer_id: str, *,
                 responder: bool = True) -> x509.CertificateBuilder:
        """Have a certificate say where its issuer's certificate, CRL and OCSP responder are."""
        places = [(AuthorityInformationAccessOID.CA_ISSUERS, f'{self.base}/{issuer_id}.crt')]
        if responder:
            places.insert(0, (AuthorityInformationAccessOID.OCSP, f'{self.base}/{issuer_id}/ocsp'))
        return builder.add_extension(x509.AuthorityInformationAccess([
            x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
            for method, url in places]), critical=False).add_extension(
            x509.CRLDistributionPoints([_point(f'{self.base}/{issuer_id}.crl')]), critical=False)

    def freshest(self, issuer_id: str) -> str | None:
        """The URL of an issuer's delta CRL, None if it makes none."""
        return f'{self.base}/{issuer_id}-delta.crl' if self.deltas else None


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def authority(subject: x509.Name, public_key: Any, *, path_length: int,
              constraints: x509.NameConstraints | None = None) -> x509.CertificateBuilder:
    """A certificate for who signs certificates and CRLs."""
    builder = _of(subject, public_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _usage(authority=True), critical=True)
    return builder if constraints is None else builder.add_extension(constraints, critical=True)


def authority_request(subject: x509.Name, *, path_length: int) -> x509.CertificateSigningRequestBuilder:
    """What to ask an authority elsewhere for."""
    return x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _usage(authority=True), critical=True)


def responder(subject: x509.Name, public_key: Any) -> x509.CertificateBuilder:
    """A certificate for who signs OCSP answers in the issuer's name (RFC 6960, 4.2.2.2)."""
    return _of(subject, public_key).add_extension(
        _usage(authority=False), critical=True).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False).add_extension(
        x509.OCSPNoCheck(), critical=False)


def _of(subject: x509.Name, public_key: Any) -> x509.CertificateBuilder:
    return x509.CertificateBuilder().subject_name(subject).public_key(public_key).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False)


def valid(builder: x509.CertificateBuilder, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    """Have a certificate begin and end; both count."""
    return builder.not_valid_before(begin).not_valid_after(end)


def by_itself(builder: x509.CertificateBuilder, subject: x509.Name,
              public_key: Any) -> x509.CertificateBuilder:
    """Name the subject as the issuer."""
    return builder.issuer_name(subject).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key), critical=False)


def by(builder: x509.CertificateBuilder, issuer: x509.Certificate) -> x509.CertificateBuilder:
    """Name the issuer."""
    return builder.issuer_name(issuer.subject).add_extension(key_identifier(issuer), critical=False)
