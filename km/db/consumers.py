# SPDX-License-Identifier: Apache-2.0
"""The rows of consumers, of secrets and of containers alike."""
import sqlalchemy as sa
from sqlalchemy import bindparam

from km.db.models import CONSUMERS

_columns = CONSUMERS.c

_COUNT = sa.select(sa.func.count()).select_from(CONSUMERS).where(
    _columns.project_id == bindparam('project'))


def count(connection: sa.Connection, project_id: str) -> int:
    """How many consumers a project has registered."""
    return connection.execute(_COUNT, {'project': project_id}).scalar_one()
