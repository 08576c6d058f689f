# SPDX-License-Identifier: Apache-2.0
"""Which public keys are good enough to be certified, and private keys as their owners keep them."""
import base64
import binascii
import math
import re
from typing import Any

from asn1crypto import core
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from km.errors import Invalid

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_EXPONENT_BITS = 256
MAX_PRIVATE_KEY_BYTES = 16 * 1024
#: Far above what anybody chooses: a second or two. A key file may name 2**31.
MAX_ITERATIONS = 5_000_000
MAX_SCRYPT_COST = 2 ** 22
CURVES = ('secp256r1', 'secp384r1', 'secp521r1')

_SMALL_PRIMES = math.prod(n for n in range(3, 752) if all(n % d for d in range(2, math.isqrt(n) + 1)))
#: Kinds of keys that have no sizes or curves to choose from.
_FIXED = (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey, mldsa.MLDSA44PublicKey,
          mldsa.MLDSA65PublicKey, mldsa.MLDSA87PublicKey)
_SIGNERS = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey,
            ed448.Ed448PrivateKey, mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey,
            mldsa.MLDSA87PrivateKey)
#: The block of PEM that is the key: others may stand before it, such as certificates or parameters.
_KEY_BLOCK = re.compile(
    rb'-----BEGIN ((?:ENCRYPTED |RSA |EC )?PRIVATE KEY)-----(.*?)-----END \1-----', re.DOTALL)
_SCRYPT = '1.3.6.1.4.1.11591.4.11'
_UNREADABLE = ('The stored private key cannot be read: it is neither PEM nor DER of a key, or its '
               'passphrase is another.')


class _ScryptParameters(core.Sequence):  # RFC 7914, 7
    _fields = [('salt', core.OctetString), ('cost', core.Integer), ('block', core.Integer),
               ('parallel', core.Integer), ('length', core.Integer, {'optional': True})]


def require_sane(key: Any) -> None:
    """Insist on a public key that no authority would call weak, and that is cheap to verify with.

    :param key: a public key of ``cryptography``.
    :raises Invalid: it is RSA of fewer than 2048 or more than 8192 bits, or its exponent or modulus is
        weak (CA/Browser Forum Baseline Requirements, 6.1.6); or it is on another curve
        than P-256, P-384 or P-521; or of another kind than RSA, EC, Ed25519, Ed448 and ML-DSA.
    """
    if isinstance(key, rsa.RSAPublicKey):
        _require_sane_rsa(key)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise Invalid('The key is on a curve that is not taken: P-256, P-384 and P-521 are.')
    elif not isinstance(key, _FIXED):
        raise Invalid('The key is of a kind that is not taken: RSA, EC, Ed25519, Ed448 and ML-DSA are.')


def signing_key(encoded: bytes, passphrase: bytes | None) -> Any:
    """A private key of ``cryptography`` to sign a request with.

    :param encoded: PEM or DER: PKCS#8 (RFC 5958), encrypted or not, PKCS#1 (RFC 8017) or SEC1
        (RFC 5915).
    :param passphrase: what opens it; not used if it is not encrypted.
    :raises Invalid: it cannot be read, or is not one to sign with.
    """
    if len(encoded) > MAX_PRIVATE_KEY_BYTES:
        raise Invalid(f'The stored private key is longer than {MAX_PRIVATE_KEY_BYTES} bytes.')
    block = _key_block(encoded)
    _require_quick_to_open(block)
    key = _loaded(block, passphrase)
    if not isinstance(key, _SIGNERS):
        raise Invalid('The stored private key is of a kind that signs no requests.')
    require_sane(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        _require_consistent(key.private_numbers())
    return key


def digest_of(key: Any) -> hashes.SHA256 | None:
    """What a private key signs with: SHA-256, or nothing where the algorithm says it itself."""
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None


def _require_sane_rsa(key: rsa.RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise Invalid(f'The key is RSA of {key.key_size} bits: '
                      f'{MIN_RSA_BITS} to {MAX_RSA_BITS} are taken.')
    numbers = key.public_numbers()
    if numbers.e % 2 == 0 or numbers.e < 65537 or numbers.e.bit_length() > MAX_EXPONENT_BITS:
        raise Invalid('The key is RSA with an exponent that is even, less than 65537 or far more.')
    if numbers.n % 2 == 0 or math.gcd(numbers.n, _SMALL_PRIMES) != 1:
        raise Invalid('The key is RSA with a modulus that has a small factor.')


def _require_consistent(numbers: rsa.RSAPrivateNumbers) -> None:
    """Insist that the numbers of a key belong together (RFC 8017, 3.2). Whether its primes are such is
    for its owner to know: to find out takes seconds."""
    p, q, d, e = numbers.p, numbers.q, numbers.d, numbers.public_numbers.e
    if not (p > 2 and q > 2 and p % 2 and q % 2 and p * q == numbers.public_numbers.n
            and e * d % math.lcm(p - 1, q - 1) == 1 and numbers.iqmp * q % p == 1
            and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))):
        raise Invalid(_UNREADABLE)


def _key_block(encoded: bytes) -> bytes:
    """What of a file is the key: so nothing is opened but what was looked at. DER, if it is encrypted
    PKCS#8."""
    if not encoded.lstrip().startswith(b'-----BEGIN'):
        return encoded
    found = _KEY_BLOCK.search(encoded)
    if found is None:
        raise Invalid(_UNREADABLE)
    if found[1] != b'ENCRYPTED PRIVATE KEY':
        return b'\n'.join(line.strip() for line in found[0].splitlines())
    try:
        return base64.b64decode(b''.join(found[2].split()), validate=True)
    except binascii.Error:
        raise Invalid(_UNREADABLE) from None


def _loaded(encoded: bytes, passphrase: bytes | None) -> Any:
    load: Any = load_pem_private_key if encoded.startswith(b'-----BEGIN') else load_der_private_key
    # A passphrase that a key does not need is no error: it is kept beside whatever key was brought.
    for password in (passphrase or None, None):
        try:
            return load(encoded, password, unsafe_skip_rsa_key_validation=True)
        except TypeError:
            continue
        except Exception:  # the library's errors may quote what they did not understand
            break
    raise Invalid(_UNREADABLE) from None


def _require_quick_to_open(encoded: bytes) -> None:
    try:
        algorithm = asn1_keys.EncryptedPrivateKeyInfo.load(encoded, strict=True)['encryption_algorithm']
        costly = _is_costly(algorithm)
    except Exception:
        return  # it is no such key, or nothing that the library opens either
    if costly:
        raise Invalid('The stored private key would take too long to open.')


def _is_costly(algorithm: Any) -> bool:
    if algorithm['algorithm'].native != 'pbes2':
        return algorithm.kdf_iterations > MAX_ITERATIONS
    derivation = algorithm['parameters']['key_derivation_func']
    if derivation['algorithm'].dotted != _SCRYPT:
        return derivation['parameters']['iteration_count'].native > MAX_ITERATIONS
    told = derivation['parameters'].parse(_ScryptParameters)
    return math.prod(told[part].native for part in ('cost', 'block', 'parallel')) > MAX_SCRYPT_COST
