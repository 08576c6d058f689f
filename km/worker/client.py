# SPDX-License-Identifier: Apache-2.0
"""The API's side of the door."""
from typing import Any

from km.identity import Identity
from km.interfaces import RpcTransport
from km.lifecycle.context import NOBODY, Task
from km.worker import envelope
from km.worker.wire import NearEnd


class Worker:
    """Has lifecycle functions run, wherever the worker is.

    :param transport: one within the process, or the end of a wire.
    """

    def __init__(self, transport: RpcTransport | NearEnd):
        self._transport = transport

    def call(self, task: Task, identity: Identity, **arguments: Any) -> Any:
        """Run a function marked ``@task`` and return its answer.

        The function is named, not run here, so that "go to definition" leads through the wire.

        :raises KmError: what the task raised, or Unavailable if no worker answered.
        """
        return envelope.unpack_answer(self._transport.call(
            envelope.pack_task(task.task, identity, arguments)))

    def cast(self, task: Task, **arguments: Any) -> None:
        """Have a task of km's own run at some time. It may be lost: a row must say what is to do.

        :raises Unavailable: it could not even be handed over.
        """
        self._transport.cast(envelope.pack_task(task.task, NOBODY, arguments))
