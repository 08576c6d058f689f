# SPDX-License-Identifier: Apache-2.0
"""What the tests share: a folder, an identity, and a store that has both."""
import pyrage
import pytest
from km.testing import open_plugin

from km_age.store import AgeStore


@pytest.fixture
def identity():
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def settings(tmp_path, identity):
    """The options of a store that works, for ``open_plugin``."""
    folder, identity_file = tmp_path / 'secrets', tmp_path / 'identity'
    folder.mkdir(mode=0o700)
    identity_file.write_text(f'# made for a test\n{identity}\n')
    identity_file.chmod(0o400)
    return {'folder': str(folder), 'identity_file': str(identity_file)}


@pytest.fixture
def store(settings):
    store = open_plugin(AgeStore, **settings)
    yield store
    store.close()
