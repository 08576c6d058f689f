# SPDX-License-Identifier: Apache-2.0
"""Certificates: what they say, whether they answer a request, and the chain above them (RFC 5280)."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import NameOID

from km.certificates import names, requests, subjects
from km.errors import Invalid, Rejected

MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_CHAIN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What there is to say of a certificate. Times are UTC without a zone.

    :param serial: lower-case hexadecimal.
    :param subject: as RFC 4514 writes it, at most 1024 characters; ``issuer`` too.
    :param names: as ``km.certificates.requests.names_of`` tells those of a request.
    :param fingerprint: SHA-256 of the DER, lower-case hexadecimal.
    :param public_key: SubjectPublicKeyInfo, DER.
    """

    serial: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    public_key: bytes


def describe(certificate: bytes) -> Description:
    """What a certificate, DER, says of itself.

    :raises Rejected: it is none, or cannot be read.
    """
    loaded = _loaded(certificate)
    try:
        return Description(
            serial=f'{loaded.serial_number:x}', subject=subjects.text_of(loaded.subject),
            issuer=subjects.text_of(loaded.issuer),
            names=requests.told(loaded.subject, _alternative_names(loaded)),
            not_before=loaded.not_valid_before_utc.replace(tzinfo=None),
            not_after=loaded.not_valid_after_utc.replace(tzinfo=None),
            fingerprint=loaded.fingerprint(hashes.SHA256()).hex(), public_key=_key(loaded))
    except Exception:  # the library has several errors for what strangers write
        raise Rejected('The certificate has parts that cannot be read.') from None


def require_answers(csr: bytes, certificate: bytes, chain: Sequence[bytes], *,
                    now: datetime | None = None) -> None:
    """Insist that what an authority gave is what was ordered.

    :param csr: PKCS#10, DER, that was sane.
    :param certificate: X.509, DER; ``chain`` too, its issuer first.
    :param now: UTC without a zone; the clock's if it is left out.
    :raises Rejected: it is for another key, has other names than were asked for (as CN may be any of
        them, and the CN that was asked for may be an alternative name), is one of an authority or has
        ended; or a certificate of the chain did not sign the one before it; or is not DER.
    """
    loaded = _loaded(certificate)
    above = [_loaded(der) for der in chain]
    if len(above) > MAX_CHAIN:
        raise Rejected(f'The authority gave a chain of more than {MAX_CHAIN} certificates.')
    if describe(certificate).public_key != requests.public_key_of(csr):
        raise Rejected('The authority gave a certificate for another key than the one in the request.')
    _require_names(csr, loaded)
    if _is_authority(loaded):
        raise Rejected('The authority gave a certificate of an authority.')
    if loaded.not_valid_after_utc <= (now.replace(tzinfo=UTC) if now else datetime.now(UTC)):
        raise Rejected('The authority gave a certificate that has ended already.')
    for below, issuer in zip([loaded, *above], above, strict=False):
        if not _signed(below, issuer):
            raise Rejected('The authority gave a chain in which one did not sign the one before it.')


def ordered(certificate: bytes, pool: Iterable[bytes]) -> tuple[bytes, ...]:
    """The chain above a certificate, its issuer first, from certificates in no order, such as those of a
    certs-only message (RFC 5272, 4.1).

    :param certificate: DER; ``pool`` too. What does not belong to the chain is left out.
    :returns: as far up as there are certificates, the root included if it is there. Of several that fit
        the one that ends last.
    :raises Rejected: one is not DER of a certificate.
    """
    here = _loaded(certificate)
    left = [loaded for der in pool if (loaded := _loaded(der)) != here]
    left.sort(key=lambda loaded: loaded.not_valid_after_utc, reverse=True)
    found: list[x509.Certificate] = []
    while len(found) < MAX_CHAIN and here.subject != here.issuer:
        above = next((one for one in left if one not in found and _signed(here, one)), None)
        if above is None:
            break
        found.append(above)
        here = above
    return tuple(_der(loaded) for loaded in found)


def pem(*ders: bytes) -> bytes:
    """Certificates, DER, as PEM (RFC 7468), one after the other.

    :raises Rejected: one is not DER of a certificate.
    """
    return b''.join(_loaded(der).public_bytes(Encoding.PEM) for der in ders)


def from_pem(content: bytes) -> tuple[bytes, ...]:
    """The certificates, DER, in PEM, in its order.

    :raises Invalid: there is none, or one cannot be read.
    """
    try:
        return tuple(_der(loaded) for loaded in x509.load_pem_x509_certificates(content))
    except Exception:  # as above
        raise Invalid('There are no certificates in PEM.') from None


def certs_only(ders: Sequence[bytes]) -> bytes:
    """Certificates, DER, as a certs-only PKCS#7 message (RFC 5652, 5; RFC 8551, 3.8), PEM.

    :raises Rejected: one is not DER of a certificate, or there is none.
    """
    if not ders:
        raise Rejected('There is no certificate to tell.')
    return pkcs7.serialize_certificates([_loaded(der) for der in ders], Encoding.PEM)


def _loaded(der: bytes) -> x509.Certificate:
    try:
        if len(der) > MAX_CERTIFICATE_BYTES:
            raise ValueError
        loaded = x509.load_der_x509_certificate(der)
        # They are parsed when they are looked at, and whoever does so later expects no error.
        _ = loaded.subject, loaded.issuer, loaded.not_valid_before_utc, loaded.not_valid_after_utc
        return loaded
    except Exception:  # as above
        raise Rejected('What the authority gave is not X.509 in DER.') from None


def _der(loaded: x509.Certificate) -> bytes:
    return loaded.public_bytes(Encoding.DER)


def _key(loaded: x509.Certificate) -> bytes:
    return loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _extension(loaded: x509.Certificate, kind: type[Any]) -> Any:
    """The value of an extension; None if there is none."""
    try:
        return loaded.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _alternative_names(loaded: x509.Certificate) -> list[x509.GeneralName]:
    return list(_extension(loaded, x509.SubjectAlternativeName) or ())


def _require_names(csr: bytes, loaded: x509.Certificate) -> None:
    asked = {text.lower() for text in requests.names_of(csr)}
    given = {names.text_of(name).lower() for name in _alternative_names(loaded)}
    # A common name is asked for as what it is: authorities make an alternative name of it.
    plain = {text.partition(':')[2] for text in asked}
    for text in sorted(given):
        if text not in asked and f'cn:{text.partition(":")[2]}' not in asked:
            raise Rejected(f'The authority gave a certificate for a name that was not asked for: '
                           f'{text[:80]!a}.')
    if missing := sorted(text for text in asked - given if not text.startswith('cn:')):
        raise Rejected(f'The authority gave a certificate without a name that was asked for: '
                       f'{missing[0][:80]!a}.')
    for attribute in loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if (called := str(attribute.value)).lower() not in plain:
            raise Rejected('The authority gave a certificate with a CN that was not asked for: '
                           f'{called[:80]!a}.')


def _is_authority(loaded: x509.Certificate) -> bool:
    constraints = _extension(loaded, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _names_it(loaded: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the key identifiers of both, where they have them, are the same."""
    told = _extension(loaded, x509.AuthorityKeyIdentifier)
    own = _extension(issuer, x509.SubjectKeyIdentifier)
    return not (told and told.key_identifier and own) or told.key_identifier == own.digest


def _signed(loaded: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if not _names_it(loaded, issuer):
            return False
        loaded.verify_directly_issued_by(issuer)
    except Exception:  # a wrong name or signature, an algorithm that is not known, odd extensions
        return False
    return True
