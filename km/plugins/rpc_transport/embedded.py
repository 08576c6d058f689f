# SPDX-License-Identifier: Apache-2.0
"""API and worker in one process: a message is handled by the thread that sends it."""
from km.interfaces import Handler, RpcTransport, Unavailable


class Embedded(RpcTransport):
    """The transport that needs no broker. What it carries is bytes all the same."""

    in_process = True

    def call(self, message: bytes) -> bytes:
        raise Unavailable('The worker has stopped.')

    def cast(self, message: bytes) -> None:
        self.call(message)

    # A call is the handler's own, with no detour.
    def serve(self, handler: Handler) -> None:
        self.call = handler  # type: ignore[assignment, method-assign]

    def stop(self) -> None:
        self.__dict__.pop('call', None)
