# SPDX-License-Identifier: Apache-2.0
"""The contracts of certificate authorities, held against Local CA."""
import pytest
from cryptography import x509

from km.plugins.certificate_authority.local_ca.plugin import LocalCa
from km.testing import MemoryKeyStore, open_authority, open_plugin
from km.testing.certificate_authority import CertificateAuthorityContract
from km.testing.issuer_rotation import IssuerRotationContract
from km.testing.issuers import certify, new_issuer
from km.testing.status_publisher import StatusPublisherContract
from km.testing.subordinate_maker import SubordinateMakerContract


@pytest.fixture
def opened(folder):
    """A function that opens one, with further options."""
    authorities = []

    def make(**more):
        authorities.append(open_authority(
            LocalCa, key_stores={'soft': open_plugin(MemoryKeyStore)}, key_store='soft', key_bits=256,
            connection=f'sqlite:///{folder}/ca.sqlite', publication_url='http://km.example:9311/pki',
            subordinate_permitted=['DNS:example'], **more))
        return authorities[-1]

    yield make
    for authority in authorities:
        authority.close()


@pytest.fixture
def authority(opened):
    return opened()


class TestLocalCa(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self, authority):
        return authority


class TestItsSubordinates(SubordinateMakerContract):
    @pytest.fixture
    def authority(self, authority):
        return authority


class TestItsStatus(StatusPublisherContract):
    @pytest.fixture
    def authority(self, authority):
        return authority


class TestDeltas(StatusPublisherContract):
    @pytest.fixture
    def authority(self, opened):
        return opened(delta_crl_minutes=60)


class TestItsRotation(IssuerRotationContract):
    @pytest.fixture
    def authority(self, authority):
        return authority


class TestItsRotationUnderARootElsewhere(IssuerRotationContract):
    @pytest.fixture
    def authority(self, opened):
        authority, root = opened(root='elsewhere'), new_issuer('a root', above=None)
        csr = x509.load_der_x509_csr(authority.issuer_request('issuing'))
        authority.install_issuer('issuing', certify(csr, by=root), (root.der,))
        return authority
