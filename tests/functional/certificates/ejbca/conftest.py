# SPDX-License-Identifier: Apache-2.0
"""A stand-in for EJBCA, and plugins that ask it."""
import contextlib

import pytest

from km.plugins.certificate_authority.ejbca.plugin import Ejbca
from km.testing import open_authority
from tests.functional.certificates.ejbca_server import ejbca


@pytest.fixture(scope='package')
def shared(tmp_path_factory):
    with ejbca(tmp_path_factory.mktemp('ejbca')) as server:
        yield server


@pytest.fixture
def server(shared):
    """A stand-in to which nothing has happened yet."""
    shared.reset()
    return shared


@pytest.fixture
def opened(server):
    """Opens a plugin on the stand-in."""
    with contextlib.ExitStack() as plugins:
        def open_with(options=None, **more):
            plugin = open_authority(Ejbca, **{**(options or server.options()), **more})
            plugins.callback(plugin.close)
            server.tell('calls', 'forget')
            return plugin

        yield open_with
