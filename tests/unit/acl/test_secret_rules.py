# SPDX-License-Identifier: Apache-2.0
"""Who may do what to which secret: section 14.1 of the contract, in full."""
import pytest

from tests.unit.acl.asked import (
    any_admin_or_use,
    any_admin_or_use_or_acl,
    legacy_acl_read,
    legacy_change,
    legacy_create,
    legacy_decrypt,
    legacy_list,
    legacy_read,
    legacy_upload,
    member,
    projects_admin,
    use,
    use_or_acl,
    wrong_answers,
)

#: action: (secure default, legacy default)
TABLE = {
    'secrets:get': (member, legacy_list),
    'secrets:post': (member, legacy_create),
    'secret:get': (any_admin_or_use_or_acl, legacy_read),
    'secret:decrypt': (use_or_acl, legacy_decrypt),
    'secret:put': (use, legacy_upload),
    'secret:delete': (any_admin_or_use, legacy_change),
    'secret:move': (projects_admin, projects_admin),
    'secret_meta:get': (use_or_acl, legacy_read),
    'secret_meta:post': (use, legacy_change),
    'secret_meta:put': (use, legacy_change),
    'secret_meta:delete': (use, legacy_change),
    'secret_acls:get': (use, legacy_acl_read),
    'secret_acls:put_patch': (use, legacy_change),
    'secret_acls:delete': (use, legacy_change),
    'secret_consumers:get': (use_or_acl, legacy_read),
    'secret_consumers:post': (use_or_acl, legacy_read),
    'secret_consumers:delete': (use_or_acl, legacy_read),
    # Not for the admin of any other project: section 14.2 leaves those secret:get and secret:delete.
    'consumer:get': (use_or_acl, legacy_read),
}
SECURE = {action: secure for action, (secure, _) in TABLE.items()}
LEGACY = {action: legacy for action, (_, legacy) in TABLE.items()}


@pytest.mark.parametrize('action', TABLE)
def test_the_secure_rules_are_those_of_the_contract(secure, action):
    assert wrong_answers(secure, SECURE, action, kind='secret') == []


@pytest.mark.parametrize('action', TABLE)
def test_the_legacy_rules_are_those_of_the_contract(legacy, action):
    assert wrong_answers(legacy, LEGACY, action, kind='secret') == []
