# SPDX-License-Identifier: Apache-2.0
"""The tables of a Barbican database, as far as km reads them.

Deleted rows stay, marked as such, until an operator has them cleaned away. Times are UTC without a
zone. ``project_id`` is an id of the table ``projects``, which alone has Keystone's (``external_id``).
"""
from typing import Any

import sqlalchemy as sa


def _table(called: str, /, **more: sa.types.TypeEngine[Any]) -> sa.TableClause:
    columns: dict[str, sa.types.TypeEngine[Any]] = {
        'id': sa.String(), 'created_at': sa.DateTime(), 'updated_at': sa.DateTime(),
        'deleted': sa.Boolean(), **more}
    return sa.table(called, *(sa.column(column, kind) for column, kind in columns.items()))


def _text(*names: str) -> dict[str, sa.types.TypeEngine[Any]]:
    return {name: sa.String() for name in names}


PROJECTS = _table('projects', **_text('external_id'))
SECRETS = _table(
    'secrets', expiration=sa.DateTime(), bit_length=sa.Integer(),
    **_text('project_id', 'status', 'name', 'secret_type', 'algorithm', 'mode', 'creator_id'))
#: ``cypher_text`` is base64 of what the back end named in the row of ``kek_id`` made of the payload.
ENCRYPTED_DATA = _table('encrypted_data', **_text(
    'secret_id', 'kek_id', 'content_type', 'cypher_text', 'kek_meta_extended'))
#: A project's key: ``plugin_meta`` is it, as the back end wrapped it.
KEK_DATA = _table('kek_data', **_text('plugin_name', 'plugin_meta'))
#: Keys are ``plugin_name`` and ``content_type``, and others of back ends that keep payloads themselves.
SECRET_STORE_METADATA = _table('secret_store_metadata', **_text('secret_id', 'key', 'value'))
SECRET_USER_METADATA = _table('secret_user_metadata', **_text('secret_id', 'key', 'value'))
SECRET_CONSUMERS = _table('secret_consumer_metadata', **_text(
    'secret_id', 'project_id', 'service', 'resource_type', 'resource_id'))
SECRET_ACLS = _table('secret_acls', project_access=sa.Boolean(), **_text('secret_id', 'operation'))
SECRET_ACL_USERS = _table('secret_acl_users', **_text('acl_id', 'user_id'))
CONTAINERS = _table('containers', **_text('project_id', 'status', 'name', 'type', 'creator_id'))
CONTAINER_SECRETS = _table('container_secret', **_text('container_id', 'secret_id', 'name'))
CONTAINER_CONSUMERS = _table(
    'container_consumer_metadata', **_text('container_id', 'project_id', 'name', 'URL'))
CONTAINER_ACLS = _table(
    'container_acls', project_access=sa.Boolean(), **_text('container_id', 'operation'))
CONTAINER_ACL_USERS = _table('container_acl_users', **_text('acl_id', 'user_id'))
QUOTAS = _table('project_quotas', project_id=sa.String(), **{
    name: sa.Integer() for name in ('secrets', 'orders', 'containers', 'consumers', 'cas')})

#: What no Barbican was ever without.
ESSENTIAL = PROJECTS, SECRETS, ENCRYPTED_DATA, KEK_DATA, SECRET_STORE_METADATA
#: What is counted and not brought over.
LEFT_BEHIND = tuple(_table(name) for name in (
    'orders', 'project_secret_store', 'transport_keys', 'certificate_authorities'))
