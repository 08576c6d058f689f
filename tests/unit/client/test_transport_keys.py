# SPDX-License-Identifier: Apache-2.0
"""``openstack secret transport key get`` against a stand-in."""
from km.client.transport_keys import GetTransportKey

PEM = '-----BEGIN PUBLIC KEY-----\nMAo=\n-----END PUBLIC KEY-----\n'


def test_the_key_alone_can_be_had_for_openssl(server, openstack):
    server.answers['GET', '/v1/transport_key'] = 200, {
        'transport_key': PEM, 'plugin_name': 'km', 'status': 'ACTIVE',
        'transport_key_ref': 'https://keys.example.org/v1/transport_keys/1'}
    assert openstack(GetTransportKey, '-f', 'value', '-c', 'Transport key').rstrip('\n') == PEM.rstrip()
    assert 'https://keys.example.org/v1/transport_keys/1' in openstack(GetTransportKey)
