# SPDX-License-Identifier: Apache-2.0
"""Who may do what to the service itself: section 14.1 of the contract, in full."""
import pytest

from tests.unit.acl.asked import (
    admin,
    always,
    any_role,
    reader,
    service_admin,
    wrong_answers,
)

#: action: (secure default, legacy default)
TABLE = {
    'version:get': (always, always),
    'quotas:get': (reader, any_role),
    'project_quotas:get': (admin, service_admin),
    'project_quotas:put': (admin, service_admin),
    'project_quotas:delete': (admin, service_admin),
    'secretstores:get': (reader, any_role),
    'secretstores:get_global_default': (reader, any_role),
    'secretstores:get_preferred': (reader, any_role),
    'secretstores:get_preferred_of_project': (admin, service_admin),
    'secretstore:get': (reader, any_role),
    'secretstore_preferred:post': (admin, admin),
    'secretstore_preferred:delete': (admin, admin),
    'secretstore_preferred:post_of_project': (admin, service_admin),
    'secretstore_preferred:delete_of_project': (admin, service_admin),
    'transport_keys:get': (reader, any_role),
    'transport_keys:post': (admin, service_admin),
    'transport_key:get': (reader, any_role),
    'transport_key:delete': (admin, service_admin),
}
SECURE = {action: secure for action, (secure, _) in TABLE.items()}
LEGACY = {action: legacy for action, (_, legacy) in TABLE.items()}


@pytest.mark.parametrize('action', TABLE)
def test_the_secure_rules_are_those_of_the_contract(secure, action):
    assert wrong_answers(secure, SECURE, action, kind=None) == []


@pytest.mark.parametrize('action', TABLE)
def test_the_legacy_rules_are_those_of_the_contract(legacy, action):
    assert wrong_answers(legacy, LEGACY, action, kind=None) == []
