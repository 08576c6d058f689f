# SPDX-License-Identifier: Apache-2.0
"""The messages that workers have opened.

On PostgreSQL the table is not logged: it need not survive a crash of the server, after which only what
was sent within the last minute could be sent again, and a log would cost each message a write to disk.
"""
import sqlalchemy as sa
from alembic import op

from km.db.models import Time

revision = '0003'
down_revision = '0002'


def upgrade():
    logged = op.get_bind().dialect.name != 'postgresql'
    op.create_table(
        'messages',
        sa.Column('number', sa.String(32), primary_key=True),
        sa.Column('until', Time, nullable=False),
        prefixes=[] if logged else ['UNLOGGED'],
    )
    op.create_index('ix_messages_until', 'messages', ['until'])
