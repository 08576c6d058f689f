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

_KINDS = ('secret', 'container')

_SECURE_BASES = [
    ('reader', 'role:reader'),
    ('member', 'role:member'),
    ('admin', 'role:admin'),
    ('order_project_match', 'project_id:%(target.order.project_id)s'),
    ('order_project_member', 'rule:member and rule:order_project_match'),
    ('certificate_project_match', 'project_id:%(target.certificate.project_id)s'),
    ('certificate_project_member', 'rule:member and rule:certificate_project_match'),
    ('ca_project_match', 'project_id:%(target.ca.project_id)s'),
    ('ca_is_shared', 'True:%(target.ca.is_shared)s'),
    ('ca_project_use', 'rule:ca_is_shared or rule:ca_project_match'),
]
for _kind in _KINDS:
    _SECURE_BASES += [
        (f'{_kind}_project_match', f'project_id:%(target.{_kind}.project_id)s'),
        (f'{_kind}_project_reader', f'rule:reader and rule:{_kind}_project_match'),
        (f'{_kind}_project_member', f'rule:member and rule:{_kind}_project_match'),
        (f'{_kind}_project_admin', f'rule:admin and rule:{_kind}_project_match'),
        (f'{_kind}_owner', f'user_id:%(target.{_kind}.creator_id)s'),
        (f'{_kind}_is_not_private', f'True:%(target.{_kind}.read_project_access)s'),
        (f'{_kind}_acl_read', f"'read':%(target.{_kind}.read)s"),
        (f'{_kind}_project_use',
         f'rule:{_kind}_project_admin or (rule:{_kind}_project_member and '
         f'(rule:{_kind}_owner or rule:{_kind}_is_not_private))'),
        (f'{_kind}_project_use_or_acl', f'rule:{_kind}_project_use or rule:{_kind}_acl_read'),
    ]

_LEGACY_BASES = [
    ('admin', 'role:admin'),
    ('observer', 'role:observer'),
    ('creator', 'role:creator'),
    ('audit', 'role:audit'),
    ('service_admin', 'role:key-manager:service-admin'),
    ('admin_or_creator', 'rule:admin or rule:creator'),
    ('all_but_audit', 'rule:admin or rule:observer or rule:creator'),
    ('all_users', 'rule:all_but_audit or rule:audit or rule:service_admin'),
    ('order_project_match', 'project_id:%(target.order.project_id)s'),
    ('certificate_project_match', 'project_id:%(target.certificate.project_id)s'),
    ('ca_project_match', 'project_id:%(target.ca.project_id)s'),
    ('ca_is_shared', 'True:%(target.ca.is_shared)s'),
    ('ca_project_use', 'rule:ca_is_shared or rule:ca_project_match'),
]
for _kind in _KINDS:
    _LEGACY_BASES += [
        (f'{_kind}_project_match', f'project_id:%(target.{_kind}.project_id)s'),
        (f'{_kind}_owner', f'user_id:%(target.{_kind}.creator_id)s'),
        (f'{_kind}_is_not_private', f'True:%(target.{_kind}.read_project_access)s'),
        (f'{_kind}_acl_read', f"'read':%(target.{_kind}.read)s"),
        (f'{_kind}_project_admin', f'rule:admin and rule:{_kind}_project_match'),
        (f'{_kind}_project_creator',
         f'rule:creator and rule:{_kind}_project_match and rule:{_kind}_owner'),
        (f'{_kind}_project_creator_role', f'rule:creator and rule:{_kind}_project_match'),
        (f'{_kind}_non_private_read',
         f'rule:all_users and rule:{_kind}_project_match and rule:{_kind}_is_not_private'),
        (f'{_kind}_private_read',
         f'rule:{_kind}_project_creator or rule:{_kind}_project_admin or rule:{_kind}_acl_read'),
        (f'{_kind}_change',
         f'rule:{_kind}_project_admin or rule:{_kind}_project_creator or '
         f'(rule:{_kind}_project_creator_role and rule:{_kind}_is_not_private)'),
    ]
_LEGACY_BASES.append((
    'secret_decrypt_non_private_read',
    'rule:all_but_audit and rule:secret_project_match and rule:secret_is_not_private'))

_LEGACY_READ = 'rule:secret_non_private_read or rule:secret_private_read'
_LEGACY_CONTAINER_READ = 'rule:container_non_private_read or rule:container_private_read'

