# SPDX-License-Identifier: Apache-2.0
"""Every route of the API, the action that ``policy.yaml`` knows it by, and its name in a sentence.

What has no rule here does not exist. ``{secret_id}`` in a path makes that secret the target.
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
)
