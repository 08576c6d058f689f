# SPDX-License-Identifier: Apache-2.0
"""The public suite of the Key Manager API passes, whole, against a km behind a Keystone."""
import pytest

from tests.functional import km_server, tempest_suite
from tests.functional.keystone_server import keystone as run_keystone
from tests.functional.postgresql_server import postgresql as run_postgresql

#: Why a class may be skipped: all its scenarios boot Nova's servers, from Glance's images or with
#: Cinder's volumes. Tempest names what it misses first, and a server is to have a network.
NO_CLOUD = {
    'CertificateValidationTest': 'Neutron not available',
    'EphemeralStorageEncryptionTest': 'Neutron not available',
    'ImageSigningSnapshotTest': 'Nova is not available',
    'ImageSigningTest': 'Neutron not available',
    'ImageSigningVolumeTest': 'ImageSigningVolumeTest skipped as glance is not available',
    'VolumeEncryptionTest': 'Neutron not available',
}
#: And one that wants the legacy rules, with which another test here runs it.
WANTS_LEGACY_RULES = {
    'ProjectQuotasTest': 'enforce_scope is enabled for barbican, skipping project quota tests.',
}
#: A role that the suite gives and Keystone does not make by itself.
LEGACY_ADMIN = 'key-manager:service-admin'


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    """A PostgreSQL and a Keystone of the suite's own: it makes and deletes projects at will."""
    with (run_postgresql(tmp_path_factory.mktemp('postgresql')) as postgresql,
          run_keystone(tmp_path_factory.mktemp('keystone')) as keystone):
        yield postgresql, keystone


def passes(km, outcome, *, skips, least):
    """Whether km passed: no test failed, at least this many ran, and those skipped are ``skips``."""
    print(outcome)
    assert not outcome.failed, f'{len(outcome.failed)} failed; they are listed above'
    assert outcome.skipped == skips
    assert len(outcome.passed) >= least
    assert 'Traceback' not in km.log.read_text(errors='replace')
    return not km.leaks()


def test_the_suite_passes_with_the_secure_rules(cloud, folder):
    with km_server.behind_keystone(folder, *cloud, name='tempest') as km:
        outcome = tempest_suite.run(folder, km.keystone)
        assert passes(km, outcome, skips=NO_CLOUD | WANTS_LEGACY_RULES, least=320)


def test_the_quota_test_that_wants_the_legacy_rules_passes_with_them(cloud, folder):
    legacy = {'oslo_policy': {'enforce_new_defaults': 'false'}}
    cloud[1].create_role(LEGACY_ADMIN)
    with km_server.behind_keystone(folder, *cloud, name='legacy', sections=legacy) as km:
        outcome = tempest_suite.run(folder, km.keystone, tests='ProjectQuotasTest', secure=False)
        assert passes(km, outcome, skips={}, least=1)
