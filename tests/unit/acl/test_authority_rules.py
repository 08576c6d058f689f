# SPDX-License-Identifier: Apache-2.0
"""Who may do what to which certificate authority: section 10 of the contract, in full."""
import pytest

from km.acl.targets import NOTHING, described
from tests.unit.acl.asked import (
    MINE,
    ROLES,
    THEIRS,
    Asked,
    Row,
    admin,
    any_role,
    reader,
    service_admin,
    who,
    wrong_answers,
)

#: A root authority is nobody's; a subordinate is of the project that had it made.
ROOT, OWN, FOREIGN = Row(project_id=None), Row(project_id=MINE), Row(project_id=THEIRS)


def seen(asked):
    return asked.row.project_id in (None, MINE)


def reads(asked):
    return reader(asked) and seen(asked)


def legacy_reads(asked):
    return any_role(asked) and seen(asked)


def changes(asked):
    return admin(asked) and seen(asked)


#: action: (secure default, legacy default), about none in particular
SERVICE = {
    'certificate_authorities:get_limited': (reader, any_role),
    'certificate_authorities:get_all': (admin, admin),
    'certificate_authorities:post': (admin, admin),
    'certificate_authorities:get_preferred_ca': (reader, any_role),
    'certificate_authorities:get_global_preferred_ca': (admin, service_admin),
    'certificate_authorities:unset_global_preferred': (admin, service_admin),
}
#: The same about one.
ONE = {
    'certificate_authority:get': (reads, legacy_reads),
    'certificate_authority:delete': (changes, changes),
    'certificate_authority:get_cacert': (reads, legacy_reads),
    'certificate_authority:get_ca_cert_chain': (reads, legacy_reads),
    'certificate_authority:get_projects': (admin, service_admin),
    'certificate_authority:add_to_project': (changes, changes),
    'certificate_authority:remove_from_project': (changes, changes),
    'certificate_authority:set_preferred': (changes, changes),
    'certificate_authority:set_global_preferred': (admin, service_admin),
}
TABLE = SERVICE | ONE


def wrong_about_one(rules, expected, action):
    return [f'{roles} on {row}: expected {wanted}'
            for roles in ROLES for row in (ROOT, OWN, FOREIGN)
            if rules.allowed(who(roles), action, described('ca', row))
            is not (wanted := bool(expected(Asked(roles, row))))]


@pytest.mark.parametrize('action', ONE)
def test_the_secure_rules_about_one_are_those_of_the_contract(secure, action):
    assert wrong_about_one(secure, ONE[action][0], action) == []


@pytest.mark.parametrize('action', ONE)
def test_the_legacy_rules_about_one_are_those_of_the_contract(legacy, action):
    assert wrong_about_one(legacy, ONE[action][1], action) == []


@pytest.mark.parametrize('action', SERVICE)
def test_the_secure_rules_about_all_are_those_of_the_contract(secure, action):
    secured = {action: rule for action, (rule, _) in SERVICE.items()}
    assert wrong_answers(secure, secured, action, kind=None) == []


@pytest.mark.parametrize('action', SERVICE)
def test_the_legacy_rules_about_all_are_those_of_the_contract(legacy, action):
    before = {action: rule for action, (_, rule) in SERVICE.items()}
    assert wrong_answers(legacy, before, action, kind=None) == []


@pytest.mark.parametrize('action', [action for action, (rule, _) in ONE.items() if rule is not admin])
def test_no_authority_is_changed_or_read_without_knowing_whose_it_is(secure, legacy, action):
    for rules in (secure, legacy):
        for roles in ROLES:
            assert not rules.allowed(who(roles), action, NOTHING)
