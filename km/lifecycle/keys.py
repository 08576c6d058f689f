# SPDX-License-Identifier: Apache-2.0
"""Which keys km makes, and making them: from what an order says to key material, in memory.

Random bits are the operating system's (NIST SP 800-90A by way of ``os.urandom`` and OpenSSL). Private
keys are PKCS#8 (RFC 5958), encrypted by PBES2 (RFC 8018) under a passphrase; public keys are
SubjectPublicKeyInfo (RFC 5280); both are PEM (RFC 7468).
"""
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from km.errors import Rejected

OCTETS, TEXT = 'application/octet-stream', 'text/plain'

_AES = (128, 192, 256, 512)  # 512 are two keys of 256 bits, for XTS (IEEE 1619)
_HMAC = (64, 128, 160, 192, 256, 384, 512)
_SYMMETRIC = {'aes': _AES, 'hmacsha1': _HMAC, 'hmacsha256': _HMAC, 'hmacsha384': _HMAC,
              'hmacsha512': _HMAC}
#: Withdrawn (NIST SP 800-131A), made only where an operator asks for them.
_LEGACY_SYMMETRIC = {'des': (64,), '3des': (128, 192), 'desede': (128, 192)}
_RSA, _LEGACY_RSA = (2048, 3072, 4096), (1024,)
_CURVES = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
_ED25519_BITS = 256
#: From this size on an RSA key takes longer to find than a client cares to wait.
_SLOW_RSA_BITS = 3072


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A secret that an order wants.

    :param name: what it is called in the container, if there is one.
    :param content_type: of its payload.
    """

    name: str
    secret_type: str
    content_type: str


#: What a key pair is, in this order; the last is only there if the private half is encrypted.
PAIR = (Wanted(name='public_key', secret_type='public', content_type=OCTETS),
        Wanted(name='private_key', secret_type='private', content_type=OCTETS),
        Wanted(name='private_key_passphrase', secret_type='passphrase', content_type=TEXT))


def require_key(algorithm: str, bit_length: int, *, legacy: bool) -> None:
    """:raises Rejected: km makes no such symmetric keys."""
    known: Mapping[str, tuple[int, ...]] = {**_SYMMETRIC, **(_LEGACY_SYMMETRIC if legacy else {})}
    _require_size(algorithm, bit_length, known.get(algorithm.lower()))


def require_pair(algorithm: str, bit_length: int, *, legacy: bool) -> None:
    """:raises Rejected: km makes no such key pairs."""
    known = {'rsa': _RSA + (_LEGACY_RSA if legacy else ()), 'ec': tuple(_CURVES),
             'ed25519': (_ED25519_BITS,)}
    _require_size(algorithm, bit_length, known.get(algorithm.lower()))


def kind_of(public_key: bytes) -> tuple[str, int]:
    """What to ask ``make_pair`` for, to have another pair like one.

    :param public_key: SubjectPublicKeyInfo, DER.
    :raises Rejected: km makes no such pairs.
    """
    key = load_der_public_key(public_key)
    if isinstance(key, rsa.RSAPublicKey):
        return 'rsa', next((size for size in _RSA if size >= key.key_size), _RSA[-1])
    if isinstance(key, ec.EllipticCurvePublicKey):
        return 'ec', key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return 'ed25519', _ED25519_BITS
    raise Rejected('km makes no keys of that kind.')


def make_key(bit_length: int) -> bytes:
    """A symmetric key."""
    return os.urandom(bit_length // 8)


def make_pair(algorithm: str, bit_length: int, *, passphrase: str | None) -> list[bytes]:
    """The payloads of ``PAIR``: the halves of a key pair, and the passphrase of its private one."""
    private = _private_key(algorithm.lower(), bit_length)
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:
        encryption = BestAvailableEncryption(passphrase.encode())
    return [private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
            *([passphrase.encode()] if passphrase else [])]


def is_rsa(algorithm: str) -> bool:
    """Whether a pair of this algorithm goes into a container of type rsa."""
    return algorithm.lower() == 'rsa'


def is_slow(algorithm: str, bit_length: int) -> bool:
    """Whether a client should not wait for such a key."""
    return is_rsa(algorithm) and bit_length >= _SLOW_RSA_BITS


def _private_key(algorithm: str, bit_length: int) -> PrivateKeyTypes:
    if algorithm == 'rsa':
        return rsa.generate_private_key(public_exponent=65537, key_size=bit_length)
    if algorithm == 'ec':
        return ec.generate_private_key(_CURVES[bit_length])
    return ed25519.Ed25519PrivateKey.generate()


def _require_size(algorithm: str, bit_length: int, sizes: tuple[int, ...] | None) -> None:
    if sizes is None:
        raise Rejected(f"km makes no keys of the algorithm '{algorithm}'.")
    if bit_length not in sizes:
        raise Rejected(f'km makes {algorithm} keys of {", ".join(map(str, sizes))} bits, '
                       f'not of {bit_length}.')
