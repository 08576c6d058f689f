# SPDX-License-Identifier: Apache-2.0
"""Numbers of certificates for Prometheus."""
import pytest

from km.hosting.authority import HostedAuthority
from km.lifecycle import authorities, upkeep
from km.testing import MemoryHierarchy, open_authority
from km.testing.application import Client
from tests.unit.api.certificates.conftest import placed
from tests.unit.api.test_metrics import port, scraped, watched  # noqa: F401  port is a fixture

NEW = {'request_type': 'new-key', 'subject_dn': 'cn=www.example.org'}


@pytest.fixture
def numbers(folder, port):  # noqa: F811
    """What is scraped of a km with an authority, and who orders certificates of it."""
    house = watched(folder, port, count_seconds=1)
    authority = HostedAuthority(open_authority(MemoryHierarchy))
    authority.name = 'ca'
    authority.open()
    authority.observe = house.metrics.observe_authority
    house.registry.authorities['ca'] = authority
    authorities.announce(house.context)
    yield Client(house.application), house, lambda: scraped(port)[0]
    house.close()


def test_certificates_in_use_and_the_days_of_the_first_are_told_by_authority(numbers):
    ann, _, scrape = numbers
    placed(ann, **NEW)
    placed(ann, **NEW)
    found = scrape()
    assert found['km_certificates', 'ca'] == 2
    assert 88 < found['km_certificate_days_left', 'ca'] <= 90
    assert found['km_certificates_not_renewed', 'ca'] == 0


def test_calls_of_an_authority_are_counted_by_operation_and_outcome(numbers):
    ann, _, scrape = numbers
    placed(ann, **NEW)
    placed(ann, **NEW, profile='server', ca_id=ann.get('/v1/cas').json['cas'][0].rpartition('/')[2])
    found = scrape()
    assert found['km_authority_calls_total', 'ca', 'issue', 'ok'] == 2
    assert found['km_authority_call_seconds_count', 'ca', 'issue'] == 2


def test_the_age_of_crls_is_told(numbers):
    _, house, scrape = numbers
    upkeep.sweep(house.context)
    found = {name: value for (name, *_), value in scrape().items()}
    assert 0 <= found['km_crl_age_seconds'] < 60
    assert found['km_crl_seconds_left'] > 0
