# SPDX-License-Identifier: Apache-2.0
"""Having authorities make the CRLs that are due, whether anybody fetches them or not."""
import logging

from km.errors import KmError
from km.interfaces import StatusPublisher
from km.lifecycle.context import Context

LOG = logging.getLogger(__name__)


def publish(ctx: Context) -> None:
    """Have every authority that publishes make what is due. One that cannot is logged."""
    for name, authority in ctx.authorities.items():
        publisher = authority.able(StatusPublisher)
        if publisher is None:
            continue
        try:
            authority.published = publisher.publish()
        except KmError as error:
            LOG.warning('The CRLs of %s stay as they are: %s', name, error.sentence)
