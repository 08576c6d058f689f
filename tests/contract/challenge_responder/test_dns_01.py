# SPDX-License-Identifier: Apache-2.0
"""The contract of challenge responders, held against dns-01: with BIND, asked as an authority asks."""
import base64
import hashlib

import pytest

from km.plugins.challenge_responder.dns_01 import Dns01
from km.testing import open_plugin
from km.testing.challenge_responder import ChallengeResponderContract
from tests.functional.certificates.bind_server import run_bind


@pytest.fixture(scope='module')
def bind(tmp_path_factory):
    with run_bind(tmp_path_factory.mktemp('bind')) as server:
        yield server


class TestDns01(ChallengeResponderContract):
    @pytest.fixture
    def responder(self, folder, bind):
        responder = open_plugin(Dns01, path=str(folder), **bind.options())
        yield responder
        responder.close()

    @pytest.fixture
    def identifier(self):
        return 'a.test'

    @pytest.fixture
    def seen(self, bind):
        def asked(challenge):
            digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
            value = base64.urlsafe_b64encode(digest).rstrip(b'=').decode()
            return value in bind.texts(f'_acme-challenge.{challenge.identifier}.')

        return asked
