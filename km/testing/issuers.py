# SPDX-License-Identifier: Apache-2.0
"""Keys that issue certificates, for tests: the least that each must have (RFC 5280, 4.2.1)."""
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


@dataclass
class Issuer:
    """A key that issues, its certificate and those above it, its own issuer first."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[bytes, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in URLs."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()[:32]

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def new_issuer(name: str | x509.Name, *, above: Issuer | None) -> Issuer:
    """A new key, certified by the issuer above it, or by itself; until the end of 2049."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = name if isinstance(name, x509.Name) else x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _of_an_authority(subject, key.public_key(), above=above, able=True)
    certificate = builder.sign(above.key if above else key, hashes.SHA256())
    return Issuer(key, certificate, (above.der, *above.chain) if above else ())


def certify(csr: x509.CertificateSigningRequest, *, by: Issuer, able: bool = True) -> bytes:
    """The certificate of an authority that was requested, DER; or of none, that looks much the same."""
    builder = _of_an_authority(csr.subject, csr.public_key(), above=by, able=able)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def new_certificate(subject: x509.Name, public_key: Any, *, issuer: Issuer | None, begins: datetime,
                    ends: datetime) -> x509.CertificateBuilder:
    """What every certificate has: names, key, times, identifiers; without an issuer its own."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    above = identifier
    if issuer:
        above = x509.SubjectKeyIdentifier.from_public_key(issuer.key.public_key())
    return x509.CertificateBuilder().subject_name(subject).issuer_name(
        issuer.certificate.subject if issuer else subject).public_key(public_key).serial_number(
        x509.random_serial_number()).not_valid_before(begins - timedelta(minutes=1)).not_valid_after(
        ends).add_extension(identifier, critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False)


def _of_an_authority(subject: x509.Name, public_key: Any, *, above: Issuer | None,
                     able: bool) -> x509.CertificateBuilder:
    begins, ends = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
    unused = ('content_commitment', 'key_encipherment', 'data_encipherment', 'key_agreement',
              'encipher_only', 'decipher_only')
    return new_certificate(subject, public_key, issuer=above, begins=begins, ends=ends).add_extension(
        x509.BasicConstraints(ca=able, path_length=None), critical=True).add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=able, crl_sign=able,
                      **dict.fromkeys(unused, False)), critical=True)
