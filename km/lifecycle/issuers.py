# SPDX-License-Identifier: Apache-2.0
"""From the id of an authority to the plugin that issues as it."""
from sqlalchemy import Row

from km.db import authorities
from km.errors import Rejected, Unavailable
from km.hosting.authority import HostedAuthority
from km.lifecycle.context import Context


def issuer(ctx: Context, authority_id: str) -> tuple[Row, HostedAuthority]:
    """The row of an authority, and its plugin.

    :raises Rejected: there is no such authority any more.
    :raises Unavailable: its plugin is not enabled here.
    """
    with ctx.statement() as connection:
        row = authorities.get(connection, authority_id)
    if row is None:
        raise Rejected('The authority of the order is not there any more.')
    try:
        return row, ctx.authorities[row.plugin_name]
    except KeyError:
        raise Unavailable(f"The certificate authority '{row.plugin_name}' is not enabled.") from None
