# SPDX-License-Identifier: Apache-2.0
"""Who may do what to which secret: section 14 of the contract, asked of both sets of rules in full."""
from itertools import product
from typing import NamedTuple

import pytest
from oslo_policy.policy import DocumentedRuleDefault

from km.acl.decision import Policy
from km.acl.policies import list_rules
from km.acl.targets import NOTHING, described
from km.conf.load import load
from km.errors import Misconfigured
from km.identity import Identity
from km.testing.application import write_conf

MINE, THEIRS = 'alpha', 'beta'
ME, SOMEBODY = 'ann', 'bob'
ACTIONS = [rule.name for rule in list_rules() if isinstance(rule, DocumentedRuleDefault)]


class Row(NamedTuple):
    """What the database says of a secret, as far as the rules go."""

    project_id: str = MINE
    creator_id: str | None = SOMEBODY
    project_access: bool = True
    read_by_acl: bool = False


class Asked:
    """One question, in the short-hands of the contract's table."""

    def __init__(self, roles, row):
        self.roles, self.row = roles, row
        self.P = row.project_id == MINE
        self.own = row.creator_id == ME
        self.open = row.project_access
        self.acl = row.read_by_acl

    def one_of(self, *roles):
        return any(role in self.roles for role in roles)

    def any_role(self):
        return self.one_of('admin', 'creator', 'observer', 'audit', 'key-manager:service-admin')

    def all_but_audit(self):  # nor the service admin, who manages the service and no secrets
        return self.one_of('admin', 'creator', 'observer')

    def creators_own(self):
        return self.one_of('creator') and self.P and self.own


def always(asked):
    return True


def member(asked):
    return asked.one_of('member')


def use(asked):
    return asked.P and (asked.one_of('admin') or (member(asked) and (asked.own or asked.open)))


def use_or_acl(asked):
    return use(asked) or asked.acl


def any_admin_or_use(asked):
    return asked.one_of('admin') or use(asked)


def any_admin_or_use_or_acl(asked):
    return asked.one_of('admin') or use_or_acl(asked)


SECURE = {
    'version:get': always,
    'secrets:get': member,
    'secrets:post': member,
    'secret:get': any_admin_or_use_or_acl,
    'secret:decrypt': use_or_acl,
    'secret:put': use,
    'secret:delete': any_admin_or_use,
    'secret_meta:get': use_or_acl,
    'secret_meta:post': use,
    'secret_meta:put': use,
    'secret_meta:delete': use,
    'secret_acls:get': use,
    'secret_acls:put_patch': use,
    'secret_acls:delete': use,
}


def legacy_list(asked):
    return asked.one_of('admin', 'creator', 'observer')


def legacy_create(asked):
    return asked.one_of('admin', 'creator')


def legacy_named(asked):
    return asked.creators_own() or (asked.one_of('admin') and asked.P) or asked.acl


def legacy_read(asked):
    return (asked.any_role() and asked.P and asked.open) or legacy_named(asked)


def legacy_decrypt(asked):
    return (asked.all_but_audit() and asked.P and asked.open) or legacy_named(asked)


def legacy_upload(asked):
    return asked.one_of('admin', 'creator') and asked.P


def legacy_change(asked):
    return (asked.one_of('admin') and asked.P) or asked.creators_own() or (
        asked.one_of('creator') and asked.P and asked.open)


def legacy_acl_read(asked):
    return asked.all_but_audit() and asked.P


LEGACY = {
    'version:get': always,
    'secrets:get': legacy_list,
    'secrets:post': legacy_create,
    'secret:get': legacy_read,
    'secret:decrypt': legacy_decrypt,
    'secret:put': legacy_upload,
    'secret:delete': legacy_change,
    'secret_meta:get': legacy_read,
    'secret_meta:post': legacy_change,
    'secret_meta:put': legacy_change,
    'secret_meta:delete': legacy_change,
    'secret_acls:get': legacy_acl_read,
    'secret_acls:put_patch': legacy_change,
    'secret_acls:delete': legacy_change,
}

ROLES = [
    (), ('reader',), ('member',), ('member', 'reader'), ('admin', 'member', 'reader'),
    ('admin', 'manager', 'member', 'reader'), ('admin',), ('creator',), ('observer',), ('audit',),
    ('key-manager:service-admin',), ('creator', 'audit'), ('a role of another service',)]

