# SPDX-License-Identifier: Apache-2.0
"""The two ends of a wire between API and worker: what goes in is sealed, what comes out is checked."""
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from km.errors import KmError, Unavailable
from km.interfaces import RpcTransport
from km.worker import envelope
from km.worker.dispatcher import Dispatcher
from km.worker.seal import ANSWER, CALL, CAST, Opened, Refused, Seal

LOG = logging.getLogger(__name__)


class NearEnd:
    """Where messages go in: carries them like a transport, sealed.

    :param clock: tells the time, UTC without a zone.
    """

    def __init__(self, transport: RpcTransport, *, seal: Seal, clock: Callable[[], datetime]):
        self._transport, self._seal, self._clock = transport, seal, clock

    def call(self, message: bytes) -> bytes:
        """The answer to a message.

        :raises Unavailable: nobody took it, no answer came in time, or none that belongs to it.
        """
        number, sealed = self._seal.seal(message, purpose=CALL, now=self._clock())
        try:
            return self._seal.open(self._transport.call(sealed), answers=number).message
        except Refused as refused:
            LOG.error('The answer of a worker was refused: %s. (A worker that refused the message '
                      'sends none; its own log says why.)', refused)
            raise Unavailable('The worker did not understand.') from None

    def cast(self, message: bytes) -> None:
        """Have a message handled at some time.

        :raises Unavailable: it could not even be handed over.
        """
        self._transport.cast(self._seal.seal(message, purpose=CAST, now=self._clock())[1])


class FarEnd:
    """Where messages come out: believes none but what is sealed, fresh, and was not there before.

    :param first_time: whether a number was never seen by any worker, given the number and a time
        until when to remember it.
    :param lifetime: how old a message may be when it is opened. It may be from the future by as much,
        by the clocks of sender and worker.
    """

    def __init__(self, dispatcher: Dispatcher, *, seal: Seal, clock: Callable[[], datetime],
                 first_time: Callable[[bytes, datetime], bool], lifetime: timedelta):
        self._dispatcher, self._seal, self._clock = dispatcher, seal, clock
        self._first_time, self._lifetime = first_time, lifetime

    def handle(self, sealed: bytes) -> bytes:
        """The sealed answer to a sealed message; nothing for a cast or what is not believed."""
        try:
            opened = self._seal.open(sealed)
            self._require_fresh(opened)
        except Refused as refused:
            LOG.warning('A message was refused: %s.', refused)
            return b''
        try:
            new = self._first_time(opened.number, opened.sent + 2 * self._lifetime)
        except KmError as error:
            return self._answer(opened, envelope.pack_error(error))
        except Exception:
            LOG.exception('A message was refused: it may have been here before.')
            return b''
        if not new:
            LOG.warning('A message was refused: it was here before.')
            return b''
        return self._answer(opened, self._dispatcher.handle(
            opened.message, cast=opened.purpose == CAST))

    def _require_fresh(self, opened: Opened) -> None:
        if opened.purpose not in (CALL, CAST):
            raise Refused('it asks for nothing')
        age = self._clock() - opened.sent
        if abs(age) > self._lifetime:
            raise Refused(f'it is {age.total_seconds():.0f} seconds old by the clock of this host')

    def _answer(self, opened: Opened, message: bytes) -> bytes:
        if opened.purpose == CAST:
            return b''
        return self._seal.seal(message, purpose=ANSWER, answers=opened.number, now=self._clock())[1]
