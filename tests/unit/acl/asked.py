# SPDX-License-Identifier: Apache-2.0
"""What is asked of the rules, and the answers in the short-hands of section 14.1 of the contract.

The tables are in ``test_*_rules.py``, a file a target; each is asked of all roles and all rows.
"""
from itertools import product
from typing import NamedTuple

from km.acl.targets import NOTHING, described
from km.identity import Identity

MINE, THEIRS = 'alpha', 'beta'
ME, SOMEBODY = 'ann', 'bob'


class Row(NamedTuple):
    """What the database says of a thing, as far as the rules go."""

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


# ---- the secure rules


def reader(asked):
    return asked.one_of('reader')


def member(asked):
    return asked.one_of('member')


def admin(asked):
    return asked.one_of('admin')


def use(asked):
    return asked.P and (admin(asked) or (member(asked) and (asked.own or asked.open)))


def use_or_acl(asked):
    return use(asked) or asked.acl


def any_admin_or_use(asked):
    return admin(asked) or use(asked)


def any_admin_or_use_or_acl(asked):
    return admin(asked) or use_or_acl(asked)


def projects_member(asked):
    return asked.P and member(asked)


# ---- the legacy rules


def any_role(asked):
    return asked.any_role()


def service_admin(asked):
    return asked.one_of('key-manager:service-admin')


def legacy_list(asked):
    return asked.all_but_audit()


def legacy_create(asked):
    return asked.one_of('admin', 'creator')


def legacy_named(asked):
    return legacy_own(asked) or asked.acl


def legacy_read(asked):
    return (asked.any_role() and asked.P and asked.open) or legacy_named(asked)


def legacy_decrypt(asked):
    return (asked.all_but_audit() and asked.P and asked.open) or legacy_named(asked)


def legacy_upload(asked):
    return legacy_create(asked) and asked.P


def legacy_own(asked):
    return (admin(asked) and asked.P) or asked.creators_own()


def legacy_change(asked):
    return legacy_own(asked) or (asked.one_of('creator') and asked.P and asked.open)


def legacy_acl_read(asked):
    return asked.all_but_audit() and asked.P


def projects_any_role(asked):
    return asked.any_role() and asked.P


def projects_admin(asked):
    return admin(asked) and asked.P


# ---- who asks about what


ROLES = [
    (), ('reader',), ('member',), ('member', 'reader'), ('admin', 'member', 'reader'),
    ('admin', 'manager', 'member', 'reader'), ('admin',), ('creator',), ('observer',), ('audit',),
    ('key-manager:service-admin',), ('creator', 'audit'), ('a role of another service',)]

#: Project and creator, twice each; private or not; named in the ACL or not.
ROWS = [Row(*values) for values in product(
    (MINE, THEIRS), (ME, SOMEBODY), (True, False), (True, False))]


def who(roles, user_id=ME, project_id=MINE):
    return Identity(user_id=user_id, project_id=project_id, roles=roles)


def wrong_answers(rules, expected, action, kind='secret'):
    """Where the rules do not say what a table says, in words.

    :param kind: of the thing that is asked about; None for nothing.
    """
    return [f'{roles} on {row}: expected {wanted}'
            for roles in ROLES for row in ROWS
            if rules.allowed(who(roles), action, described(kind, row) if kind else NOTHING)
            is not (wanted := bool(expected[action](Asked(roles, row))))]
