# SPDX-License-Identifier: Apache-2.0
"""The contracts of secret stores, held against KMIP: over mutual TLS, with PyKMIP's server."""
import pytest

from km.plugins.secret_store.kmip import Kmip
from km.testing import open_plugin
from km.testing.key_generator import KeyGeneratorContract
from km.testing.secret_store import SecretStoreContract
from tests.functional.kmip_server import kmip


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with kmip(tmp_path_factory.mktemp('kmip')) as server:
        yield server


@pytest.fixture
def store(server, request):
    store = open_plugin(Kmip, **server.options(object_group=request.node.name))
    yield store
    store.close()


class TestKmip(SecretStoreContract):
    @pytest.fixture
    def store(self, store):
        return store


class TestItMakesKeys(KeyGeneratorContract):
    @pytest.fixture
    def store(self, store):
        return store
