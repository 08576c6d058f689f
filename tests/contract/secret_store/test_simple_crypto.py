# SPDX-License-Identifier: Apache-2.0
"""The contract of secret stores, held against Simple Crypto: the example for every third party."""
import pytest

from km.plugins.secret_store import key_file
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin
from km.testing.secret_store import SecretStoreContract


class TestSimpleCrypto(SecretStoreContract):
    @pytest.fixture
    def store(self, folder):
        key_file.create(str(folder / 'kek'))
        store = open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                            connection=f'sqlite:///{folder}/soft.sqlite')
        yield store
        store.close()
