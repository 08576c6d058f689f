# SPDX-License-Identifier: Apache-2.0
"""The contracts of secret stores, held against Simple Crypto: the example for every third party."""
import pytest

from km.plugins.secret_store import key_file
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin
from km.testing.key_rotation import MasterKeyRotationContract, ProjectKeyRotationContract
from km.testing.secret_store import SecretStoreContract
from km.testing.signing_store import SigningStoreContract


@pytest.fixture
def store(folder):
    key_file.create(str(folder / 'kek'))
    store = open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                        connection=f'sqlite:///{folder}/soft.sqlite')
    yield store
    store.close()


class TestSimpleCrypto(SecretStoreContract):
    @pytest.fixture
    def store(self, store):
        return store


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
