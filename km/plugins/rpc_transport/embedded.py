# SPDX-License-Identifier: Apache-2.0
"""API and worker in one process: a message is handled by the thread that sends it."""
from km.interfaces import Handler, RpcTransport, Unavailable


class Embedded(RpcTransport):
    """The transport that needs no broker. What it carries is bytes all the same."""

    def __init__(self, name, settings):
        super().__init__(name, settings)
        self._handler: Handler = _nobody

    def call(self, message: bytes) -> bytes:
        return self._handler(message)

    def cast(self, message: bytes) -> None:
        self._handler(message)

    def serve(self, handler: Handler) -> None:
        self._handler = handler

    def stop(self) -> None:
        self._handler = _nobody


def _nobody(message: bytes) -> bytes:
    raise Unavailable('The worker has stopped.')
