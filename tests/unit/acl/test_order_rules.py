# SPDX-License-Identifier: Apache-2.0
"""Who may do what to which order: section 14.1 of the contract, in full."""
import pytest

from tests.unit.acl.asked import (
    legacy_create,
    legacy_list,
    legacy_upload,
    member,
    projects_admin,
    projects_any_role,
    projects_member,
    wrong_answers,
)

#: action: (secure default, legacy default)
TABLE = {
    'orders:get': (member, legacy_list),
    'orders:post': (member, legacy_create),
    'order:get': (projects_member, projects_any_role),
    'order:delete': (projects_member, projects_admin),
    'order:approve': (projects_admin, projects_admin),
    'order:cancel': (projects_member, legacy_upload),
    'order:revoke': (projects_member, legacy_upload),
}
SECURE = {action: secure for action, (secure, _) in TABLE.items()}
LEGACY = {action: legacy for action, (_, legacy) in TABLE.items()}


@pytest.mark.parametrize('action', TABLE)
def test_the_secure_rules_are_those_of_the_contract(secure, action):
    assert wrong_answers(secure, SECURE, action, kind='order') == []


@pytest.mark.parametrize('action', TABLE)
def test_the_legacy_rules_are_those_of_the_contract(legacy, action):
    assert wrong_answers(legacy, LEGACY, action, kind='order') == []
