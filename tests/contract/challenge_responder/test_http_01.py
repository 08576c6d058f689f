# SPDX-License-Identifier: Apache-2.0
"""The contract of challenge responders, held against http-01: asked as an authority asks."""
import http.client

import pytest

from km.plugins.challenge_responder.http_01 import Http01
from km.testing import open_plugin
from km.testing.challenge_responder import ChallengeResponderContract
from tests.functional.servers import HOST, reserved_port


@pytest.fixture
def port():
    with reserved_port() as port:
        yield port


class TestHttp01(ChallengeResponderContract):
    @pytest.fixture
    def responder(self, folder, port):
        responder = open_plugin(Http01, path=str(folder), listen=f'{HOST}:{port}')
        yield responder
        responder.close()

    @pytest.fixture
    def seen(self, port):
        def asked(challenge):
            connection = http.client.HTTPConnection(HOST, port, timeout=10)
            try:
                connection.request('GET', f'/.well-known/acme-challenge/{challenge.token}',
                                   headers={'Host': challenge.identifier})
                answer = connection.getresponse()
                return (answer.status, answer.read()) == (200, challenge.key_authorization.encode())
            finally:
                connection.close()

        return asked
