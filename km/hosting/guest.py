# SPDX-License-Identifier: Apache-2.0
"""A plugin as the house has it: opened behind its back, asked with a deadline, never believed."""
import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Container, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

from km.errors import KmError, Misconfigured, Unavailable, Unexpected
from km.hosting.deadlines import Deadlines
from km.hosting.opening import Opening
from km.hosting.traces import is_told, trace
from km.interfaces import CannotOpen, NotFound, NotSupported, Plugin, Rejected

LOG = logging.getLogger(__name__)

AnAbility = TypeVar('AnAbility')

#: Is told of each call of a plugin: its name, the method, how it ended ('ok', or the name of an error),
#: and the seconds it took.
Observer = Callable[[str, str, str, float], None]

#: What a plugin may raise. Of anything else nobody knows what it means, or what its message holds.
_MAY_RAISE = (CannotOpen, Misconfigured, NotFound, NotSupported, Rejected, Unavailable)
_MOST_REFERENCE_BYTES = 4096
#: At most so long a plugin is left alone that asks for it.
_LONGEST_ASKED_SECONDS = 86400.0


class Guest:
    """A plugin of the operator's. Its methods do what its interface says, and:

    :raises Unavailable: it is not open, or has not answered in time (then it is ``Overdue``).
    :raises Unexpected: it did what no such plugin may; the log says what.
    """

    #: What it is, in sentences.
    what: ClassVar[str]
    #: What an answer must look like, by the method; what is not here is not looked at.
    looks_right: ClassVar[Mapping[str, Callable[[Any], bool]]] = {}
    #: The methods that leave something which is to be taken back if they end after their deadline.
    leaves: ClassVar[Container[str]] = ()

    def __init__(self, guest: Plugin, *, plugin: str = 'unnamed', required: bool = False,
                 seconds: float = 30.0, most_calls: int = 64):
        """Touch nothing yet.

        :param plugin: its name, for the log.
        :param required: whether km shall not start without it.
        :param seconds: how long a call is waited for.
        :param most_calls: how many may be under way at once.
        """
        self.guest, self.name, self.required = guest, guest.name, required
        self._told = f"{self.what.capitalize()} '{self.name}' (plugin {plugin})"
        self._deadlines = Deadlines(self._called, seconds=seconds, most=most_calls)
        self._opening = Opening(guest, self._told, seconds=seconds)
        self._checking = threading.Lock()
        self._abilities: dict[type, Any] = {}
        self.observe: Observer = lambda *_: None

    def open(self) -> None:
        """Open it. If it is down, and not required, it will be open once it is not.

        :raises Misconfigured: its settings cannot work.
        :raises Unavailable: it is down, and required.
        """
        failure = self._opening.begin()
        if isinstance(failure, Misconfigured) or (failure and self.required):
            self.close()
            raise failure

    def open_now(self) -> None:
        """Open it.

        :raises Misconfigured, Unavailable: it does not open; it is not tried again.
        """
        if failure := self._opening.begin():
            self.close()
            raise failure

    def close(self) -> None:
        """Give everything back; what is not open yet will not be."""
        if self._opening.end():
            self._deadlines.call(lambda: self._made('close'))

    def check(self) -> str:
        """One line that says how it is.

        Probes ask this for ever: one that hangs shall not take a thread each time.
        """
        if self._checking.locked():
            raise Unavailable(f'{self._called} has not said yet how it is.')
        return self._call('check')

    def able(self, ability: type[AnAbility]) -> AnAbility | None:
        """The plugin as one with an ability, such as ``Inventory``; None if it has not got it."""
        if not isinstance(self.guest, ability):
            return None
        if ability not in self._abilities:
            self._abilities[ability] = self.only(
                *ability.__abstractmethods__)  # type: ignore[attr-defined]
        return cast(AnAbility, self._abilities[ability])

    def only(self, *methods: str) -> SimpleNamespace:
        """The plugin as one that has these methods alone."""
        return SimpleNamespace(name=self.name, **{
            method: functools.partial(self._call, method) for method in methods})

    @property
    def _called(self) -> str:
        return f"The {self.what} '{self.name}'"

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        began, ended = time.perf_counter(), 'ok'
        try:
            if not self._opening.is_open:
                raise self._closed()
            late = functools.partial(self._undo, method, *arguments) if method in self.leaves else None
            return self._deadlines.call(lambda: self._made(method, *arguments, **named), late=late)
        except KmError as error:
            ended = type(error).__name__
            raise
        finally:
            self.observe(self.name, method, ended, time.perf_counter() - began)

    def _undo(self, method: str, request: Any, answer: Any) -> None:
        """Take back what a call has left that ended after its deadline."""

    def _made(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call the plugin, in a thread that may hang, and look at what comes of it."""
        try:
            with self._checking if method == 'check' else contextlib.nullcontext():
                answer = getattr(self.guest, method)(*arguments, **named)
        except BaseException as error:
            if isinstance(error, _MAY_RAISE) and is_told(error):
                raise
            LOG.error('%s failed in %s: %s', self._told, method, trace(error))
            raise self._failed() from None
        looks_right = self.looks_right.get(method)
        if looks_right and not looks_right(answer):
            LOG.error('%s returned from %s what it must not, of type %s.', self._told, method,
                      type(answer).__name__)
            raise self._failed()
        return answer

    def _closed(self) -> Unavailable:
        LOG.warning('%s', self._opening.why_not().sentence)
        return Unavailable(f'{self._called} does not answer.')

    def _failed(self) -> Unexpected:
        return Unexpected(f'{self._called} failed.')


def is_reference(answer: Any) -> bool:
    """Whether it is a flat object that goes into a row; ``answer`` may be of a class that is no help."""
    try:
        flat = isinstance(answer, Mapping) and all(
            type(name) is str and type(value) in (str, int) for name, value in answer.items())
        return flat and 2 < len(json.dumps(dict(answer))) <= _MOST_REFERENCE_BYTES  # as rows have it
    except Exception:
        return False


def is_text(answer: Any) -> bool:
    """Whether it is text, as what ``check`` says."""
    return isinstance(answer, str)


def asked_seconds(error: Exception) -> float:
    """How long a plugin that failed asked to be left alone, a day at most; 0 if it did not."""
    asked = error.retry_after_seconds if isinstance(error, Unavailable) else None
    if not isinstance(asked, int | float) or not asked > 0:  # it may be anything, or no number
        return 0.0
    return min(_LONGEST_ASKED_SECONDS, asked)
