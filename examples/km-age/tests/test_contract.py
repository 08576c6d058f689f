# SPDX-License-Identifier: Apache-2.0
"""What km asks of every secret store. The fixture ``store`` is in ``conftest.py``."""
import pytest
from km.testing.secret_store import SecretStoreContract


class TestAgeStore(SecretStoreContract):
    @pytest.fixture
    def store(self, store):
        return store
