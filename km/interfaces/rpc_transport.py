# SPDX-License-Identifier: Apache-2.0
"""How bytes get from the API to the worker and an answer back."""
from abc import abstractmethod
from collections.abc import Callable

from km.interfaces.plugin import Plugin

#: Takes the bytes of a task and returns the bytes of its answer. It never raises.
Handler = Callable[[bytes], bytes]


class RpcTransport(Plugin):
    """Carries bytes and knows nothing of them."""

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

    @abstractmethod
    def serve(self, handler: Handler) -> None:
        """Give every message that arrives to ``handler``, from now until ``stop``."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more messages; let those being handled finish."""
