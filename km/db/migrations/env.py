# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: run the steps on the connection that ``Database.upgrade`` hands over."""
from alembic import context

from km.db.models import METADATA

connection = context.config.attributes['connection']
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
