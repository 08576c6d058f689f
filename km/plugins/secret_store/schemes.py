# SPDX-License-Identifier: Apache-2.0
"""Key pairs, and signing by the schemes of ``SignRequest``, in this process's memory.

ECDSA is FIPS 186-5's, RSASSA-PKCS1-v1_5 and RSASSA-PSS are RFC 8017's, Ed25519 is RFC 8032's.
"""
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from km.interfaces import NotSupported

_RSA_BITS = range(2048, 4097)
_CURVES = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
_HASHES = {'sha256': hashes.SHA256(), 'sha384': hashes.SHA384(), 'sha512': hashes.SHA512()}


def new_private_key(algorithm: str, bit_length: int) -> PrivateKeyTypes:
    """A new key pair, as ``SigningKeyRequest`` describes it.

    :raises NotSupported: nobody makes such keys here.
    """
    if algorithm == 'rsa' and bit_length in _RSA_BITS:
        return rsa.generate_private_key(65537, bit_length)
    if algorithm == 'ec' and bit_length in _CURVES:
        return ec.generate_private_key(_CURVES[bit_length])
    if algorithm == 'ed25519' and bit_length == 256:
        return ed25519.Ed25519PrivateKey.generate()
    raise NotSupported('This store makes no such keys.')


def sign(private: PrivateKeyTypes, scheme: str, data: bytes) -> bytes:
    """A signature over ``data``, encoded as ``SigningStore.sign`` says.

    :raises NotSupported: the key does not sign by that scheme, or nobody does.
    """
    family, _, name = scheme.rpartition('-')
    digest = _HASHES.get(name)
    if isinstance(private, ed25519.Ed25519PrivateKey) and scheme == 'ed25519':
        return private.sign(data)
    if isinstance(private, ec.EllipticCurvePrivateKey) and family == 'ecdsa' and digest:
        return private.sign(data, ec.ECDSA(digest))
    if isinstance(private, rsa.RSAPrivateKey) and family == 'rsa-pkcs1' and digest:
        return private.sign(data, padding.PKCS1v15(), digest)
    if isinstance(private, rsa.RSAPrivateKey) and family == 'rsa-pss' and digest:
        salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return private.sign(data, salted, digest)
    raise NotSupported('The key does not sign by that scheme.')
