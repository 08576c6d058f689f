# SPDX-License-Identifier: Apache-2.0
"""Payloads that Barbican's simple_crypto sealed."""
import pytest
from cryptography.fernet import Fernet

from km.barbican.simple_crypto import SimpleCrypto
from km.errors import CannotOpen, Misconfigured

MASTER, OLDER, PROJECT = (Fernet.generate_key() for _ in range(3))
WRAPPED = Fernet(MASTER).encrypt(PROJECT)
SEALED = Fernet(PROJECT).encrypt(b'a payload')


@pytest.mark.parametrize('keys', [[MASTER], [OLDER, MASTER], [MASTER.decode(), OLDER.decode()]])
def test_a_payload_opens_under_whichever_master_key_its_project_has(keys):
    opener = SimpleCrypto(keys)
    opener.check(WRAPPED)
    assert opener.open(WRAPPED, SEALED, None) == b'a payload'
    opener.close()
    assert opener.open(WRAPPED, SEALED, None) == b'a payload'


def test_under_another_master_key_nothing_opens():
    opener = SimpleCrypto([OLDER])
    for _ in range(2):
        with pytest.raises(CannotOpen, match='none of the master keys'):
            opener.check(WRAPPED)
        with pytest.raises(CannotOpen, match='none of the master keys'):
            opener.open(WRAPPED, SEALED, None)


def test_a_key_that_is_no_key_once_it_is_open_is_none():
    with pytest.raises(CannotOpen, match='none of the master keys'):
        SimpleCrypto([MASTER]).check(Fernet(MASTER).encrypt(b'no key'))


@pytest.mark.parametrize('sealed', [
    SEALED[:-4] + b'AAA=', b'', b'no token', Fernet(OLDER).encrypt(b'a payload')])
def test_a_payload_that_was_altered_or_is_of_another_project_does_not_open(sealed):
    with pytest.raises(CannotOpen, match='does not open') as caught:
        SimpleCrypto([MASTER]).open(WRAPPED, sealed, None)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize('key', ['', 'short', 'ü' * 44, b'!' * 44])
def test_a_master_key_of_another_form_is_refused_and_not_shown(key):
    with pytest.raises(Misconfigured, match='32 bytes in base64') as caught:
        SimpleCrypto([key])
    assert 'short' not in caught.value.sentence
