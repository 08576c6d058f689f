# SPDX-License-Identifier: Apache-2.0
"""The contract of secret stores, held against KMIP: over mutual TLS, with PyKMIP's server."""
import pytest

from km.plugins.secret_store.kmip import Kmip
from km.testing import open_plugin
from km.testing.secret_store import SecretStoreContract
from tests.functional.kmip_server import kmip


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with kmip(tmp_path_factory.mktemp('kmip')) as server:
        yield server


class TestKmip(SecretStoreContract):
    @pytest.fixture
    def store(self, server, request):
        store = open_plugin(Kmip, **server.options(object_group=request.node.name))
        yield store
        store.close()