#: Project and creator, twice each; private or not; named in the ACL or not.
ROWS = [Row(*values) for values in product(
    (MINE, THEIRS), (ME, SOMEBODY), (True, False), (True, False))]


def policy(folder, **oslo_policy):
    return Policy(load(files=[str(write_conf(folder, {'oslo_policy': oslo_policy}))]))


def overridden(folder, text):
    file = folder / 'policy.yaml'
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return policy(folder, policy_file=file)


@pytest.fixture(scope='module')
def secure(tmp_path_factory):
    return policy(tmp_path_factory.mktemp('secure', numbered=True))


@pytest.fixture(scope='module')
def legacy(tmp_path_factory):
    return policy(tmp_path_factory.mktemp('legacy', numbered=True), enforce_new_defaults='false')


def who(roles, user_id=ME, project_id=MINE):
    return Identity(user_id=user_id, project_id=project_id, roles=roles)


def wrong_answers(rules, expected, action):
    """Where the rules do not say what the table says, in words."""
    return [f'{roles} on {row}: expected {wanted}'
            for roles in ROLES for row in ROWS
            if rules.allowed(who(roles), action, described('secret', row))
            is not (wanted := bool(expected[action](Asked(roles, row))))]


def test_the_tables_here_have_every_action_there_is():
    assert sorted(SECURE) == sorted(LEGACY) == sorted(ACTIONS)


@pytest.mark.parametrize('action', SECURE)
def test_the_secure_rules_are_those_of_the_contract(secure, action):
    assert wrong_answers(secure, SECURE, action) == []


@pytest.mark.parametrize('action', LEGACY)
def test_the_legacy_rules_are_those_of_the_contract(legacy, action):
    assert wrong_answers(legacy, LEGACY, action) == []


@pytest.mark.parametrize('roles', ROLES)
def test_nobody_may_do_what_has_no_rule(secure, legacy, roles):
    for row in ROWS:
        assert not secure.allowed(who(roles), 'secret:burn', described('secret', row))
        assert not legacy.allowed(who(roles), 'secret:burn', described('secret', row))


@pytest.mark.parametrize('action', [name for name in ACTIONS if name.startswith('secret_')] + [
    'secret:decrypt', 'secret:put'])
def test_without_a_target_an_action_on_a_secret_is_refused(secure, legacy, action):
    for roles in (('admin', 'member', 'reader'), ('creator',)):
        assert not secure.allowed(who(roles), action, NOTHING)
        assert not legacy.allowed(who(roles), action, NOTHING) or action == 'secret_acls:get'


def test_only_the_admin_of_the_own_project_sees_private_secrets_listed(secure, legacy):
    for roles in ROLES:
        assert secure.sees_private(who(roles), 'secret') is ('admin' in roles)
        assert legacy.sees_private(who(roles), 'secret') is ('admin' in roles)


def test_a_rule_in_policy_yaml_changes_its_action_and_no_other(folder):
    rules = overridden(folder, '"secret:delete": "rule:secret_project_admin"\n')

    def project_admin(asked):
        return asked.P and asked.one_of('admin')

    for action in ACTIONS:
        assert wrong_answers(rules, {**SECURE, 'secret:delete': project_admin}, action) == []


def test_a_base_rule_in_policy_yaml_changes_every_action_that_uses_it(folder):
    rules = overridden(folder, '"secret_is_not_private": "!"\n')
    assert not rules.allowed(who(('member',)), 'secret:get', described('secret', Row()))
    assert not rules.allowed(who(('member',)), 'secret_acls:get', described('secret', Row()))
    assert rules.allowed(who(('member',)), 'secret:get', described('secret', Row(creator_id=ME)))


def test_an_empty_policy_yaml_leaves_the_defaults(folder):
    rules = overridden(folder, '# nothing yet\n')
    for action in ACTIONS:
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
def test_nobody_in_particular_owns_nothing_of_another_project(secure, legacy, user_id, creator_id):
    target = described('secret', Row(project_id=THEIRS, creator_id=creator_id))
    for action in ACTIONS:
        if action in ('version:get', 'secrets:get', 'secrets:post'):
            continue
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
