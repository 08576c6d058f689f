# SPDX-License-Identifier: Apache-2.0
"""Which messages workers have opened. All of them ask here: what one has seen, none takes again."""
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError

from km.db.models import MESSAGES

_INSERT = MESSAGES.insert()
_FORGET = MESSAGES.delete().where(MESSAGES.c.until < bindparam('now'))


def first_time(connection: sa.Connection, number: bytes, *, until: datetime) -> bool:
    """Note that a message is there; False if it was before."""
    try:
        connection.execute(_INSERT, {'number': number.hex(), 'until': until})
    except IntegrityError:
        return False
    return True


def forget(connection: sa.Connection, *, now: datetime) -> None:
    """Forget those that are too old to be opened."""
    connection.execute(_FORGET, {'now': now})
