# SPDX-License-Identifier: Apache-2.0
"""The authorities in memory are held against the contracts too, at once and with orders that wait."""
import uuid

import pytest

from km.testing import MemoryAuthority, MemoryHierarchy, open_authority
from km.testing.certificate_authority import CertificateAuthorityContract
from km.testing.issuer_rotation import IssuerRotationContract
from km.testing.renewal_adviser import RenewalAdviserContract
from km.testing.status_publisher import StatusPublisherContract
from km.testing.subordinate_maker import SubordinateMakerContract


class TestMemoryAuthority(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self):
        return open_authority(MemoryAuthority, memory=str(uuid.uuid4()))


class TestAuthorityThatWaits(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self):
        authority = open_authority(MemoryAuthority, memory=str(uuid.uuid4()))
        authority.memory.pending_polls, authority.memory.poll_after_seconds = 3, 0.01
        return authority


class TestMemoryHierarchy(CertificateAuthorityContract, SubordinateMakerContract, RenewalAdviserContract,
                          StatusPublisherContract, IssuerRotationContract):
    @pytest.fixture
    def authority(self):
        authority = open_authority(MemoryHierarchy, memory=str(uuid.uuid4()))
        authority.memory.add('another')
        return authority
