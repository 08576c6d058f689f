# SPDX-License-Identifier: Apache-2.0
"""A token of SoftHSM2, and a store on it."""
import pytest

from km.plugins.secret_store.cryptoki import pins
from tests.functional.pkcs11_stores import new_master_key, pkcs11_store
from tests.functional.softhsm import softhsm


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    """A token with a master key."""
    with softhsm(tmp_path_factory.mktemp('token')) as token:
        new_master_key(token.settings)
        yield token


@pytest.fixture
def token(kept):
    """The same, with what this process was refused forgotten."""
    pins._refused.clear()
    return kept


@pytest.fixture
def store(token, folder):
    store = pkcs11_store(token.settings, folder)
    yield store
    store.close()
