# SPDX-License-Identifier: Apache-2.0
"""The contracts of certificate authorities, held against ACME with a real server: pebble."""
import pytest

from km.plugins.certificate_authority.acme.plugin import Acme
from km.testing import MemoryKeyStore, open_authority, open_plugin
from km.testing.certificate_authority import CertificateAuthorityContract
from km.testing.renewal_adviser import RenewalAdviserContract
from tests.functional.certificates.acme_client import MockDnsResponder
from tests.functional.certificates.pebble_server import run_mock_dns, run_pebble


@pytest.fixture(scope='module')
def dns(tmp_path_factory):
    with run_mock_dns(tmp_path_factory.mktemp('mock-dns')) as server:
        yield server


@pytest.fixture(scope='module')
def pebble(dns, tmp_path_factory):
    with run_pebble(tmp_path_factory.mktemp('pebble'), dns_port=dns.dns_port, reuse=100) as server:
        yield server


@pytest.fixture
def authority(folder, pebble, dns):
    authority = open_authority(
        Acme, key_stores={'soft': open_plugin(MemoryKeyStore)},
        responders={'dns': MockDnsResponder(dns)}, directory_url=pebble.directory_url,
        ca_file=str(pebble.ca_file), key_store='soft', connection=f'sqlite:///{folder}/acme.sqlite',
        terms_of_service_agreed=True, poll_min_seconds=0.02)
    yield authority
    authority.close()


class TestAcme(CertificateAuthorityContract):
    @pytest.fixture
    def authority(self, authority):
        return authority


class TestItsAdvice(RenewalAdviserContract):
    @pytest.fixture
    def authority(self, authority):
        return authority
