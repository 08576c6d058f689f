# SPDX-License-Identifier: Apache-2.0
"""Keys that have no certificate, for they are weak."""
import dataclasses
import math
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import profiles, public_keys
from tests.unit.plugins.certificate_authority.local_ca.papers import KEY_TYPES, a_key, a_request
from tests.unit.plugins.certificate_authority.local_ca.test_requests import wanted

ANY = dataclasses.replace(profiles.load(None)['server'], key_types=KEY_TYPES)
RSA = a_key('rsa').public_key().public_numbers().n


def an_rsa_key(modulus, exponent=65537):
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def refusal(key, profile=ANY):
    with pytest.raises(Rejected) as refused:
        public_keys.require_good(key, profile)
    return refused.value.sentence


def is_prime(number, rounds=12):
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(rounds):
        power = pow(random.randrange(2, number - 1), odd, number)
        if power in (1, number - 1):
            continue
        if not any((power := pow(power, 2, number)) == number - 1 for _ in range(twos - 1)):
            return False
    return True


def next_prime(number):
    return next(found for found in range(number | 1, number + 10 ** 5, 2)
                if math.gcd(found, 3 * 5 * 7 * 11 * 13) == 1 and is_prime(found))


def infineon_prime(bits=1030):
    """As that library made them: a power of 65537, modulo the product of the first 126 primes."""
    product = math.prod(public_keys._primes(702))
    while True:
        found = random.getrandbits(bits - product.bit_length()) * product + pow(
            65537, random.getrandbits(200), product)
        if found.bit_length() >= bits - 2 and is_prime(found):
            return found


@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_a_good_key_is_of_its_type(key_type):
    assert public_keys.require_good(a_key(key_type).public_key(), ANY) == key_type


@pytest.mark.parametrize('make', [
    ed448.Ed448PrivateKey.generate, lambda: ec.generate_private_key(ec.SECP224R1()),
    lambda: ec.generate_private_key(ec.SECP256K1()), lambda: dsa.generate_private_key(1024)])
def test_a_key_of_no_type_that_is_known_is_refused(make):
    assert 'of a type that the profile server does not allow' in refusal(make().public_key())


@pytest.mark.parametrize('bits', [1024, 2047, 8193, 16384])
def test_an_rsa_key_that_is_too_short_or_too_long_is_refused(bits):
    assert refusal(an_rsa_key(2 ** (bits - 1) + 1)) == (
        f'The RSA key has {bits} bits; the profile server takes 2048 to 8192.')


def test_a_profile_may_want_longer_keys():
    strict = dataclasses.replace(ANY, min_rsa_bits=3072)
    assert 'takes 3072 to 8192' in refusal(a_key('rsa').public_key(), strict)


@pytest.mark.parametrize('exponent', [3, 17, 65535, 2 ** 256 + 1])
def test_an_exponent_that_is_too_small_or_too_large_is_refused(exponent):
    assert 'exponent' in refusal(an_rsa_key(RSA, exponent))


@pytest.mark.parametrize('factor', [3, 5, 743, 751])
def test_a_key_with_a_small_factor_is_weak(factor):
    assert 'weak' in refusal(an_rsa_key(factor * (RSA | 1)))


def test_a_key_of_primes_that_are_close_is_weak():
    first = next_prime(3 * 2 ** 1022 + random.getrandbits(1000))
    second = next_prime(first + random.getrandbits(500))
    assert 'weak' in refusal(an_rsa_key(first * second))
    assert public_keys.has_close_primes(first * first)


def test_a_key_of_the_roca_kind_is_weak():
    modulus = infineon_prime() * infineon_prime()
    assert public_keys.is_roca(modulus)
    assert not public_keys.has_small_factor(modulus)
    assert 'weak' in refusal(an_rsa_key(modulus))


def test_a_usual_key_is_not_taken_for_a_weak_one():
    assert not public_keys.is_roca(RSA)
    assert not public_keys.has_close_primes(RSA)
    assert not public_keys.has_small_factor(RSA)


def test_a_request_by_a_weak_key_is_refused():
    first = next_prime(3 * 2 ** 1022 + random.getrandbits(1000))
    second = next_prime(first + 1000)
    secret = pow(65537, -1, (first - 1) * (second - 1))
    key = rsa.RSAPrivateNumbers(
        first, second, secret, secret % (first - 1), secret % (second - 1), pow(second, -1, first),
        rsa.RSAPublicNumbers(65537, first * second)).private_key()
    with pytest.raises(Rejected, match='The RSA key is weak'):
        wanted(a_request('a.example.org', key=key))
