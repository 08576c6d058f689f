# SPDX-License-Identifier: Apache-2.0
"""The default rule of every action, for oslo.policy; ``policy.yaml`` overrides any of them.

Two sets under the same names. The secure set is the default: Keystone's roles reader, member and
admin, of which Keystone makes the higher imply the lower. ``[oslo_policy] enforce_new_defaults =
false`` selects the legacy set, with its own roles: admin, creator, observer, audit and
key-manager:service-admin.

A rule sees the token (``role:``, ``project_id:``, ``user_id:``) and what the database says of the
target (``%(target.secret...)s``), and nothing of the request.
"""
from oslo_policy.policy import DocumentedRuleDefault, Operation, RuleDefault

from km.acl.rules import RULES

_SECURE_BASES = (
    ('reader', 'role:reader'),
    ('member', 'role:member'),
    ('admin', 'role:admin'),
    ('secret_project_match', 'project_id:%(target.secret.project_id)s'),
    ('secret_project_member', 'rule:member and rule:secret_project_match'),
    ('secret_project_admin', 'rule:admin and rule:secret_project_match'),
    ('secret_owner', 'user_id:%(target.secret.creator_id)s'),
    ('secret_is_not_private', 'True:%(target.secret.read_project_access)s'),
    ('secret_acl_read', "'read':%(target.secret.read)s"),
    ('secret_project_use', 'rule:secret_project_admin or (rule:secret_project_member and '
                           '(rule:secret_owner or rule:secret_is_not_private))'),
    ('secret_project_use_or_acl', 'rule:secret_project_use or rule:secret_acl_read'),
)

_LEGACY_BASES = (
    ('admin', 'role:admin'),
    ('observer', 'role:observer'),
    ('creator', 'role:creator'),
    ('audit', 'role:audit'),
    ('service_admin', 'role:key-manager:service-admin'),
    ('admin_or_creator', 'rule:admin or rule:creator'),
    ('all_but_audit', 'rule:admin or rule:observer or rule:creator'),
    ('all_users', 'rule:all_but_audit or rule:audit or rule:service_admin'),
    ('secret_project_match', 'project_id:%(target.secret.project_id)s'),
    ('secret_owner', 'user_id:%(target.secret.creator_id)s'),
    ('secret_is_not_private', 'True:%(target.secret.read_project_access)s'),
    ('secret_acl_read', "'read':%(target.secret.read)s"),
    ('secret_project_admin', 'rule:admin and rule:secret_project_match'),
    ('secret_project_creator', 'rule:creator and rule:secret_project_match and rule:secret_owner'),
    ('secret_project_creator_role', 'rule:creator and rule:secret_project_match'),
    ('secret_non_private_read',
     'rule:all_users and rule:secret_project_match and rule:secret_is_not_private'),
    ('secret_decrypt_non_private_read',
     'rule:all_but_audit and rule:secret_project_match and rule:secret_is_not_private'),
    ('secret_named_read',
     'rule:secret_project_creator or rule:secret_project_admin or rule:secret_acl_read'),
    ('secret_change', 'rule:secret_project_admin or rule:secret_project_creator or '
                      '(rule:secret_project_creator_role and rule:secret_is_not_private)'),
)

_LEGACY_READ = 'rule:secret_non_private_read or rule:secret_named_read'

#: action: (what it allows, secure default, legacy default)
_ACTIONS = {
    'version:get': ('Read the version document below /v1.', '', ''),
    'secrets:get': ('List secrets of the own project, and those shared by ACL.',
                    'rule:member', 'rule:all_but_audit'),
    'secrets:post': ('Create a secret.', 'rule:member', 'rule:admin_or_creator'),
    # The admin of any project, so that a cloud's admin can clear away a tenant's volume whose key
    # the tenant left behind. It never reaches secret:decrypt, and deletions are audited.
    'secret:get': ("Read a secret's metadata.",
                   'rule:admin or rule:secret_project_use_or_acl', _LEGACY_READ),
    'secret:decrypt': ("Read a secret's payload.", 'rule:secret_project_use_or_acl',
                       'rule:secret_decrypt_non_private_read or rule:secret_named_read'),
    'secret:put': ('Give a secret its payload.', 'rule:secret_project_use',
                   'rule:admin_or_creator and rule:secret_project_match'),
    'secret:delete': ('Delete a secret.', 'rule:admin or rule:secret_project_use',
                      'rule:secret_change'),
    'secret_meta:get': ('Read the user metadata of a secret.', 'rule:secret_project_use_or_acl',
                        _LEGACY_READ),
    'secret_meta:post': ('Add user metadata to a secret.', 'rule:secret_project_use',
                         'rule:secret_change'),
    'secret_meta:put': ('Change the user metadata of a secret.', 'rule:secret_project_use',
                        'rule:secret_change'),
    'secret_meta:delete': ('Remove user metadata of a secret.', 'rule:secret_project_use',
                           'rule:secret_change'),
    'secret_acls:get': ('Read the ACL of a secret.', 'rule:secret_project_use',
                        'rule:all_but_audit and rule:secret_project_match'),
    'secret_acls:put_patch': ('Change the ACL of a secret.', 'rule:secret_project_use',
                              'rule:secret_change'),
    'secret_acls:delete': ('Remove the ACL of a secret.', 'rule:secret_project_use',
                           'rule:secret_change'),
}


def list_rules(secure: bool = True) -> list[RuleDefault]:
    """Every rule of one set, for oslo.policy and its generators."""
    bases = _SECURE_BASES if secure else _LEGACY_BASES
    return [RuleDefault(name, check) for name, check in bases] + [
        DocumentedRuleDefault(
            name=action, check_str=secure_check if secure else legacy_check,
            description=description, operations=_operations(action))
        for action, (description, secure_check, legacy_check) in _ACTIONS.items()]


def _operations(action: str) -> list[Operation]:
    return [{'method': rule.method, 'path': f'/v1/{rule.path}'.rstrip('/')}
            for rule in RULES if rule.action == action]
