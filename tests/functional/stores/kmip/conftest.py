# SPDX-License-Identifier: Apache-2.0
"""A KMIP server, and stores on it."""
import contextlib

import pytest

from km.plugins.secret_store.kmip import Kmip
from km.testing import open_plugin
from tests.functional.kmip_server import kmip


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    with kmip(tmp_path_factory.mktemp('kmip')) as server:
        yield server


@pytest.fixture
def server(shared):
    """A KMIP server that runs, whatever the test before did to it."""
    if not shared.answers():
        shared.stop()
        shared.start()
    return shared


@pytest.fixture
def opened(server):
    """Opens a store on the server."""
    with contextlib.ExitStack() as stores:
        def open_with(client='km', **options):
            store = open_plugin(Kmip, **server.options(client, **options))
            stores.callback(store.close)
            return store

        yield open_with
