# SPDX-License-Identifier: Apache-2.0
"""Who may do what to which container: section 14.1 of the contract, in full."""
import pytest

from tests.unit.acl.asked import (
    legacy_acl_read,
    legacy_change,
    legacy_create,
    legacy_list,
    legacy_own,
    legacy_read,
    member,
    use,
    use_or_acl,
    wrong_answers,
)

#: action: (secure default, legacy default)
TABLE = {
    'containers:get': (member, legacy_list),
    'containers:post': (member, legacy_create),
    'container:get': (use_or_acl, legacy_read),
    'container:delete': (use, legacy_own),
    'container_secret:post': (use, legacy_change),
    'container_secret:delete': (use, legacy_change),
    'container_acls:get': (use, legacy_acl_read),
    'container_acls:put_patch': (use, legacy_change),
    'container_acls:delete': (use, legacy_change),
    'container_consumers:get': (use_or_acl, legacy_read),
    'container_consumers:post': (use_or_acl, legacy_read),
    'container_consumers:delete': (use_or_acl, legacy_read),
    # Not for the admin of any other project: section 14.2 leaves those secret:get and secret:delete.
    'consumer:get': (use_or_acl, legacy_read),
}
SECURE = {action: secure for action, (secure, _) in TABLE.items()}
LEGACY = {action: legacy for action, (_, legacy) in TABLE.items()}


@pytest.mark.parametrize('action', TABLE)
def test_the_secure_rules_are_those_of_the_contract(secure, action):
    assert wrong_answers(secure, SECURE, action, kind='container') == []


@pytest.mark.parametrize('action', TABLE)
def test_the_legacy_rules_are_those_of_the_contract(legacy, action):
    assert wrong_answers(legacy, LEGACY, action, kind='container') == []
