# SPDX-License-Identifier: Apache-2.0
"""The stores that km's own tests stand on keep the contracts too."""
import pytest

from km.testing import MemoryKeyStore, MemoryStore, open_plugin
from km.testing.key_generator import KeyGeneratorContract
from km.testing.key_rotation import MasterKeyRotationContract, ProjectKeyRotationContract
from km.testing.secret_store import SecretStoreContract
from km.testing.signing_store import SigningStoreContract


class TestMemoryStore(SecretStoreContract):
    @pytest.fixture
    def store(self):
        return open_plugin(MemoryStore)


class TestMemoryKeyStore(SecretStoreContract, KeyGeneratorContract, SigningStoreContract):
    @pytest.fixture
    def store(self):
        return open_plugin(MemoryKeyStore)


class TestItsMasterKeyIsReplaced(MasterKeyRotationContract):
    @pytest.fixture
    def store(self):
        return open_plugin(MemoryKeyStore)


class TestItsProjectKeysAreReplaced(ProjectKeyRotationContract):
    @pytest.fixture
    def store(self):
        return open_plugin(MemoryKeyStore)