#: Of a CA that is nobody's own, or the own project's.
_READ_CA, _LEGACY_READ_CA = (f'rule:{role} and rule:ca_project_use' for role in ('reader', 'all_users'))
_CHANGE_CA = 'rule:admin and rule:ca_project_use'

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
                       'rule:secret_decrypt_non_private_read or rule:secret_private_read'),
    'secret:put': ('Give a secret its payload.', 'rule:secret_project_use',
                   'rule:admin_or_creator and rule:secret_project_match'),
    'secret:delete': ('Delete a secret.', 'rule:admin or rule:secret_project_use',
                      'rule:secret_change'),
    'secret:move': ("Move a secret's payload to another secret store.", 'rule:secret_project_admin',
                    'rule:secret_project_admin'),
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
    'secret_consumers:get': ('List the consumers of a secret.', 'rule:secret_project_use_or_acl',
                             _LEGACY_READ),
    'secret_consumers:post': ('Register a consumer of a secret.', 'rule:secret_project_use_or_acl',
                              _LEGACY_READ),
    'secret_consumers:delete': ('Remove a consumer of a secret.', 'rule:secret_project_use_or_acl',
                                _LEGACY_READ),

    'containers:get': ('List containers of the own project.', 'rule:member', 'rule:all_but_audit'),
    'containers:post': ('Create a container.', 'rule:member', 'rule:admin_or_creator'),
    'container:get': ('Read a container.', 'rule:container_project_use_or_acl',
                      _LEGACY_CONTAINER_READ),
    'container:delete': ('Delete a container; its secrets stay.', 'rule:container_project_use',
                         'rule:container_project_admin or rule:container_project_creator'),
    'container_secret:post': ('Add a secret to a container.', 'rule:container_project_use',
                              'rule:container_change'),
    'container_secret:delete': ('Remove a secret from a container.', 'rule:container_project_use',
                                'rule:container_change'),
    'container_acls:get': ('Read the ACL of a container.', 'rule:container_project_use',
                           'rule:all_but_audit and rule:container_project_match'),
    'container_acls:put_patch': ('Change the ACL of a container.', 'rule:container_project_use',
                                 'rule:container_change'),
    'container_acls:delete': ('Remove the ACL of a container.', 'rule:container_project_use',
                              'rule:container_change'),
    'container_consumers:get': ('List the consumers of a container.',
                                'rule:container_project_use_or_acl', _LEGACY_CONTAINER_READ),
    'container_consumers:post': ('Register a consumer of a container.',
                                 'rule:container_project_use_or_acl', _LEGACY_CONTAINER_READ),
    'container_consumers:delete': ('Remove a consumer of a container.',
                                   'rule:container_project_use_or_acl', _LEGACY_CONTAINER_READ),
    'consumer:get': ('Read a consumer of a secret or of a container.',
                     'rule:secret_project_use_or_acl or rule:container_project_use_or_acl',
                     f'{_LEGACY_READ} or {_LEGACY_CONTAINER_READ}'),

    'orders:get': ('List orders of the own project.', 'rule:member', 'rule:all_but_audit'),
    'orders:post': ('Place an order.', 'rule:member', 'rule:admin_or_creator'),
    'order:get': ('Read an order.', 'rule:order_project_member',
                  'rule:all_users and rule:order_project_match'),
    'order:delete': ('Delete an order; what it made stays.', 'rule:order_project_member',
                     'rule:admin and rule:order_project_match'),
    'order:approve': ('Approve an order of a certificate that somebody else has placed.',
                      'rule:admin and rule:order_project_match',
                      'rule:admin and rule:order_project_match'),
    'order:cancel': ('Give up a pending order of a certificate.', 'rule:order_project_member',
                     'rule:admin_or_creator and rule:order_project_match'),
    'order:revoke': ('Revoke what an order of a certificate made.', 'rule:order_project_member',
                     'rule:admin_or_creator and rule:order_project_match'),

    'certificates:get': ('List the certificates of the own project.', 'rule:member',
                         'rule:all_but_audit'),
    'certificate:get': ('Read how a certificate stands.', 'rule:certificate_project_member',
                        'rule:all_users and rule:certificate_project_match'),
    'certificate:renew': ('Renew a certificate now.', 'rule:certificate_project_member',
                          'rule:admin_or_creator and rule:certificate_project_match'),
    'certificate:revoke': ('Revoke a certificate.', 'rule:certificate_project_member',
                           'rule:admin_or_creator and rule:certificate_project_match'),

    'quotas:get': ('Read the quotas that hold for the own project.', 'rule:reader',
                   'rule:all_users'),
    'project_quotas:get': ("Read any project's quotas, or list all.", 'rule:admin',
                           'rule:service_admin'),
    'project_quotas:put': ("Set any project's quotas.", 'rule:admin', 'rule:service_admin'),
    'project_quotas:delete': ("Remove any project's quotas: the defaults hold again.", 'rule:admin',
                              'rule:service_admin'),

    'secretstores:get': ('List the secret stores.', 'rule:reader', 'rule:all_users'),
    'secretstores:get_global_default': ('Read which secret store is the default.', 'rule:reader',
                                        'rule:all_users'),
    'secretstores:get_preferred': ('Read which secret store the own project prefers.', 'rule:reader',
                                   'rule:all_users'),
    'secretstores:get_preferred_of_project': ('Read which secret store any project prefers.',
                                              'rule:admin', 'rule:service_admin'),
    'secretstore:get': ('Read a secret store.', 'rule:reader', 'rule:all_users'),
    'secretstore_preferred:post': ('Choose the secret store of the own project.', 'rule:admin',
                                   'rule:admin'),
    'secretstore_preferred:delete': ('Take back that choice.', 'rule:admin', 'rule:admin'),
    'secretstore_preferred:post_of_project': ('Choose the secret store of any project.', 'rule:admin',
                                              'rule:service_admin'),
    'secretstore_preferred:delete_of_project': ('Take back that choice, for any project.',
                                                'rule:admin', 'rule:service_admin'),

    'transport_keys:get': ('List the transport keys, or read the one to use.', 'rule:reader',
                           'rule:all_users'),
    'transport_keys:post': ('Add a transport key.', 'rule:admin', 'rule:service_admin'),
    'transport_key:get': ('Read a transport key.', 'rule:reader', 'rule:all_users'),
    'transport_key:delete': ('Remove a transport key.', 'rule:admin', 'rule:service_admin'),

    'certificate_authorities:get_limited': ('List the CAs that the own project may use.', 'rule:reader',
                                            'rule:all_users'),
    'certificate_authorities:get_all': ('List the CAs of all projects.', 'rule:admin', 'rule:admin'),
    'certificate_authorities:post': ('Have a subordinate CA made for the own project.', 'rule:admin',
                                     'rule:admin'),
    'certificate_authorities:get_preferred_ca': ('Read which CA the own project prefers.',
                                                 'rule:reader', 'rule:all_users'),
    'certificate_authorities:get_global_preferred_ca': ('Read which CA is preferred for all projects.',
                                                        'rule:admin', 'rule:service_admin'),
    'certificate_authorities:unset_global_preferred': ('Have no CA preferred for all projects.',
                                                       'rule:admin', 'rule:service_admin'),
    'certificate_authority:get': ('Read a CA.', _READ_CA, _LEGACY_READ_CA),
    'certificate_authority:delete': ('Delete a subordinate CA of the own project.', _CHANGE_CA,
                                     _CHANGE_CA),
    'certificate_authority:get_cacert': ('Read the certificate of a CA.', _READ_CA, _LEGACY_READ_CA),
    'certificate_authority:get_ca_cert_chain': ('Read the certificates above that of a CA.', _READ_CA,
                                                _LEGACY_READ_CA),
    'certificate_authority:get_projects': ('Read which projects have chosen a CA.', 'rule:admin',
                                           'rule:service_admin'),
    'certificate_authority:add_to_project': ('Have the own project choose a CA.', _CHANGE_CA,
                                             _CHANGE_CA),
    'certificate_authority:remove_from_project': ('Have the own project choose a CA no more.',
                                                  _CHANGE_CA, _CHANGE_CA),
    'certificate_authority:set_preferred': ('Choose the preferred CA of the own project.', _CHANGE_CA,
                                            _CHANGE_CA),
    'certificate_authority:set_global_preferred': ('Choose the CA that is preferred for all projects.',
                                                   'rule:admin', 'rule:service_admin'),
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
