# SPDX-License-Identifier: Apache-2.0
"""A Local CA, and another process's, on one database with one store in software."""
import pytest

from km.plugins.secret_store import key_file
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin
from tests.unit.plugins.certificate_authority.local_ca.opened import Life, MortalStore, a_ca


@pytest.fixture
def life():
    return Life()


@pytest.fixture
def store(folder, life):
    key_file.create(str(folder / 'kek'))
    made = open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                       connection=f'sqlite:///{folder}/soft.sqlite')
    yield MortalStore(made, life)
    made.close()


@pytest.fixture
def opens(folder, store):
    """Opens one more, as another process has it."""
    opened = []

    def opens(**settings):
        opened.append(a_ca(**{'folder': folder, 'store': store, **settings}))
        return opened[-1]

    yield opens
    for ca in opened:
        ca.close()


@pytest.fixture
def ca(opens):
    return opens()
