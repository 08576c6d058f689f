# SPDX-License-Identifier: Apache-2.0
"""Secrets that move from one store to another."""
import sqlalchemy as sa
from alembic import op

from km.db.models import Text

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.add_column('secrets', sa.Column('other_store', Text))
