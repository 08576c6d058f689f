# SPDX-License-Identifier: Apache-2.0
"""Errors of PKCS#11 modules are told apart by class, and by text where there is none."""
import pytest
from pkcs11 import exceptions as ck

from km.plugins.secret_store.cryptoki.failures import Altered, Failed, Gone, Kind, WrongAnswer, kind_of


@pytest.mark.parametrize(('error', 'kind'), [
    (Altered(), Kind.INTEGRITY), (ck.EncryptedDataInvalid(), Kind.INTEGRITY),
    (ck.WrappedKeyInvalid(), Kind.INTEGRITY),
    (Gone(), Kind.STALE), (ck.SessionHandleInvalid(), Kind.STALE), (ck.KeyHandleInvalid(), Kind.STALE),
    (ck.UserNotLoggedIn(), Kind.STALE), (WrongAnswer(), Kind.DEVICE), (ck.DeviceRemoved(), Kind.DEVICE),
    (ck.NoSuchToken(), Kind.DEVICE), (ck.SessionCount(), Kind.CAPACITY),
    (ck.DeviceMemory(), Kind.CAPACITY), (ck.GeneralError(), Kind.SUSPECT),
    (ck.MechanismInvalid(), Kind.CALLER), (ck.KeySizeRange(), Kind.CALLER),
    (ck.PKCS11Error('Initialisation error (not initialized). Should never see this.'), Kind.DEVICE),
    (ck.PKCS11Error('PKCS#11 error 0x190, not initialised'), Kind.DEVICE),
    (ck.PKCS11Error('Unmapped error code 0x80000001'), Kind.SUSPECT)])
def test_each_error_means_one_thing(error, kind):
    assert kind_of(error) is kind


def test_of_an_error_only_its_name_is_kept():
    assert str(Failed(Kind.CALLER, 'MechanismInvalid')) == (
        'the token does not do this (MechanismInvalid)')
