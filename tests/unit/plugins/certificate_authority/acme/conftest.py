# SPDX-License-Identifier: Apache-2.0
"""A server that plays an authority, and the plugin that asks it."""
import contextlib

import pytest

from km.interfaces import ChallengeResponder
from km.plugins.certificate_authority.acme.plugin import Acme
from km.testing import MemoryKeyStore, open_authority, open_plugin
from tests.unit.plugins.certificate_authority.acme.fake_server import FakeServer


class Remembering(ChallengeResponder):
    """A responder for http-01 that remembers what it presents, and of what it was ever asked."""

    kind = 'http-01'

    def __init__(self):
        super().__init__('remembering', None)
        self.presented, self.asked = set(), []

    def present(self, challenge):
        self.presented.add(challenge)
        self.asked.append(challenge.identifier)
        return 0

    def remove(self, challenge):
        self.presented.discard(challenge)


@pytest.fixture
def server(folder):
    with FakeServer(folder).running() as server:
        yield server


@pytest.fixture
def key_store():
    return open_plugin(MemoryKeyStore)


@pytest.fixture
def responder():
    return Remembering()


@pytest.fixture
def opened(folder, server, key_store, responder):
    """Opens the plugin; all that a test opens have one database and one key store."""
    with contextlib.ExitStack() as opened:
        def open_with(responders=None, key_stores=None, **options):
            authority = open_authority(
                Acme, key_stores=key_stores or {'soft': key_store},
                responders={'web': responder} if responders is None else responders,
                **{'directory_url': f'{server.url}/dir', 'ca_file': server.ca_file, 'key_store': 'soft',
                   'connection': f'sqlite:///{folder}/acme.sqlite', **options})
            opened.callback(authority.close)
            return authority

        yield open_with


@pytest.fixture
def acme(opened):
    return opened()
