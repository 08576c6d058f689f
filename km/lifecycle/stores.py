# SPDX-License-Identifier: Apache-2.0
"""Which secret store a project's new secrets go to."""
from sqlalchemy import Row

from km.errors import Unavailable
from km.interfaces import SecretStore
from km.lifecycle.context import Context


def choose(ctx: Context, project: Row | None) -> SecretStore:
    """The store that a project prefers, or the default.

    :param project: its settings, if it has any.
    :raises Unavailable: the one it prefers is not enabled. What it chose for its safety must not
        silently be another.
    """
    preferred = None if project is None else project.preferred_store
    try:
        return ctx.stores[preferred or ctx.default_store]
    except KeyError:
        raise Unavailable(f"The project's secret store '{preferred}' is not enabled.") from None
