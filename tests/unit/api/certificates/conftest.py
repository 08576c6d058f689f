# SPDX-License-Identifier: Apache-2.0
"""A km with a certificate authority in memory, and requests as clients make them."""
import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.lifecycle import authorities
from km.testing import MemoryAuthority
from km.testing.application import a_deployment
from tests.authority_in_full import hosted

BASE = 'http://km.test:9311'
V1_4 = {'OpenStack_API_Version': 'key-manager 1.4'}


@pytest.fixture
def house(folder, clock):
    """A km with one authority."""
    house = a_deployment(folder, clock=clock)
    house.registry.authorities['ca'] = hosted('ca', plugin=MemoryAuthority)
    house.registry.authorities['ca'].guest.memory.clock = clock
    authorities.announce(house.context)
    yield house
    house.close()


@pytest.fixture
def memory(house):
    """What the authority remembers, and how it shall behave."""
    return house.registry.authorities['ca'].guest.memory


@pytest.fixture
def ca_id(ann):
    """The id of the authority."""
    ref, = ann.get('/v1/cas').json['cas']
    return ref.rpartition('/')[2]


def csr(name='www.example.org', key=None):
    """A request, PKCS#10, PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        Encoding.PEM)


def encoded(request):
    """A request as clients send it."""
    return base64.b64encode(request).decode()


def path_of(ref):
    return ref.removeprefix(BASE)


def placed(who, **meta):
    """The path of a new order of a certificate."""
    made = who.post('/v1/orders', {'type': 'certificate', 'meta': meta})
    assert made.status_int == 202, made.text
    return path_of(made.json['order_ref'])


def contents(who, order):
    """The payloads in an order's container, by name."""
    container = who.get(path_of(order['container_ref'])).json
    assert container['type'] == 'certificate'
    return {one['name']: who.get(path_of(one['secret_ref']) + '/payload',
                                 Accept='application/octet-stream').body
            for one in container['secret_refs']}


def said(answer, status):
    assert answer.status_int == status, answer.text
    return answer.json['description']
