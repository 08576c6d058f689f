# SPDX-License-Identifier: Apache-2.0
"""Every route of the API, the action that ``policy.yaml`` knows it by, and its name in a sentence.

What has no rule here does not exist. ``{secret_id}``, ``{container_id}``, ``{order_id}``,
``{certificate_id}`` or ``{ca_id}`` in a path makes that thing the target.
"""
from typing import NamedTuple

from km.errors import KmError


class NoSuchMethod(KmError):
    """The path has rules, but none for this method.

    :param allowed: the methods it has rules for.
    """

    def __init__(self, allowed: list[str]):
        super().__init__('')
        self.allowed = allowed


class Rule(NamedTuple):
    """What one method on one path is.

    :param path: below ``/v1/``, with the names of its ids in braces.
    :param operation: how errors and the audit record call it; a constant of the API contract.
    :param audited: whether it is in the audit record when it was allowed. Denials always are.
    :param json: False for what a GET means when the client does not accept JSON.
    """

    method: str
    path: str
    action: str
    operation: str
    audited: bool = False
    json: bool = True


SECRET_DECRYPT = 'secret:decrypt'
SECRET_GET = 'secret:get'
SECRETS_GET = 'secrets:get'
CONTAINER_GET = 'container:get'
CONTAINERS_GET = 'containers:get'

