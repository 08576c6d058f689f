# SPDX-License-Identifier: Apache-2.0
"""A store that does what no store may, for tests of whoever has to live with it. Nothing here sleeps.

::

    store = Misbehaving()
    store.instead['retrieve'] = hanging = Hangs()
    ...                                   # whoever calls ``retrieve`` now waits
    assert hanging.called.wait(10)
    hanging.go_on.set()                   # from now on it does as it should
"""
import threading
from collections.abc import Callable, Mapping
from typing import Any

from km.errors import Forbidden, KmError, Unavailable
from km.interfaces import Kept
from km.testing import MemoryStore

#: What is done instead: it is given the usual method, bound, and the arguments of the call.
Behaviour = Callable[..., Any]
METHODS = ('open', 'check', 'close', 'store', 'retrieve', 'delete', 'find', 'kept')


class Misbehaving(MemoryStore):
    """A store in memory that does what ``instead`` has for a method, by its name, while it has it."""

    def __init__(self, name: str = 'odd', settings: Any = None):
        super().__init__(name, settings)
        self.instead: dict[str, Behaviour] = {}


def _obedient(method: str) -> Callable[..., Any]:
    usual = getattr(MemoryStore, method)

    def called(self: Misbehaving, *arguments: Any, **named: Any) -> Any:
        if method not in self.instead:
            return usual(self, *arguments, **named)
        return self.instead[method](usual.__get__(self), *arguments, **named)

    return called


for _method in METHODS:
    setattr(Misbehaving, _method, _obedient(_method))


class Hangs:
    """Does not return before ``go_on`` is set, and then what is usual; ``called`` says that it hangs."""

    def __init__(self) -> None:
        self.called, self.go_on = threading.Event(), threading.Event()

    def __call__(self, usual: Behaviour, *arguments: Any, **named: Any) -> Any:
        self.called.set()
        self.go_on.wait()
        return usual(*arguments, **named)


class FailsAtFirst:
    """Raises an error the first ``times``, and then does what is usual; ``calls`` counts all."""

    def __init__(self, times: int, error: BaseException | None = None):
        self._times = times
        self._error = error or Unavailable('It is down.')
        self.calls = 0

    def __call__(self, usual: Behaviour, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return usual(*arguments, **named)


class LeaksThreads:
    """Starts a thread at each call that does not end before ``go_on`` is set, and does what is usual."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []

    def __call__(self, usual: Behaviour, *arguments: Any, **named: Any) -> Any:
        self.threads.append(threading.Thread(target=self.go_on.wait, daemon=True))
        self.threads[-1].start()
        return usual(*arguments, **named)


class Raises:
    """Raises what ``error`` makes of the arguments of the call.

    :param effect: whether it first does what is usual, so that there is an effect nobody is told of.
    """

    def __init__(self, error: Callable[..., BaseException], *, effect: bool = False):
        self._error, self._effect = error, effect

    def __call__(self, usual: Behaviour, *arguments: Any, **named: Any) -> Any:
        if self._effect:
            usual(*arguments, **named)
        raise self._error(*arguments, **named)


class Returns:
    """Returns ``answer``, whatever it is asked."""

    def __init__(self, answer: Any):
        self._answer = answer

    def __call__(self, usual: Behaviour, *arguments: Any, **named: Any) -> Any:
        return self._answer


class Uncaught(BaseException):
    """What ``except Exception`` does not catch."""


class Unspeakable(Exception):
    """Says nothing of itself, not even to a log."""

    def __str__(self) -> str:
        raise ValueError('no')

    __repr__ = __str__


def indiscreet(*arguments: Any, **named: Any) -> BaseException:
    """An error that tells the payload: in its message, its cause, a note and a local variable."""
    told = ' '.join(str(getattr(argument, 'payload', argument)) for argument in arguments)
    error = ValueError(told)
    error.__cause__ = KeyError(told)
    error.add_note(told)
    return error


def indiscreet_in_our_words(*arguments: Any, **named: Any) -> BaseException:
    """Likewise, as an error km knows, whose sentence is its own but whose cause tells the payload."""
    error = Unavailable('It is down.')
    error.__cause__ = indiscreet(*arguments, **named)
    return error


#: Errors that no method may raise, each made from the arguments of the call.
NONSENSE_RAISED: dict[str, Callable[..., BaseException]] = {
    'ValueError': lambda *_, **__: ValueError('odd'),
    'TimeoutError': lambda *_, **__: TimeoutError('odd'),
    'StopIteration': lambda *_, **__: StopIteration('odd'),
    'MemoryError': lambda *_, **__: MemoryError(),
    'RecursionError': lambda *_, **__: RecursionError('odd'),
    'SystemExit': lambda *_, **__: SystemExit(3),
    'KeyboardInterrupt': lambda *_, **__: KeyboardInterrupt(),
    'GeneratorExit': lambda *_, **__: GeneratorExit(),
    'a BaseException of its own': lambda *_, **__: Uncaught('odd'),
    'one that tells the payload': indiscreet,
    'one that cannot be shown': lambda *_, **__: Unspeakable(),
    'a KmError of no kind': lambda *_, **__: KmError('odd'),
    "one of km's that is not a plugin's": lambda *_, **__: Forbidden('odd'),
    "one of km's with something else for a sentence": lambda *_, **__: Unavailable(ValueError('odd')),
    "one of km's without a sentence": lambda *_, **__: Unavailable.__new__(Unavailable),
}


class Broken(Mapping):
    """An object whose contents cannot be had."""

    def __getitem__(self, name: str) -> Any:
        raise ValueError('no')

    def __iter__(self) -> Any:
        raise ValueError('no')

    def __len__(self) -> int:
        return 1


#: What is no reference, by what is wrong with it.
NO_REFERENCE: dict[str, Any] = {
    'text': 'here', 'a number': 7, 'a list': ['here'], 'an object of nothing': {},
    'nested': {'where': [['here']]}, 'an object in it': {'where': {'row': 1}},
    'five KiB': {'where': 'x' * 5 * 1024}, 'five KiB as a row has it': {'where': 'é' * 1024},
    'bytes in it': {'where': b'here'},
    'a float': {'where': 1.5}, 'a truth': {'where': True}, 'a null': {'where': None},
    'a number for a name': {1: 'here'},
    'one that breaks': Broken(),
}

#: What a method may not return: (method, what is wrong) -> answer.
NONSENSE_RETURNED: dict[tuple[str, str], Any] = {
    **{('store', wrong): answer for wrong, answer in {'nothing': None, **NO_REFERENCE}.items()},
    **{('find', wrong): answer for wrong, answer in NO_REFERENCE.items()},
    ('retrieve', 'nothing'): None,
    ('retrieve', 'text'): 'a payload',
    ('retrieve', 'a number'): 7,
    ('retrieve', 'bytes that change'): bytearray(b'a payload'),
    ('retrieve', 'a view'): memoryview(b'a payload'),
    ('check', 'nothing'): None,
    ('check', 'bytes'): b'ok',
    ('kept', 'nothing'): None,
    ('kept', 'text'): 'here',
    ('kept', 'something else than things kept'): ['here'],
    ('kept', 'no reference'): [Kept(secret_id='x', reference={'where': [1]})],
}
