# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates: PKCS#10 (RFC 2986), from clients and by stored keys."""
import base64
import binascii
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from km.certificates import keys, names, subjects
from km.errors import Invalid

MAX_REQUEST_BYTES = 16 * 1024

_UNDECODABLE = 'Unable to decode request data.'
_BAD_FORMAT = 'Invalid PKCS10 Data: Bad format'
_WRONG_KEY = 'Invalid PKCS10 Data: Signing key incorrect'
#: What asks for extensions: PKCS#9's attribute (RFC 2985, 5.4.2), and Microsoft's of the same form.
_EXTENSION_REQUESTS = {x509.ObjectIdentifier('1.2.840.113549.1.9.14'),
                       x509.ObjectIdentifier('1.3.6.1.4.1.311.2.1.14')}


def read(encoded: str) -> bytes:
    """The request in ``request_data`` of a simple-cmc order, found to be signed by its own key.

    :param encoded: base64 of PEM, as Barbican's clients send it, or base64 of DER, or PEM.
    :returns: PKCS#10, DER.
    :raises Invalid: it is no such thing, or its key is not one to verify with.
    """
    der = decoded(encoded, label='CERTIFICATE REQUEST', longest=MAX_REQUEST_BYTES)
    require_possession(der)
    return der


def decoded(encoded: str, *, label: str, longest: int) -> bytes:
    """DER from base64 of PEM, base64 of DER, or PEM.

    :param label: what PEM calls it; ``NEW`` before that is taken as well.
    :param longest: of the DER, in bytes.
    :raises Invalid: it is none of the three.
    """
    if len(encoded) > 4 * longest:
        raise Invalid(f'The request is longer than {longest} bytes.')
    text = encoded.strip()
    if not text.startswith('-----BEGIN '):
        content = _from_base64(text, failure=_UNDECODABLE)
        if not content.lstrip().startswith(b'-----BEGIN '):
            return content
        text = content.decode('ascii', errors='replace').strip()
    lines = [line.strip() for line in text.splitlines()]
    for called in (label, f'NEW {label}'):
        if lines[0] == f'-----BEGIN {called}-----' and lines[-1] == f'-----END {called}-----':
            return _from_base64(''.join(lines[1:-1]), failure=_BAD_FORMAT)
    raise Invalid(_BAD_FORMAT)


def require_possession(csr: bytes) -> None:
    """Insist that a request, DER, was signed by the key that it is for.

    :raises Invalid: it was not, or is no PKCS#10; or its key is not one to verify with.
    """
    request = _loaded(csr)
    # Before the signature: a key can be such that verifying takes minutes.
    keys.require_sane(_key(request))
    try:
        valid = request.is_signature_valid
    except Exception:  # by an algorithm, or of a form, that the library does not know
        valid = False
    if not valid:
        raise Invalid(_WRONG_KEY)


def require_sane(csr: bytes) -> None:
    """Insist on a request that any authority could take: a good key, good names and nothing sly.

    :param csr: PKCS#10, DER. Its signature is not looked at: see ``require_possession``.
    :raises Invalid: with a sentence that says what is wrong, for any bytes.
    """
    request = _loaded(csr)
    keys.require_sane(_key(request))
    subject = _subject(request)
    subjects.require_sane(subject)
    extensions = _extensions(request)
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise Invalid('The request asks for a certificate of an authority (CA:TRUE).')
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            raise Invalid('The request asks for a key that signs certificates or CRLs.')
    alternative = _alternative_names(extensions)
    names.require_sane(alternative)
    called = subjects.common_name(subject)
    if called is not None and '*' in called and not names.is_host(called):
        raise Invalid('The CN has a * that is not the whole of its leftmost label.')
    if called is None and not alternative:
        raise Invalid('The request has no name: neither a CN nor a subject alternative name.')


def names_of(csr: bytes) -> tuple[str, ...]:
    """What a request wants a certificate for: ``DNS:``, ``IP:``, ``email:`` and ``URI:`` names as
    ``make`` takes them, and ``CN:`` with the common name if that is none of them.

    :raises Invalid: it is no request, or its extensions cannot be read.
    """
    request = _loaded(csr)
    return told(_subject(request), _alternative_names(_extensions(request)))


