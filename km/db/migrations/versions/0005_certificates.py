# SPDX-License-Identifier: Apache-2.0
"""Certificates: who issues them, orders of them, what was issued; and events."""
import sqlalchemy as sa
from alembic import op

from km.db.models import Id, Text, Time, ascii_text

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    op.create_table(
        'authorities',
        sa.Column('id', Id, primary_key=True),
        sa.Column('plugin_name', Text, nullable=False),
        sa.Column('plugin_ca_id', Text, nullable=False),
        sa.Column('name', Text, nullable=False),
        sa.Column('description', sa.String(1024), nullable=False),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('parent_id', Id),
        sa.Column('project_id', Text),
        sa.Column('creator_id', Text),
        sa.Column('certificate', ascii_text(16384)),
        sa.Column('chain', ascii_text(32768)),
        sa.Column('not_after', Time),
        sa.Column('expiration', Time),
        sa.Column('is_global_preferred', sa.Boolean),
        sa.Column('intent', sa.String(32)),
        sa.Column('intent_at', Time),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
        sa.UniqueConstraint('is_global_preferred'),
        sa.UniqueConstraint('plugin_name', 'plugin_ca_id'),
    )
    op.create_index(
        'ix_authorities_project_id_created_id', 'authorities', ['project_id', 'created', 'id'])
    op.create_index('ix_authorities_intent_at', 'authorities', ['intent_at'])
    op.create_table(
        'project_authorities',
        sa.Column('project_id', Text, primary_key=True),
        sa.Column('authority_id', Id, sa.ForeignKey('authorities.id', ondelete='CASCADE'),
                  primary_key=True),
        sa.Column('is_preferred', sa.Boolean),
        sa.Column('created', Time, nullable=False),
        sa.UniqueConstraint('project_id', 'is_preferred'),
    )
    op.create_index('ix_project_authorities_authority_id', 'project_authorities', ['authority_id'])
    op.create_table(
        'certificate_orders',
        sa.Column('order_id', Id, sa.ForeignKey('orders.id', ondelete='CASCADE'), primary_key=True),
        sa.Column('authority_id', Id, nullable=False),
        sa.Column('request_type', sa.String(16), nullable=False),
        sa.Column('profile', Text),
        sa.Column('step', sa.String(16), nullable=False),
        sa.Column('csr', ascii_text(24576)),
        sa.Column('reference', sa.String(4096)),
        sa.Column('issuing', sa.Integer, nullable=False),
        sa.Column('failures', sa.Integer, nullable=False),
        sa.Column('cancelled', sa.Boolean, nullable=False),
        sa.Column('key_id', Id),
        sa.Column('passphrase_id', Id),
        sa.Column('holds_key', sa.Boolean, nullable=False),
        sa.Column('not_after', Time),
        sa.Column('give_up_at', Time, nullable=False),
        sa.Column('renews', Id),
        sa.Column('renew_percent', sa.Integer),
        sa.Column('renew_key', sa.Boolean, nullable=False),
        sa.Column('approved_by', Text),
    )
    op.create_index('ix_certificate_orders_authority_id', 'certificate_orders', ['authority_id'])
    op.create_table(
        'certificates',
        sa.Column('id', Id, primary_key=True),
        sa.Column('project_id', Text, nullable=False),
        sa.Column('creator_id', Text),
        sa.Column('order_id', Id, nullable=False),
        sa.Column('container_id', Id, nullable=False),
        sa.Column('authority_id', Id, nullable=False),
        sa.Column('profile', Text),
        sa.Column('version', sa.Integer, nullable=False),
        sa.Column('is_current', sa.Boolean),
        sa.Column('serial', ascii_text(64), nullable=False),
        sa.Column('subject', sa.String(1024), nullable=False),
        sa.Column('issuer', sa.String(1024), nullable=False),
        sa.Column('names', sa.String(4096), nullable=False),
        sa.Column('fingerprint', ascii_text(64), nullable=False),
        sa.Column('csr', ascii_text(24576), nullable=False),
        sa.Column('not_before', Time, nullable=False),
        sa.Column('not_after', Time, nullable=False),
        sa.Column('certificate_id', Id, nullable=False),
        sa.Column('intermediates_id', Id),
        sa.Column('private_key_id', Id),
        sa.Column('passphrase_id', Id),
        sa.Column('owns_key', sa.Boolean, nullable=False),
        sa.Column('renew_percent', sa.Integer),
        sa.Column('renew_key', sa.Boolean, nullable=False),
        sa.Column('renew_at', Time),
        sa.Column('renewal', Id),
        sa.Column('renewal_failures', sa.Integer, nullable=False),
        sa.Column('warned_days', sa.Integer),
        sa.Column('revocation_reason', sa.String(32)),
        sa.Column('revocation_asked', Time),
        sa.Column('invalidity_date', Time),
        sa.Column('revoke_at', Time),
        sa.Column('revoked', Time),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
        sa.UniqueConstraint('order_id'),
        sa.UniqueConstraint('container_id', 'version'),
        sa.UniqueConstraint('container_id', 'is_current'),
    )
    op.create_index(
        'ix_certificates_project_id_created_id', 'certificates', ['project_id', 'created', 'id'])
    op.create_index('ix_certificates_is_current_not_after', 'certificates', ['is_current', 'not_after'])
    op.create_index('ix_certificates_renew_at', 'certificates', ['renew_at'])
    op.create_index('ix_certificates_revoke_at', 'certificates', ['revoke_at'])
    op.create_index('ix_certificates_authority_id', 'certificates', ['authority_id'])
    op.create_table(
        'events',
        sa.Column('id', Id, primary_key=True),
        sa.Column('event_id', Id, nullable=False),
        sa.Column('notifier', Text, nullable=False),
        sa.Column('kind', sa.String(64), nullable=False),
        sa.Column('project_id', Text, nullable=False),
        sa.Column('resource_type', sa.String(16), nullable=False),
        sa.Column('resource_id', Id, nullable=False),
        sa.Column('details', sa.String(2048), nullable=False),
        sa.Column('occurred', Time, nullable=False),
        sa.Column('due', Time, nullable=False),
        sa.Column('attempts', sa.Integer, nullable=False),
    )
    op.create_index('ix_events_notifier_due', 'events', ['notifier', 'due'])
