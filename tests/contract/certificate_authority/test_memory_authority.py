# SPDX-License-Identifier: Apache-2.0
"""The authority in memory is held against the contract too, at once and with orders that wait."""
import uuid

import pytest

from km.testing import MemoryAuthority, open_authority
from km.testing.certificate_authority import CertificateAuthorityContract


class TestMemoryAuthority(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self):
        return open_authority(MemoryAuthority, memory=str(uuid.uuid4()))


class TestAuthorityThatWaits(TestMemoryAuthority):
    @pytest.fixture
    def authority(self):
        authority = open_authority(MemoryAuthority, memory=str(uuid.uuid4()))
        authority.memory.pending_polls, authority.memory.poll_after_seconds = 3, 0.01
        return authority
