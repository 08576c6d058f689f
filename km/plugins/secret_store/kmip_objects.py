# SPDX-License-Identifier: Apache-2.0
"""Payloads as KMIP objects (KMIP 1.4, section 2.2), and back byte for byte.

================  ==========================================================  =====================
secret type       its payload is                                              the object
================  ==========================================================  =====================
``symmetric``     an AES key, 16, 24 or 32 bytes; a key for HMAC with SHA-1   Symmetric Key, Raw
                  or SHA-2; 24 bytes for 3DES
``private``       PKCS#8 (RFC 5958) of RSA, DSA or EC; PKCS#1 (RFC 8017)      Private Key
``public``        SubjectPublicKeyInfo (RFC 5280) of RSA, DSA or EC; PKCS#1   Public Key
``certificate``   one X.509 certificate                                       Certificate, X.509
``passphrase``    anything                                                    Secret Data, Password
any               anything else                                               Opaque Object
================  ==========================================================  =====================

Private and public keys and certificates become objects of their own type, in DER, whether the payload
is DER or PEM (RFC 7468): but only if encoding them again gives the same bytes, to the last line
break. If not, the payload is an opaque object as it is. How to get back from the object to the
payload is its *form*.
"""
import base64
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from kmip.core.enums import (
    CertificateType,
    CryptographicAlgorithm,
    CryptographicUsageMask,
    KeyFormatType,
    ObjectType,
    OpaqueDataType,
    SecretDataType,
)
from kmip.core.factories.secrets import SecretFactory

from km.interfaces import CannotOpen, StoreRequest

#: The object's value is the payload; it is the DER of a PEM; the server made the key.
RAW, PEM, MADE = 'raw', 'pem', 'made'

ENCRYPTING = (CryptographicUsageMask.ENCRYPT, CryptographicUsageMask.DECRYPT)
SIGNING = (CryptographicUsageMask.SIGN, CryptographicUsageMask.DECRYPT)
VERIFYING = (CryptographicUsageMask.VERIFY, CryptographicUsageMask.ENCRYPT)
_MACS = (CryptographicUsageMask.MAC_GENERATE, CryptographicUsageMask.MAC_VERIFY)

_SIZES = {CryptographicAlgorithm.AES: (128, 192, 256), CryptographicAlgorithm.TRIPLE_DES: (192,)}
_ALGORITHMS = {
    'aes': CryptographicAlgorithm.AES, '3des': CryptographicAlgorithm.TRIPLE_DES,
    'desede': CryptographicAlgorithm.TRIPLE_DES, 'hmacsha1': CryptographicAlgorithm.HMAC_SHA1,
    'hmacsha224': CryptographicAlgorithm.HMAC_SHA224, 'hmacsha256': CryptographicAlgorithm.HMAC_SHA256,
    'hmacsha384': CryptographicAlgorithm.HMAC_SHA384, 'hmacsha512': CryptographicAlgorithm.HMAC_SHA512,
}
_LABELS = {
    (ObjectType.PRIVATE_KEY, KeyFormatType.PKCS_8): 'PRIVATE KEY',
    (ObjectType.PRIVATE_KEY, KeyFormatType.PKCS_1): 'RSA PRIVATE KEY',
    (ObjectType.PUBLIC_KEY, KeyFormatType.X_509): 'PUBLIC KEY',
    (ObjectType.PUBLIC_KEY, KeyFormatType.PKCS_1): 'RSA PUBLIC KEY',
    (ObjectType.CERTIFICATE, None): 'CERTIFICATE',
}
_PEM_BEGIN, _PEM_COLUMNS = b'-----BEGIN ', 64


class Managed(NamedTuple):
    """An object to register.

    :param value: as pykmip has it.
    :param masks: what it may be used for.
    """

    object_type: ObjectType
    value: Any
    form: str
    masks: tuple[CryptographicUsageMask, ...] = ()


def managed(request: StoreRequest) -> Managed:
    """The object that a payload becomes."""
    fitting = _FITTING.get(request.secret_type)
    return (fitting(request) if fitting else None) or _opaque(request)


def payload(object_type: ObjectType, value: Any, form: str) -> bytes:
    """The payload that became this object, or the PEM of a key that the server made.

    :raises CannotOpen: no object that km registered is like this.
    """
    key_block = getattr(value, 'key_block', None)
    if form == MADE and object_type is not ObjectType.SYMMETRIC_KEY:
        return _made(object_type, _value(value))
    if form != PEM:
        return _value(value)
    label = _LABELS.get((object_type, key_block.key_format_type.value if key_block else None))
    if label is None:
        raise CannotOpen('The KMIP server keeps this secret in another form than km gave it.')
    return _pem(label, _value(value))


def _value(value: Any) -> bytes:
    """The bytes of an object."""
    found: Any = None
    if hasattr(value, 'key_block') and value.key_block.key_wrapping_data is None:
        found = value.key_block.key_value.key_material.value
    elif hasattr(value, 'certificate_value'):
        found = value.certificate_value.value
    elif hasattr(value, 'opaque_data_value'):
        found = value.opaque_data_value.value
    if not isinstance(found, bytes):
        raise CannotOpen('The KMIP server gives this secret in a form that km cannot read.')
    return found


