# SPDX-License-Identifier: Apache-2.0
"""Making keys: from what an order says to key material, in memory.

Random bits are the operating system's (NIST SP 800-90A by way of ``os.urandom`` and OpenSSL). Private
keys are PKCS#8 (RFC 5958), encrypted by PBES2 (RFC 8018) under a passphrase; public keys are
SubjectPublicKeyInfo (RFC 5280); both are PEM (RFC 7468).
"""
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from km.errors import Rejected

OCTETS, TEXT = 'application/octet-stream', 'text/plain'
PUBLIC_KEY, PRIVATE_KEY, PASSPHRASE = 'public_key', 'private_key', 'private_key_passphrase'

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
class Made:
    """A secret that is made for an order.

    :param name: what it is called in the container.
    :param content_type: of its payload.
    """

    name: str
    secret_type: str
    content_type: str
    payload: bytes = field(repr=False)


def make_key(algorithm: str, bit_length: int, *, legacy: bool) -> bytes:
    """A symmetric key.

    :raises Rejected: km does not make such keys.
    """
    known: Mapping[str, tuple[int, ...]] = {**_SYMMETRIC, **(_LEGACY_SYMMETRIC if legacy else {})}
    _require_size(algorithm, bit_length, known.get(algorithm.lower()))
    return os.urandom(bit_length // 8)


def make_pair(algorithm: str, bit_length: int, *, passphrase: str | None, legacy: bool) -> list[Made]:
    """A key pair, and the passphrase if its private half is encrypted.

    :raises Rejected: km does not make such pairs.
    """
    private = _private_key(algorithm, bit_length, legacy=legacy)
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:
        encryption = BestAvailableEncryption(passphrase.encode())
    made = [
        Made(name=PUBLIC_KEY, secret_type='public', content_type=OCTETS,
             payload=private.public_key().public_bytes(
                 Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        Made(name=PRIVATE_KEY, secret_type='private', content_type=OCTETS,
             payload=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)),
    ]
    if passphrase:
        made.append(Made(name=PASSPHRASE, secret_type='passphrase', content_type=TEXT,
                         payload=passphrase.encode()))
    return made


def is_rsa(algorithm: str) -> bool:
    """Whether a pair of this algorithm goes into a container of type rsa."""
    return algorithm.lower() == 'rsa'


def is_slow(algorithm: str, bit_length: int) -> bool:
    """Whether a client should not wait for such a key."""
    return is_rsa(algorithm) and bit_length >= _SLOW_RSA_BITS


def _private_key(algorithm: str, bit_length: int, *, legacy: bool) -> PrivateKeyTypes:
    name = algorithm.lower()
    if name == 'rsa':
        _require_size(algorithm, bit_length, _RSA + (_LEGACY_RSA if legacy else ()))
        return rsa.generate_private_key(public_exponent=65537, key_size=bit_length)
    if name == 'ec':
        _require_size(algorithm, bit_length, tuple(_CURVES))
        return ec.generate_private_key(_CURVES[bit_length])
    _require_size(algorithm, bit_length, (_ED25519_BITS,) if name == 'ed25519' else None)
    return ed25519.Ed25519PrivateKey.generate()


def _require_size(algorithm: str, bit_length: int, sizes: tuple[int, ...] | None) -> None:
    if sizes is None:
        raise Rejected(f"km makes no keys of the algorithm '{algorithm}'.")
    if bit_length not in sizes:
        raise Rejected(f'km makes {algorithm} keys of {", ".join(map(str, sizes))} bits, '
                       f'not of {bit_length}.')
