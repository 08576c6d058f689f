# SPDX-License-Identifier: Apache-2.0
"""The store that km's own tests stand on keeps the contract too."""
import pytest

from km.testing import MemoryStore, open_plugin
from km.testing.secret_store import SecretStoreContract


class TestMemoryStore(SecretStoreContract):
    @pytest.fixture
    def store(self):
        return open_plugin(MemoryStore)
