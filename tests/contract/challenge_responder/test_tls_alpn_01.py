# SPDX-License-Identifier: Apache-2.0
"""The contract of challenge responders, held against tls-alpn-01: asked as an authority asks."""
import hashlib
import socket
import ssl

import pytest
from cryptography import x509

from km.plugins.challenge_responder.tls_alpn_01 import TlsAlpn01
from km.testing import open_plugin
from km.testing.challenge_responder import ChallengeResponderContract
from tests.functional.servers import HOST, reserved_port

#: id-pe-acmeIdentifier (RFC 8737, 3).
IDENTIFIER = x509.ObjectIdentifier('1.3.6.1.5.5.7.1.31')


@pytest.fixture
def port():
    with reserved_port() as port:
        yield port


class TestTlsAlpn01(ChallengeResponderContract):
    @pytest.fixture
    def responder(self, folder, port):
        responder = open_plugin(TlsAlpn01, path=str(folder), listen=f'{HOST}:{port}')
        yield responder
        responder.close()

    @pytest.fixture
    def seen(self, port):
        def asked(challenge):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(['acme-tls/1'])
            try:
                with socket.create_connection((HOST, port), timeout=10) as connection, (
                        context.wrap_socket(connection, server_hostname=challenge.identifier)) as tls:
                    certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
            except ssl.SSLError:
                return False
            told = certificate.extensions.get_extension_for_oid(IDENTIFIER).value.value
            return told[2:] == hashlib.sha256(challenge.key_authorization.encode()).digest()

        return asked
