# SPDX-License-Identifier: Apache-2.0
"""The contracts of secret stores, held against PKCS#11 on the tokens of two vendors."""
import pytest

from km.testing.key_rotation import MasterKeyRotationContract, ProjectKeyRotationContract
from km.testing.secret_store import SecretStoreContract
from km.testing.signing_store import SigningStoreContract
from tests.functional.nss_token import nss_token
from tests.functional.pkcs11_stores import new_master_key, pkcs11_store
from tests.functional.softhsm import softhsm


@pytest.fixture(scope='module', params=['SoftHSM2', 'NSS'])
def token(request, tmp_path_factory):
    """The options of a store, whose token has a master key."""
    folder = tmp_path_factory.mktemp('token')
    if request.param == 'NSS':
        settings = nss_token(folder)
        new_master_key(settings)
        yield settings
    else:
        with softhsm(folder) as made:
            new_master_key(made.settings)
            yield made.settings


@pytest.fixture
def store(token, folder):
    store = pkcs11_store(token, folder)
    yield store
    store.close()


class TestPkcs11(SecretStoreContract):
    @pytest.fixture
    def store(self, store):
        return store


class TestPayloadsInTheToken(SecretStoreContract):
    """On SoftHSM2; NSS's token does not, see tests/functional/stores/hsm."""

    @pytest.fixture
    def store(self, folder):
        with softhsm(folder) as made:
            new_master_key(made.settings)
            store = pkcs11_store(made.settings, folder, payloads_in_token=True)
            yield store
            store.close()


class TestItSigns(SigningStoreContract):
    @pytest.fixture
    def store(self, store):
        return store


class TestItsMasterKeyIsReplaced(MasterKeyRotationContract):
    @pytest.fixture
    def store(self, store):
        return store


class TestItsProjectKeysAreReplaced(ProjectKeyRotationContract):
    @pytest.fixture
    def store(self, store):
        return store