def _made(object_type: ObjectType, der: bytes) -> bytes:
    """A key of whatever format as PKCS#8 or SubjectPublicKeyInfo, in PEM."""
    try:
        if object_type is ObjectType.PRIVATE_KEY:
            return load_der_private_key(der, None).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return load_der_public_key(der).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CannotOpen('The KMIP server gives this key in a form that km cannot read.') from None


def _opaque(request: StoreRequest) -> Managed:
    return _object(ObjectType.OPAQUE_DATA, RAW, opaque_data_type=OpaqueDataType.NONE,
                   opaque_data_value=request.payload)


def _passphrase(request: StoreRequest) -> Managed:
    return _object(ObjectType.SECRET_DATA, RAW, masks=(CryptographicUsageMask.VERIFY,),
                   key_format_type=KeyFormatType.OPAQUE, key_value=request.payload,
                   secret_data_type=SecretDataType.PASSWORD)


def _symmetric(request: StoreRequest) -> Managed | None:
    algorithm = _ALGORITHMS.get((request.algorithm or '').lower().replace('-', '').replace('_', ''))
    bits = len(request.payload) * 8
    if algorithm is None or request.bit_length not in (None, bits) or bits not in _SIZES.get(
            algorithm, (bits,)):
        return None
    return _object(ObjectType.SYMMETRIC_KEY, RAW, masks=ENCRYPTING if algorithm in _SIZES else _MACS,
                   key_format_type=KeyFormatType.RAW, key_value=request.payload,
                   cryptographic_algorithm=algorithm, cryptographic_length=bits)


def _certificate(request: StoreRequest) -> Managed | None:
    load = _loader(request.payload, x509.load_pem_x509_certificate, x509.load_der_x509_certificate)
    try:
        der = load(request.payload).public_bytes(Encoding.DER)
    except (ValueError, UnsupportedAlgorithm):
        return None
    form = _form(request.payload, 'CERTIFICATE', der)
    if form is None:
        return None
    return _object(ObjectType.CERTIFICATE, form, masks=(CryptographicUsageMask.VERIFY,),
                   certificate_type=CertificateType.X_509, certificate_value=der)


def _private(request: StoreRequest) -> Managed | None:
    load = _loader(request.payload, load_pem_private_key, load_der_private_key)
    try:
        # Whether an RSA key is sound is not asked: it takes long, and what is not comes back too.
        key = load(request.payload, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return _key(request, ObjectType.PRIVATE_KEY, key, SIGNING, _private_encodings(key))


def _public(request: StoreRequest) -> Managed | None:
    load = _loader(request.payload, load_pem_public_key, load_der_public_key)
    try:
        key = load(request.payload)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return _key(request, ObjectType.PUBLIC_KEY, key, VERIFYING, _public_encodings(key))


def _private_encodings(key: Any) -> Iterator[tuple[KeyFormatType, bytes]]:
    yield KeyFormatType.PKCS_8, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, rsa.RSAPrivateKey):
        yield KeyFormatType.PKCS_1, key.private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _public_encodings(key: Any) -> Iterator[tuple[KeyFormatType, bytes]]:
    yield KeyFormatType.X_509, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, rsa.RSAPublicKey):
        yield KeyFormatType.PKCS_1, key.public_bytes(Encoding.DER, PublicFormat.PKCS1)


def _key(request: StoreRequest, object_type: ObjectType, key: Any,
         masks: tuple[CryptographicUsageMask, ...],
         encodings: Iterator[tuple[KeyFormatType, bytes]]) -> Managed | None:
    """A private or public key in that encoding that gives its payload again."""
    algorithm = _algorithm(key)
    if algorithm is None:
        return None
    for key_format, der in encodings:
        if form := _form(request.payload, _LABELS[object_type, key_format], der):
            return _object(object_type, form, masks=masks, key_format_type=key_format, key_value=der,
                           cryptographic_algorithm=algorithm, cryptographic_length=key.key_size)
    return None


def _algorithm(key: Any) -> CryptographicAlgorithm | None:
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return CryptographicAlgorithm.RSA
    if isinstance(key, dsa.DSAPrivateKey | dsa.DSAPublicKey):
        return CryptographicAlgorithm.DSA
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return CryptographicAlgorithm.ECDSA
    return None  # those of RFC 8410 have no number that servers of KMIP 1.x know


def _loader(data: bytes, pem: Callable[..., Any], der: Callable[..., Any]) -> Callable[..., Any]:
    return pem if data.startswith(_PEM_BEGIN) else der


def _form(data: bytes, label: str, der: bytes) -> str | None:
    """How ``data`` is got from ``der``, if it is."""
    if data == der:
        return RAW
    return PEM if data == _pem(label, der) else None


def _pem(label: str, der: bytes) -> bytes:
    """PEM as OpenSSL writes it, with a line break at the end."""
    text = base64.b64encode(der).decode()
    lines = [text[at:at + _PEM_COLUMNS] for at in range(0, len(text), _PEM_COLUMNS)]
    return '\n'.join([f'-----BEGIN {label}-----', *lines, f'-----END {label}-----', '']).encode()


def _object(object_type: ObjectType, form: str, *, masks: tuple[CryptographicUsageMask, ...] = (),
            **values: Any) -> Managed:
    return Managed(object_type, SecretFactory().create(object_type, values), form, masks)


_FITTING: dict[str, Callable[[StoreRequest], Managed | None]] = {
    'symmetric': _symmetric, 'private': _private, 'public': _public,
    'certificate': _certificate, 'passphrase': _passphrase,
}
