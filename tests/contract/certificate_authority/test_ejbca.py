# SPDX-License-Identifier: Apache-2.0
"""The contract of certificate authorities, held against EJBCA: a stand-in for its server."""
import pytest

from km.plugins.certificate_authority.ejbca.plugin import Ejbca
from km.testing import open_authority
from km.testing.certificate_authority import CertificateAuthorityContract
from km.testing.certificate_orders import until_issued
from tests.functional.certificates.ejbca_server import ejbca


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with ejbca(tmp_path_factory.mktemp('ejbca')) as server:
        yield server


@pytest.fixture
def opened(folder, server):
    """A function that opens one, with further options, at a server that has forgotten all before."""
    authorities = []

    def make(**more):
        server.reset()
        authorities.append(open_authority(Ejbca, **server.options(**more)))
        return authorities[-1]

    yield make
    for authority in authorities:
        authority.close()


class TestEjbca(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self, opened):
        return opened()


class TestEjbcaWherePeopleApprove(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self, opened, server):
        authority = opened(enrollment_mode='two_step', poll_seconds=0.1)
        server.set(approve_entities=True)
        return authority

    @pytest.fixture
    def settle(self, server):
        def approved(authority, pending):
            server.decide('EXECUTED')
            return until_issued(authority, pending)

        return approved
