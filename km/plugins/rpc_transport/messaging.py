# SPDX-License-Identifier: Apache-2.0
"""API and workers in processes of their own, with RabbitMQ between them: oslo.messaging's RPC.

Where the broker is, and how to speak TLS with it, stands where operators of other services expect it:
``[DEFAULT] transport_url`` and ``[oslo_messaging_rabbit]``. A message is acknowledged before it is
handled, so the broker never delivers one twice because a worker died with it.
"""
import base64
import logging
import threading
from typing import Any, ClassVar

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import opts

from km.interfaces import Handler, Misconfigured, RpcTransport, Unavailable

LOG = logging.getLogger(__name__)

_SECTIONS = {group or 'DEFAULT': options for group, options in opts.list_opts()}
# oslo.messaging asks for these, and registers them in oslo.config's global alone.
_OFF = {'oslo_messaging_metrics': cfg.BoolOpt('metrics_enabled', default=False),
        'oslo_messaging_tracing': cfg.BoolOpt('tracing_enabled', default=False)}
# The driver tries forever to connect unless it is told how often; the second time it has reconnected.
_RETRIES = 1
_CONNECT_SECONDS = 5


class Messaging(RpcTransport):
    """A queue that all workers take messages from; each answer goes to a queue of who asked."""

    options = (
        cfg.IntOpt('call_timeout_seconds', default=30, min=1,
                   help='With plugin = messaging: how long the API waits for the answer of a worker '
                        'before it tells the client to try again later. No worker begins with what '
                        'has waited that long.'),
        cfg.IntOpt('threads', default=8, min=1,
                   help='With plugin = messaging: messages that each process of km-worker handles '
                        'at once.'),
        cfg.StrOpt('exchange', default='km',
                   help='With plugin = messaging: the exchange of the broker that messages go to.'),
        cfg.StrOpt('topic', default='km.worker',
                   help='With plugin = messaging: the queue that workers take messages from.'),
    )
    foreign_options: ClassVar = {
        section: _SECTIONS[section] for section in ('DEFAULT', 'oslo_messaging_rabbit')}

    def open(self) -> None:
        for section, option in _OFF.items():
            self.foreign.register_opt(option, group=section)
        self.foreign.set_override('executor_thread_pool_size', self.settings.threads)
        try:
            self._transport = oslo_messaging.get_rpc_transport(self.foreign)
        except (oslo_messaging.MessagingException, ValueError) as error:
            raise Misconfigured(f'[DEFAULT] transport_url: {type(error).__name__}.') from None
        # A message that no queue waits for comes back at once.
        self._client = oslo_messaging.get_rpc_client(
            self._transport, self._target(), timeout=self.settings.call_timeout_seconds,
            retry=_RETRIES, transport_options=oslo_messaging.TransportOptions(at_least_once=True))
        self._answers, self._asked = threading.Event(), threading.Lock()
        self._server: Any = None
        self._serving: threading.Thread | None = None

    def call(self, message: bytes) -> bytes:
        self._await_answers()
        return base64.b64decode(self._sent(
            self._client.call, 'handle', message=base64.b64encode(message).decode()))

    def cast(self, message: bytes) -> None:
        self._sent(self._client.cast, 'handle', message=base64.b64encode(message).decode())

    def serve(self, handler: Handler) -> None:
        self._server = oslo_messaging.get_rpc_server(
            self._transport, self._target(server=True), [_Endpoint(handler)])
        # Without a broker this waits until there is one.
        self._serving = threading.Thread(target=self._server.start, name='km-serving', daemon=True)
        self._serving.start()

    def stop(self) -> None:
        if self._serving and not self._serving.is_alive():
            self._server.stop()
            self._server.wait()

    def check(self) -> str:
        self._await_answers()
        self._sent(self._client.call, 'answer')
        return 'a worker answers'

    def close(self) -> None:
        if self._answers.is_set() or (self._serving and not self._serving.is_alive()):
            self._transport.cleanup()

    def _target(self, *, server: bool = False) -> oslo_messaging.Target:
        return oslo_messaging.Target(
            exchange=self.settings.exchange, topic=self.settings.topic,
            server=self.settings.topic if server else None)

    def _sent(self, send: Any, method: str, **values: str) -> Any:
        try:
            return send({}, method, **values)
        except oslo_messaging.MessagingTimeout:
            raise Unavailable('No worker answered in time.') from None
        except oslo_messaging.MessageUndeliverable:
            raise Unavailable('There is no worker.') from None
        except Exception as error:  # the driver lets through what its libraries raise
            LOG.warning('The message broker failed: %s', type(error).__name__)
            raise Unavailable('The message broker does not answer.') from None

    def _await_answers(self) -> None:
        """Wait a little until there is a queue for answers.

        The driver makes it with the first call, and until there is a broker that call, and each one
        after it, would wait for ever. So it is a call of nobody's, in a thread of its own.
        """
        if self._answers.is_set():
            return
        if self._asked.acquire(blocking=False):
            threading.Thread(target=self._ask, name='km-answers', daemon=True).start()
        if not self._answers.wait(_CONNECT_SECONDS):
            raise Unavailable('The message broker does not answer.')

    def _ask(self) -> None:
        try:
            self._client.prepare(timeout=1).call({}, 'answer')
        except (oslo_messaging.MessagingException, oslo_messaging.MessageUndeliverable):
            pass  # there is a queue for answers all the same
        except Exception:
            LOG.exception('The message broker cannot be used; the next call tries again.')
            self._asked.release()
            return
        self._answers.set()


class _Endpoint:
    """What oslo.messaging calls in a worker."""

    def __init__(self, handler: Handler):
        self._handler = handler

    def handle(self, _context: dict, message: str) -> str:
        """A message and its answer, in base64: what oslo.messaging carries is JSON."""
        return base64.b64encode(self._handler(base64.b64decode(message))).decode()

    def answer(self, _context: dict) -> None:
        """Show that somebody is there."""
