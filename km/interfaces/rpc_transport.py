# SPDX-License-Identifier: Apache-2.0
"""How bytes get from the API to the worker and an answer back."""
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from km.interfaces.plugin import Plugin

#: Takes the bytes of a task and returns the bytes of its answer. It never raises.
Handler = Callable[[bytes], bytes]


class RpcTransport(Plugin):
    """Carries bytes and knows nothing of them.

    :cvar in_process: whether what is sent is handled in the same process. Where it is not, km seals
        what it gives to the transport, and has the worker ask anew who sends it and whether they may.
    """

    in_process: ClassVar[bool] = False

    @abstractmethod
    def call(self, message: bytes) -> bytes:
        """Have ``message`` handled and return the answer.

        :raises Unavailable: nobody took it, or no answer came in time.
        """

    @abstractmethod
    def cast(self, message: bytes) -> None:
        """Have ``message`` handled at some time; the answer is dropped. A loss is allowed.

        :raises Unavailable: it could not even be handed over.
        """

    def waiting(self) -> int | None:
        """How many messages wait to be taken; None if there is no telling.

        :raises Unavailable: the broker does not answer.
        """
        return None

    @abstractmethod
    def serve(self, handler: Handler) -> None:
        """Give every message that arrives to ``handler``, from now until ``stop``."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more messages; let those being handled finish."""
