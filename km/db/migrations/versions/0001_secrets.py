# SPDX-License-Identifier: Apache-2.0
"""Secrets, their user metadata and their ACLs."""
import sqlalchemy as sa
from alembic import op

from km.db.models import Id, Text, Time

revision = '0001'
down_revision = None


def upgrade() -> None:
    op.create_table(
        'secrets',
        sa.Column('id', Id, primary_key=True),
        sa.Column('project_id', Text, nullable=False),
        sa.Column('creator_id', Text),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('name', Text),
        sa.Column('secret_type', sa.String(16), nullable=False),
        sa.Column('algorithm', Text),
        sa.Column('mode', Text),
        sa.Column('bit_length', sa.Integer),
        sa.Column('content_type', Text),
        sa.Column('expiration', Time),
        sa.Column('created', Time, nullable=False),
        sa.Column('updated', Time, nullable=False),
        sa.Column('store', Text),
        sa.Column('reference', sa.String(4096)),
        sa.Column('intent', sa.String(32)),
        sa.Column('intent_at', Time),
        sa.Column('project_access', sa.Boolean, nullable=False),
        sa.Column('acl_created', Time),
        sa.Column('acl_updated', Time),
    )
    op.create_index('ix_secrets_project_id_created_id', 'secrets',
                    ['project_id', 'created', 'id'])
    for name, columns, where in (
            ('ix_secrets_open_lasting', ['project_id'],
             "status = 'ACTIVE' AND project_access AND expiration IS NULL"),
            ('ix_secrets_open_running', ['project_id', 'expiration'],
             "status = 'ACTIVE' AND project_access AND expiration IS NOT NULL"),
            ('ix_secrets_private', ['project_id', 'creator_id'],
             "status = 'ACTIVE' AND NOT project_access")):
        op.create_index(name, 'secrets', columns, postgresql_where=sa.text(where),
                        sqlite_where=sa.text(where))
    op.create_index('ix_secrets_expiration', 'secrets', ['expiration'])
    op.create_index('ix_secrets_intent_at', 'secrets', ['intent_at'])
    op.create_table(
        'secret_metadata',
        sa.Column('secret_id', Id, sa.ForeignKey('secrets.id', ondelete='CASCADE'),
                  primary_key=True),
        sa.Column('key', Text, primary_key=True),
        sa.Column('value', Text, nullable=False),
    )
    op.create_table(
        'acl_users',
        sa.Column('kind', sa.String(16), primary_key=True),
        sa.Column('object_id', Id, primary_key=True),
        sa.Column('user_id', Text, primary_key=True),
    )
    op.create_index('ix_acl_users_user_id_kind', 'acl_users', ['user_id', 'kind'])