def told(subject: x509.Name, alternative: Sequence[x509.GeneralName]) -> tuple[str, ...]:
    """The names of a subject and of alternatives, as ``names_of`` tells them."""
    texts = [names.text_of(name) for name in alternative]
    called = subjects.common_name(subject)
    if called is not None and called.lower() not in {text.partition(':')[2].lower() for text in texts}:
        texts.append(f'CN:{called}')
    return tuple(texts)


def subject_of(csr: bytes) -> str:
    """The subject of a request, as RFC 4514 writes it; at most 1024 characters.

    :raises Invalid: it is no request.
    """
    return subjects.text_of(_subject(_loaded(csr)))


def public_key_of(csr: bytes) -> bytes:
    """The key of a request: SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), DER.

    :raises Invalid: it is no request, or its key is of no known kind.
    """
    return _key(_loaded(csr)).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make(private_key: bytes, *, passphrase: bytes | None, subject_dn: str,
         names: Sequence[str]) -> bytes:
    """A request by a stored key, signed with SHA-256 where the key leaves a choice.

    :param private_key: PEM or DER; see ``km.certificates.keys.signing_key``.
    :param subject_dn: as RFC 4514 or LDAP writes it, such as ``cn=server.example.com,o=example``.
    :param names: ``DNS:``, ``IP:``, ``email:`` or ``URI:`` names, or bare ones, whose kind is guessed.
        If there are none and the common name is a host or an address, that becomes the one: public
        authorities and all clients of today look at nothing else.
    :returns: PKCS#10, DER.
    :raises Invalid: ``Invalid subject DN: ...``, or a key or a name is not one; or, as
        ``require_sane`` says, what comes of them.
    """
    subject = subjects.parse(subject_dn)
    return _signed(keys.signing_key(private_key, passphrase), subject, _wanted(subject, names))


def again(private_key: bytes, csr: bytes) -> bytes:
    """A request by another key, for the very subject and names of one that ``make`` made.

    :param private_key: as ``make`` takes it, not encrypted.
    :param csr: PKCS#10, DER.
    :raises Invalid: as ``make`` does.
    """
    request = _loaded(csr)
    return _signed(keys.signing_key(private_key, None), _subject(request),
                   _alternative_names(_extensions(request)))


def _signed(key: Any, subject: x509.Name, alternative: Sequence[x509.GeneralName]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternative:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(alternative), critical=not list(subject))
    try:
        csr = builder.sign(key, keys.digest_of(key)).public_bytes(Encoding.DER)
    except Exception:  # a key that was altered so that it computes nonsense
        raise Invalid('The stored private key does not sign.') from None
    require_possession(csr)
    require_sane(csr)
    return csr


def _wanted(subject: x509.Name, texts: Sequence[str]) -> list[x509.GeneralName]:
    if texts:
        return [names.general_name(text) for text in texts]
    called = subjects.common_name(subject) or ''
    return [names.general_name(called)] if names.is_host(called) or names.is_address(called) else []


def _from_base64(text: str, *, failure: str) -> bytes:
    try:
        content = base64.b64decode(''.join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(failure) from None
    if not content:
        raise Invalid(failure)
    return content


def _loaded(csr: bytes) -> x509.CertificateSigningRequest:
    if len(csr) > MAX_REQUEST_BYTES:
        raise Invalid(f'The request is longer than {MAX_REQUEST_BYTES} bytes.')
    try:
        return x509.load_der_x509_csr(csr)
    except Exception:  # the library has several errors for what strangers write
        raise Invalid(_BAD_FORMAT) from None


def _key(request: x509.CertificateSigningRequest) -> Any:
    try:
        return request.public_key()
    except Exception:  # as above
        raise Invalid('The key is of a kind, on a curve or of a form that is not taken.') from None


def _subject(request: x509.CertificateSigningRequest) -> x509.Name:
    try:
        return request.subject
    except Exception:  # as above
        raise Invalid('The subject cannot be read.') from None


def _extensions(request: x509.CertificateSigningRequest) -> x509.Extensions:
    try:
        asked = [attribute.oid for attribute in request.attributes]
        extensions = request.extensions
    except Exception:  # as above
        raise Invalid('The attributes or extensions that are asked for cannot be read.') from None
    # An authority may look at the other one.
    if len(asked) != len(set(asked)) or len(_EXTENSION_REQUESTS & set(asked)) > 1:
        raise Invalid('An attribute of the request is there twice.')
    return extensions


def _alternative_names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    return [name for extension in extensions
            if isinstance(extension.value, x509.SubjectAlternativeName) for name in extension.value]
