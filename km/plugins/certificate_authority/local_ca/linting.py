# SPDX-License-Identifier: Apache-2.0
"""Linting: a certificate is held against RFC 5280 and those that go with it before its issuer signs it.

For that it is signed by a key that is nobody's, of the type of the issuer's, and read by ``pkilint``,
which shares no code with what made it. So a profile that asks for what no certificate may be harms
nobody.
"""
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import Misconfigured, Rejected
from km.plugins.certificate_authority.local_ca.keys import digest_for

try:
    from pkilint import loader
    from pkilint.pkix import certificate, extension, name
    from pkilint.validation import ValidationFindingSeverity
except ImportError:  # without km[local-ca]: see require_installed
    loader = None

#: Findings that are none for a private authority, with the reason.
ALLOWED = frozenset({
    # pkilint takes neither a star nor a name of one label; names.py has checked each name already.
    'pkix.invalid_domain_name_syntax',
    # Nor does it know schemes such as spiffe or urn; names.py has checked these as well.
    'pkix.invalid_uri_syntax',
})

_OTHERS = {
    ed25519.Ed25519PublicKey: ed25519.Ed25519PrivateKey, mldsa.MLDSA44PublicKey: mldsa.MLDSA44PrivateKey,
    mldsa.MLDSA65PublicKey: mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PublicKey: mldsa.MLDSA87PrivateKey}


def require_installed(where: str) -> None:
    """
    :param where: the option that asks for linting, as ``[section] option``.
    :raises Misconfigured: pkilint is not installed.
    """
    if loader is None:
        raise Misconfigured(f'{where}: linting needs more packages: pip install "km[local-ca]".')


def require_clean(builder: x509.CertificateBuilder, issuer: x509.Certificate) -> None:
    """Lint the certificate that a builder would make.

    :param builder: all of it: its serial number, its names, its times and every extension.
    :raises Rejected: there are findings; the sentence has them.
    """
    key = _nobodys(issuer.public_key())
    made = builder.sign(key, digest_for(key.public_key()))  # type: ignore[arg-type]
    if findings := sorted(set(_findings(made.public_bytes(Encoding.DER)))):
        raise Rejected(f'The certificate would not be as RFC 5280 wants it: {"; ".join(findings)}.')


def _findings(der: bytes) -> list[str]:
    document = loader.RFC5280CertificateDocumentLoader().load_der_document(der, 'certificate')
    return [f'{found.finding.code} at {result.node.path}'
            for result in _linter().validate(document.root) for found in result.finding_descriptions
            if found.finding.severity <= ValidationFindingSeverity.WARNING
            and found.finding.code not in ALLOWED]


@functools.cache
def _linter() -> Any:
    # As the command lint_pkix_cert of pkilint puts it together: a shorter list overlooks much.
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(
            name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [certificate.create_issuer_validator_container([]),
         certificate.create_validity_validator_container(),
         certificate.create_subject_validator_container([]),
         certificate.create_extensions_validator_container([]),
         certificate.create_spki_validator_container([])])


def _nobodys(public_key: Any) -> Any:
    if isinstance(public_key, rsa.RSAPublicKey):
        return _rsa_key()
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _ec_key(public_key.curve.name)
    return _other_key(next(made for kind, made in _OTHERS.items() if isinstance(public_key, kind)))


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    # How long a signature is the linter does not mind.
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def _ec_key(curve: str) -> ec.EllipticCurvePrivateKey:
    curves: dict[str, ec.EllipticCurve] = {
        known.name: known for known in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())}
    return ec.generate_private_key(curves[curve])


@functools.cache
def _other_key(kind: Any) -> Any:
    return kind.generate()