RULES = (
    Rule('GET', '', 'version:get', 'Version retrieval'),

    Rule('GET', 'secrets', SECRETS_GET, 'Secret(s) retrieval'),
    Rule('POST', 'secrets', 'secrets:post', 'Secret creation', True),
    Rule('GET', 'secrets/{secret_id}', SECRET_GET, 'Secret retrieval'),
    # Deprecated, and the way Ceph's gateway reads its keys.
    Rule('GET', 'secrets/{secret_id}', SECRET_DECRYPT, 'Secret payload retrieval', True, json=False),
    Rule('PUT', 'secrets/{secret_id}', 'secret:put', 'Secret update', True),
    Rule('DELETE', 'secrets/{secret_id}', 'secret:delete', 'Secret deletion', True),
    Rule('GET', 'secrets/{secret_id}/payload', SECRET_DECRYPT, 'Secret payload retrieval', True),
    Rule('PUT', 'secrets/{secret_id}/secret-store/{store_id}', 'secret:move', 'Secret move', True),

    Rule('GET', 'secrets/{secret_id}/metadata', 'secret_meta:get', 'Secret metadata retrieval'),
    Rule('PUT', 'secrets/{secret_id}/metadata', 'secret_meta:put', 'Secret metadata creation'),
    Rule('POST', 'secrets/{secret_id}/metadata', 'secret_meta:post', 'Secret metadatum creation'),
    Rule('GET', 'secrets/{secret_id}/metadata/{key}', 'secret_meta:get',
         'Secret metadatum retrieval'),
    Rule('PUT', 'secrets/{secret_id}/metadata/{key}', 'secret_meta:put',
         'Secret metadatum update'),
    Rule('POST', 'secrets/{secret_id}/metadata/{key}', 'secret_meta:post',
         'Secret metadatum creation'),
    Rule('DELETE', 'secrets/{secret_id}/metadata/{key}', 'secret_meta:delete',
         'Secret metadatum removal'),

    Rule('GET', 'secrets/{secret_id}/acl', 'secret_acls:get', 'SecretACL(s) retrieval'),
    Rule('PUT', 'secrets/{secret_id}/acl', 'secret_acls:put_patch', 'SecretACL(s) Update', True),
    Rule('PATCH', 'secrets/{secret_id}/acl', 'secret_acls:put_patch', 'SecretACL(s) Update', True),
    Rule('DELETE', 'secrets/{secret_id}/acl', 'secret_acls:delete', 'SecretACL(s) deletion', True),

    Rule('GET', 'secrets/{secret_id}/consumers', 'secret_consumers:get', 'SecretConsumers(s) retrieval'),
    Rule('POST', 'secrets/{secret_id}/consumers', 'secret_consumers:post', 'SecretConsumer creation'),
    Rule('DELETE', 'secrets/{secret_id}/consumers', 'secret_consumers:delete',
         'SecretConsumer deletion'),
    Rule('GET', 'secrets/{secret_id}/consumers/{consumer_id}', 'consumer:get',
         'SecretConsumer retrieval'),

    Rule('GET', 'containers', CONTAINERS_GET, 'Containers(s) retrieval'),
    Rule('POST', 'containers', 'containers:post', 'Container(s) creation'),
    Rule('GET', 'containers/{container_id}', CONTAINER_GET, 'Container retrieval'),
    Rule('DELETE', 'containers/{container_id}', 'container:delete', 'Container deletion', True),
    Rule('POST', 'containers/{container_id}/secrets', 'container_secret:post',
         'Container Secret creation'),
    Rule('DELETE', 'containers/{container_id}/secrets', 'container_secret:delete',
         'Container Secret deletion'),

    Rule('GET', 'containers/{container_id}/acl', 'container_acls:get', 'ContainerACL(s) retrieval'),
    Rule('PUT', 'containers/{container_id}/acl', 'container_acls:put_patch', 'ContainerACL(s) Update',
         True),
    Rule('PATCH', 'containers/{container_id}/acl', 'container_acls:put_patch', 'ContainerACL(s) Update',
         True),
    Rule('DELETE', 'containers/{container_id}/acl', 'container_acls:delete', 'ContainerACL(s) deletion',
         True),

    Rule('GET', 'containers/{container_id}/consumers', 'container_consumers:get',
         'ContainerConsumers(s) retrieval'),
    Rule('POST', 'containers/{container_id}/consumers', 'container_consumers:post',
         'ContainerConsumer creation'),
    Rule('DELETE', 'containers/{container_id}/consumers', 'container_consumers:delete',
         'ContainerConsumer deletion'),
    Rule('GET', 'containers/{container_id}/consumers/{consumer_id}', 'consumer:get',
         'ContainerConsumer retrieval'),

    Rule('GET', 'orders', 'orders:get', 'Order(s) retrieval'),
    Rule('POST', 'orders', 'orders:post', 'Order creation', True),
    Rule('GET', 'orders/{order_id}', 'order:get', 'Order retrieval'),
    Rule('DELETE', 'orders/{order_id}', 'order:delete', 'Order deletion', True),
    Rule('POST', 'orders/{order_id}/approve', 'order:approve', 'Order approval', True),
    Rule('POST', 'orders/{order_id}/cancel', 'order:cancel', 'Order cancellation', True),
    Rule('POST', 'orders/{order_id}/revoke', 'order:revoke', 'Certificate revocation', True),

    Rule('GET', 'certificates', 'certificates:get', 'Certificate(s) retrieval'),
    Rule('GET', 'certificates/{certificate_id}', 'certificate:get', 'Certificate retrieval'),
    Rule('POST', 'certificates/{certificate_id}/renew', 'certificate:renew', 'Certificate renewal',
         True),
    Rule('POST', 'certificates/{certificate_id}/revoke', 'certificate:revoke',
         'Certificate revocation', True),

    Rule('GET', 'quotas', 'quotas:get', 'Quotas'),
    Rule('GET', 'project-quotas', 'project_quotas:get', 'Project Quotas'),
    Rule('GET', 'project-quotas/{project_id}', 'project_quotas:get', 'Project Quotas'),
    Rule('PUT', 'project-quotas/{project_id}', 'project_quotas:put', 'Project Quotas', True),
    Rule('DELETE', 'project-quotas/{project_id}', 'project_quotas:delete', 'Project Quotas', True),

    Rule('GET', 'secret-stores', 'secretstores:get', 'List available secret stores'),
    Rule('GET', 'secret-stores/global-default', 'secretstores:get_global_default',
         'List available secret stores'),
    Rule('GET', 'secret-stores/preferred', 'secretstores:get_preferred',
         'List available secret stores'),
    Rule('GET', 'secret-stores/preferred/{project_id}', 'secretstores:get_preferred_of_project',
         'List available secret stores'),
    Rule('GET', 'secret-stores/{store_id}', 'secretstore:get', 'List available secret stores'),
    Rule('POST', 'secret-stores/{store_id}/preferred', 'secretstore_preferred:post',
         'Setting preferred secret store', True),
    Rule('DELETE', 'secret-stores/{store_id}/preferred', 'secretstore_preferred:delete',
         'Removing preferred secret store', True),
    Rule('POST', 'secret-stores/{store_id}/preferred/{project_id}',
         'secretstore_preferred:post_of_project', 'Setting preferred secret store', True),
    Rule('DELETE', 'secret-stores/{store_id}/preferred/{project_id}',
         'secretstore_preferred:delete_of_project', 'Removing preferred secret store', True),

    Rule('GET', 'transport_keys', 'transport_keys:get', 'Transport Key(s) retrieval'),
    Rule('POST', 'transport_keys', 'transport_keys:post', 'Transport Key Creation', True),
    Rule('GET', 'transport_keys/{transport_key_id}', 'transport_key:get', 'Transport Key(s) retrieval'),
    Rule('DELETE', 'transport_keys/{transport_key_id}', 'transport_key:delete',
         'Transport Key deletion', True),
    Rule('GET', 'transport_key', 'transport_keys:get', 'Transport Key(s) retrieval'),

    Rule('GET', 'cas', 'certificate_authorities:get_limited', 'CA(s) retrieval'),
    Rule('POST', 'cas', 'certificate_authorities:post', 'CA creation', True),
    Rule('GET', 'cas/all', 'certificate_authorities:get_all', 'CA(s) retrieval'),
    Rule('GET', 'cas/preferred', 'certificate_authorities:get_preferred_ca', 'Preferred CA retrieval'),
    Rule('GET', 'cas/global-preferred', 'certificate_authorities:get_global_preferred_ca',
         'Global preferred CA retrieval'),
    Rule('POST', 'cas/unset-global-preferred', 'certificate_authorities:unset_global_preferred',
         'Removing global preferred CA', True),
    Rule('GET', 'cas/{ca_id}', 'certificate_authority:get', 'CA retrieval'),
    Rule('DELETE', 'cas/{ca_id}', 'certificate_authority:delete', 'CA deletion', True),
    Rule('GET', 'cas/{ca_id}/cacert', 'certificate_authority:get_cacert', 'CA certificate retrieval'),
    Rule('GET', 'cas/{ca_id}/intermediates', 'certificate_authority:get_ca_cert_chain',
         'CA chain retrieval'),
    Rule('GET', 'cas/{ca_id}/projects', 'certificate_authority:get_projects', 'CA projects retrieval'),
    Rule('POST', 'cas/{ca_id}/add-to-project', 'certificate_authority:add_to_project',
         'Adding CA to project', True),
    Rule('POST', 'cas/{ca_id}/remove-from-project', 'certificate_authority:remove_from_project',
         'Removing CA from project', True),
    Rule('POST', 'cas/{ca_id}/set-preferred', 'certificate_authority:set_preferred',
         'Setting preferred CA', True),
    Rule('POST', 'cas/{ca_id}/set-global-preferred', 'certificate_authority:set_global_preferred',
         'Setting global preferred CA', True),
)

#: What is said of a name below a path that has no rule; elsewhere it is nothing.
MISSING = {'cas/{ca_id}': 'CA attribute not found.'}
