# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the door: opens an envelope, runs the task in it, packs the answer."""
import logging
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import TimeoutError as NoConnectionFree

from km.errors import KmError, Unavailable, Unexpected
from km.lifecycle import (  # noqa: F401  importing them fills TASKS
    acls,
    authorities,
    certificate_orders,
    consumers,
    containers,
    health,
    metadata,
    moving,
    orders,
    publication,
    quotas,
    renewals,
    revocations,
    secrets,
    stores,
    subordinates,
    transport_keys,
)
from km.lifecycle.context import TASKS, Context
from km.worker import envelope
from km.worker.auth import Guard

LOG = logging.getLogger(__name__)


class Dispatcher:
    """Runs tasks.

    :param context: what tasks work with; each gets it with the identity of who asked.
    :param guard: decides anew whether a task may run; None where the API that did so is in this process.
    """

    def __init__(self, context: Context, guard: Guard | None = None):
        self._context, self._guard = context, guard

    def handle(self, message: bytes, *, cast: bool = False) -> bytes:
        """Run the task in ``message``. Never raises: an error is an answer too."""
        name = 'unknown'
        try:
            name, identity, arguments = envelope.unpack_task(message)
            task = TASKS[name]
            if self._guard:
                identity, arguments = self._guard.admit(task, identity, arguments, cast=cast)
            answer: Any = task(replace(self._context, identity=identity), **arguments)
            return envelope.pack_answer(answer)
        except KmError as error:
            return envelope.pack_error(error)
        except NoConnectionFree:
            return envelope.pack_error(Unavailable('All connections to a database are in use.'))
        except Exception:
            LOG.exception('Task %s failed in a way nobody foresaw.', name)
            return envelope.pack_error(Unexpected('The worker failed.'))
