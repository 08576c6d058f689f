# SPDX-License-Identifier: Apache-2.0
"""Containers, consumers, orders, settings of projects, secret stores and transport keys."""
import sqlalchemy as sa
from alembic import op

from km.db.models import Id, Text, Time

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    op.create_table(
        'containers',
        sa.Column('id', Id, primary_key=True),
        sa.Column('project_id', Text, nullable=False),
        sa.Column('creator_id', Text),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('name', Text),
        sa.Column('type', sa.String(16), nullable=False),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
        sa.Column('project_access', sa.Boolean, nullable=False),
        sa.Column('acl_created', Time),
        sa.Column('acl_updated', Time),
    )
    op.create_index('ix_containers_project_id_created_id', 'containers', ['project_id', 'created', 'id'])
    op.create_table(
        'container_secrets',
        sa.Column('container_id', Id, sa.ForeignKey('containers.id', ondelete='CASCADE'),
                  primary_key=True),
        sa.Column('secret_id', Id, sa.ForeignKey('secrets.id', ondelete='CASCADE'),
                  primary_key=True),
        sa.Column('name', Text),
        sa.UniqueConstraint('container_id', 'name'),
    )
    op.create_index('ix_container_secrets_secret_id', 'container_secrets', ['secret_id'])
    op.create_table(
        'consumers',
        sa.Column('id', Id, primary_key=True),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('object_id', Id, nullable=False),
        sa.Column('project_id', Text, nullable=False),
        sa.Column('service', Text, nullable=False),
        sa.Column('resource_type', Text, nullable=False),
        sa.Column('resource_id', Text, nullable=False),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
    )
    op.create_index('ix_consumers_object_id_created_id', 'consumers', ['object_id', 'created', 'id'])
    op.create_index('ix_consumers_project_id', 'consumers', ['project_id'])
    op.create_table(
        'orders',
        sa.Column('id', Id, primary_key=True),
        sa.Column('project_id', Text, nullable=False),
        sa.Column('creator_id', Text),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('type', sa.String(16), nullable=False),
        sa.Column('meta', sa.String(4096), nullable=False),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
        sa.Column('secret_id', Id),
        sa.Column('container_id', Id),
        sa.Column('sub_status', Text),
        sa.Column('sub_status_message', Text),
        sa.Column('error_status_code', sa.String(3)),
        sa.Column('error_reason', sa.String(1024)),
        sa.Column('fence', sa.Integer, nullable=False),
        sa.Column('attempts', sa.Integer, nullable=False),
        sa.Column('repeatable', sa.Boolean, nullable=False),
        sa.Column('lease_until', Time, nullable=False),
    )
    op.create_index('ix_orders_project_id_created_id', 'orders', ['project_id', 'created', 'id'])
    op.create_index('ix_orders_status_lease_until', 'orders', ['status', 'lease_until'])
    op.create_table(
        'project_settings',
        sa.Column('project_id', Text, primary_key=True),
        sa.Column('secrets', sa.Integer),
        sa.Column('orders', sa.Integer),
        sa.Column('containers', sa.Integer),
        sa.Column('consumers', sa.Integer),
        sa.Column('cas', sa.Integer),
        sa.Column('quotas_set', Time),
        sa.Column('preferred_store', Text),
    )
    op.create_table(
        'secret_stores',
        sa.Column('id', Id, primary_key=True),
        sa.Column('name', Text, nullable=False, unique=True),
        sa.Column('plugin', Text, nullable=False),
        sa.Column('global_default', sa.Boolean, nullable=False),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
    )
    op.create_table(
        'transport_keys',
        sa.Column('id', Id, primary_key=True),
        sa.Column('plugin_name', Text, nullable=False),
        sa.Column('transport_key', sa.String(4096), nullable=False),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('is_current', sa.Boolean, unique=True),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
        sa.Column('store', Text),
        sa.Column('reference', sa.String(4096)),
        sa.Column('intent', sa.String(32)),
        sa.Column('intent_at', Time),
    )
    op.create_index('ix_transport_keys_created_id', 'transport_keys', ['created', 'id'])
