# SPDX-License-Identifier: Apache-2.0
"""Decisions: what has no rule, whom a rule cannot mean, what ``policy.yaml`` may change.

What the defaults say is in ``test_*_rules.py``.
"""
from itertools import product

import pytest
from oslo_policy.policy import DocumentedRuleDefault

from km.acl.decision import Policy
from km.acl.policies import list_rules
from km.acl.targets import NOTHING, described
from km.conf.load import load
from km.errors import Misconfigured
from km.testing.application import write_conf
from tests.unit.acl import (
    test_authority_rules,
    test_certificate_rules,
    test_container_rules,
    test_order_rules,
    test_secret_rules,
    test_service_rules,
)
from tests.unit.acl.asked import ME, MINE, ROLES, ROWS, THEIRS, Row, who, wrong_answers
from tests.unit.acl.conftest import policy
from tests.unit.acl.test_secret_rules import SECURE

ACTIONS = [rule.name for rule in list_rules() if isinstance(rule, DocumentedRuleDefault)]


def overridden(folder, text):
    file = folder / 'policy.yaml'
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return policy(folder, policy_file=file)


def test_the_tables_have_every_action_there_is():
    tables = (test_secret_rules, test_container_rules, test_order_rules, test_certificate_rules,
              test_service_rules, test_authority_rules)
    assert {action for table in tables for action in table.TABLE} == set(ACTIONS)


@pytest.mark.parametrize('roles', ROLES)
def test_nobody_may_do_what_has_no_rule(secure, legacy, roles):
    for row in ROWS:
        assert not secure.allowed(who(roles), 'secret:burn', described('secret', row))
        assert not legacy.allowed(who(roles), 'secret:burn', described('secret', row))


@pytest.mark.parametrize('action', [
    name for name in ACTIONS if name.startswith((
        'secret_', 'container_', 'container:', 'order:', 'certificate:'))] + [
    'secret:decrypt', 'secret:put', 'consumer:get'])
def test_without_a_target_an_action_on_something_is_refused(secure, legacy, action):
    for roles in (('admin', 'member', 'reader'), ('creator',)):
        assert not secure.allowed(who(roles), action, NOTHING)
        assert not legacy.allowed(who(roles), action, NOTHING)


@pytest.mark.parametrize('kind', ['secret', 'container'])
def test_only_the_admin_of_the_own_project_sees_private_things_listed(secure, legacy, kind):
    for roles in ROLES:
        assert secure.sees_private(who(roles), kind) is ('admin' in roles)
        assert legacy.sees_private(who(roles), kind) is ('admin' in roles)


def test_a_rule_in_policy_yaml_changes_its_action_and_no_other(folder):
    rules = overridden(folder, '"secret:delete": "rule:secret_project_admin"\n')

    def project_admin(asked):
        return asked.P and asked.one_of('admin')

    for action in SECURE:
        assert wrong_answers(rules, {**SECURE, 'secret:delete': project_admin}, action) == []


def test_a_base_rule_in_policy_yaml_changes_every_action_that_uses_it(folder):
    rules = overridden(folder, '"secret_is_not_private": "!"\n')
    assert not rules.allowed(who(('member',)), 'secret:get', described('secret', Row()))
    assert not rules.allowed(who(('member',)), 'secret_acls:get', described('secret', Row()))
    assert rules.allowed(who(('member',)), 'secret:get', described('secret', Row(creator_id=ME)))


def test_an_empty_policy_yaml_leaves_the_defaults(folder):
    rules = overridden(folder, '# nothing yet\n')
    for action in SECURE:
        assert wrong_answers(rules, SECURE, action) == []


@pytest.mark.parametrize('text', [
    '{', b'\xff\xfe\x00', '- a list\n', 'words', '"secret:get": 5', '"secret:get": null',
    '"secret:get": "rule:secret:get"', '"secret:get": "rule:nothing"', '"secret:gett": "@"'],
    ids=['no YAML', 'no UTF-8', 'a list', 'words', 'a number', 'null', 'a cycle', 'no such rule',
         'no such action'])
def test_a_broken_policy_yaml_is_told_at_the_start_with_its_option(folder, text):
    with pytest.raises(Misconfigured, match=r'\[oslo_policy\] policy_file'):
        overridden(folder, text)


@pytest.mark.parametrize('rule', ['rle andd (((', 'frob:x', '!'])
def test_a_rule_that_makes_no_sense_lets_nobody_through(folder, rule):
    rules = overridden(folder, f'"secret:get": "{rule}"\n')
    for roles, row in product(ROLES, ROWS):
        assert not rules.allowed(who(roles), 'secret:get', described('secret', row))


@pytest.mark.parametrize('user_id', [None, '', 'None'])
@pytest.mark.parametrize('creator_id', [None, '', 'None'])
@pytest.mark.parametrize(('kind', 'table'), [
    ('secret', test_secret_rules.TABLE), ('container', test_container_rules.TABLE)])
def test_nobody_in_particular_owns_nothing_of_another_project(
        secure, legacy, user_id, creator_id, kind, table):
    target = described(kind, Row(project_id=THEIRS, creator_id=creator_id))
    for action in table:
        if action.startswith(f'{kind}s:'):
            continue  # no thing is asked about
        assert not secure.allowed(who(('member', 'reader'), user_id), action, target)
        assert not legacy.allowed(who(('creator', 'observer', 'audit'), user_id), action, target)


@pytest.mark.parametrize(('user_id', 'creator_id'), [
    (None, None), (None, ''), (None, 'None'), ('', None), ('None', None)])
def test_nobody_in_particular_owns_no_private_secret_of_the_own_project(
        secure, legacy, user_id, creator_id):
    target = described('secret', Row(creator_id=creator_id, project_access=False))
    assert not secure.allowed(who(('member', 'reader'), user_id), 'secret:decrypt', target)
    assert not legacy.allowed(who(('creator',), user_id), 'secret:decrypt', target)


@pytest.mark.parametrize('user_id', [None, '', 'None'])
def test_nobody_in_particular_sees_no_private_secrets_listed(secure, legacy, user_id):
    assert not secure.sees_private(who(('member',), user_id), 'secret')
    assert not legacy.sees_private(who(('creator',), user_id), 'secret')


def test_roles_and_ids_that_look_like_rules_are_only_names(secure):
    for user_id in ('%(target.secret.creator_id)s', 'rule:admin', '@'):
        target = described('secret', Row(creator_id='%(user_id)s', project_access=False))
        assert not secure.allowed(who(('member',), user_id), 'secret:decrypt', target)
    assert not secure.allowed(who(('rule:admin', '@', 'admin,member')), 'secret:get',
                              described('secret', Row()))


def test_the_case_of_an_id_matters(secure):
    row = Row(creator_id=ME.upper(), project_access=False)
    assert not secure.allowed(who(('member',)), 'secret:get', described('secret', row))
    assert not secure.allowed(who(('member',), project_id=MINE.upper()), 'secret:get',
                              described('secret', Row()))


def test_a_policy_file_that_is_named_must_be_there(folder):
    conf = write_conf(folder, {'oslo_policy': {'policy_file': folder / 'none.yaml'}})
    with pytest.raises(Misconfigured, match=r'none\.yaml is not there'):
        Policy(load(files=[str(conf)]))


def test_a_rule_that_asks_another_server_is_refused(folder):
    with pytest.raises(Misconfigured, match='asks another server'):
        overridden(folder, '"secret:get": "http://127.0.0.1:9/%(target.secret.project_id)s"')
