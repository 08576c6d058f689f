# SPDX-License-Identifier: Apache-2.0
"""Who may do what to which certificate."""
import pytest

from tests.unit.acl.asked import (
    legacy_list,
    legacy_upload,
    member,
    projects_any_role,
    projects_member,
    wrong_answers,
)

#: action: (secure default, legacy default)
TABLE = {
    'certificates:get': (member, legacy_list),
    'certificate:get': (projects_member, projects_any_role),
    'certificate:renew': (projects_member, legacy_upload),
    'certificate:revoke': (projects_member, legacy_upload),
}


@pytest.mark.parametrize('action', TABLE)
def test_the_secure_rules_let_members_of_the_project(secure, action):
    assert wrong_answers(secure, {name: rule for name, (rule, _) in TABLE.items()}, action,
                         kind='certificate') == []


@pytest.mark.parametrize('action', TABLE)
def test_the_legacy_rules_let_who_may_order(legacy, action):
    assert wrong_answers(legacy, {name: rule for name, (_, rule) in TABLE.items()}, action,
                         kind='certificate') == []
