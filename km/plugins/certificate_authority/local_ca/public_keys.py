# SPDX-License-Identifier: Apache-2.0
"""Public keys that are given a certificate: of which type they are, and which are known to be weak.

What can be found out from a key alone is: ROCA (CVE-2017-15361), primes that are close together, small
factors, odd exponents. The keys of Debian's OpenSSL of 2006 to 2008 were of 2048 bits at most and can be
known only from a list, which is not here.
"""
import functools
import math
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca.profiles import Profile

_MOST_RSA_BITS = 8192
_LEAST_EXPONENT, _EXPONENTS_END = 2 ** 16 + 1, 2 ** 256
#: So many steps find primes as close as broken generators made them (CVE-2022-26320).
_FERMAT_STEPS = 100
_SMALL_FACTORS_END = 752

_CURVES = {'secp256r1': 'p-256', 'secp384r1': 'p-384', 'secp521r1': 'p-521'}
_OTHERS = ((ed25519.Ed25519PublicKey, 'ed25519'), (mldsa.MLDSA44PublicKey, 'ml-dsa-44'),
           (mldsa.MLDSA65PublicKey, 'ml-dsa-65'), (mldsa.MLDSA87PublicKey, 'ml-dsa-87'))


def type_of(public_key: Any) -> str | None:
    """The type of a public key of ``cryptography``, one of ``KEY_TYPES``; None if it is of no such."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return 'rsa'
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _CURVES.get(public_key.curve.name)
    return next((name for kind, name in _OTHERS if isinstance(public_key, kind)), None)


def require_good(public_key: Any, profile: Profile) -> str:
    """The type of a key that may have a certificate of this profile.

    :raises Rejected: it may not; the sentence says why.
    """
    key_type = type_of(public_key)
    if key_type is None or key_type not in profile.key_types:
        raise Rejected(f'The key of the request is of a type that the profile {profile.name} does not '
                       f'allow; it allows {", ".join(profile.key_types)}.')
    if isinstance(public_key, rsa.RSAPublicKey):
        numbers = public_key.public_numbers()
        _check_size(public_key.key_size, profile)
        if not _LEAST_EXPONENT <= numbers.e < _EXPONENTS_END or numbers.e % 2 == 0:
            raise Rejected('The public exponent of the RSA key must be odd, and 65537 at least.')
        if has_small_factor(numbers.n) or has_close_primes(numbers.n) or is_roca(numbers.n):
            raise Rejected('The RSA key is weak: its private half can be found from it. Make another, '
                           'with other software.')
    return key_type


def has_small_factor(modulus: int) -> bool:
    """Whether a prime below 752 divides it."""
    return any(modulus % prime == 0 for prime in _primes(_SMALL_FACTORS_END))


def has_close_primes(modulus: int) -> bool:
    """Whether Fermat's way finds its factors in a hundred steps."""
    middle = math.isqrt(modulus - 1) + 1
    for step in range(middle, middle + _FERMAT_STEPS):
        rest = step * step - modulus
        if math.isqrt(rest) ** 2 == rest:
            return True
    return False


def is_roca(modulus: int) -> bool:
    """Whether a library of Infineon's made it: then it is a power of 65537, modulo each small prime.

    One in a hundred million other keys is so as well.
    """
    return all(modulus % prime in powers for prime, powers in _powers())


def _check_size(bits: int, profile: Profile) -> None:
    if not profile.min_rsa_bits <= bits <= _MOST_RSA_BITS:
        raise Rejected(f'The RSA key has {bits} bits; the profile {profile.name} takes '
                       f'{profile.min_rsa_bits} to {_MOST_RSA_BITS}.')


@functools.cache
def _primes(end: int) -> tuple[int, ...]:
    return tuple(number for number in range(2, end)
                 if all(number % factor for factor in range(2, math.isqrt(number) + 1)))


@functools.cache
def _powers() -> tuple[tuple[int, frozenset[int]], ...]:
    return tuple((prime, frozenset(pow(65537, power, prime) for power in range(prime - 1)))
                 for prime in _primes(168))
