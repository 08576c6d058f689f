# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 modules of this process: each is initialised once, whoever uses it, and anew if need be."""
import contextlib
import logging
import os
import threading
from collections.abc import Iterator

from km.interfaces import Misconfigured, Unavailable
from km.plugins.secret_store.cryptoki.library import Library, load

LOG = logging.getLogger(__name__)

#: How long to wait until nobody is inside a module.
_ALONE_SECONDS = 10.0


class Gate:
    """Lets threads into a module: many at once, or one alone."""

    def __init__(self, *, serial: bool = False):
        """:param serial: whether one thread at a time may be inside, always."""
        self.serial = serial
        self._condition = threading.Condition()
        self._inside, self._closed = 0, False

    @contextlib.contextmanager
    def enter(self, seconds: float) -> Iterator[None]:
        """Be inside, with others.

        :raises Unavailable: somebody was alone there for so many seconds.
        """
        with self._condition:
            if not self._condition.wait_for(self._has_room, seconds):
                raise Unavailable('The token is busy.')
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def alone(self, seconds: float = _ALONE_SECONDS) -> Iterator[None]:
        """Be inside alone. Nobody enters from the moment this is asked for.

        :raises Unavailable: somebody stayed inside for so many seconds.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: not self._closed, seconds):
                raise Unavailable('The token is busy.')
            self._closed = True
            if not self._condition.wait_for(lambda: not self._inside, seconds):
                self._closed = False
                self._condition.notify_all()
                raise Unavailable('The token is busy with calls that do not end.')
            self._inside = 1
        try:
            yield
        finally:
            self._closed = False
            self._leave()

    def _has_room(self) -> bool:
        return not self._closed and not (self.serial and self._inside)

    def _leave(self) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()


class Module:
    """A module in use. A handle is good for the ``generation`` it was made in and for no other: after
    that the same number may name another object."""

    def __init__(self, library: Library, reserved: str | None):
        """:param library: initialised.
        :param reserved: what for.
        """
        self.library, self.reserved = library, reserved
        self.gate = Gate(serial=library.serial)
        self.generation = 1
        self.users = 0
        self._lock = threading.Lock()
        self._process = os.getpid()

    def require_own_process(self) -> None:
        """:raises Unavailable: it was initialised before this process was forked."""
        if self._process != os.getpid():
            raise Unavailable('The token was opened before this process was forked.')

    def initialise_again(self, seen: int) -> None:
        """Finalise and initialise it, with nobody inside.

        :param seen: the generation that does not work; nothing is done if there is a newer one.
        :raises PKCS11Error: it does not let itself be initialised.
        :raises Unavailable: calls are under way in it that do not end.
        """
        with self._lock:
            if self.generation != seen:
                return
            with self.gate.alone():
                self.generation += 1
                self.library.finalise()
                self.library.initialise()
                self.gate.serial = self.library.serial
        LOG.warning('The PKCS#11 module was initialised again.')


class _Modules:
    """All of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.in_use: dict[str, Module] = {}


#: Loaded libraries stay for the life of the process, and its children's.
_LIBRARIES: dict[str, Library] = {}
_modules = _Modules()
os.register_at_fork(after_in_child=_modules.__init__)  # type: ignore[misc]


def acquire(path: str, reserved: str | None) -> Module:
    """The module of a shared library, initialised. Give it back with ``release``.

    :param reserved: see ``Library``.
    :raises Misconfigured: it cannot be loaded, or is in use with another ``reserved``.
    :raises PKCS11Error: it does not let itself be initialised.
    """
    path = os.path.realpath(path)
    with _modules.lock:
        module = _modules.in_use.get(path)
        if module is None:
            library = _loaded(path, reserved)
            library.initialise()
            module = _modules.in_use[path] = Module(library, reserved)
        elif module.reserved != reserved:
            raise Misconfigured('initialisation_string: another store uses this module with another.')
        module.users += 1
        return module


def release(module: Module) -> None:
    """Give a module back. The last one to do so finalises it."""
    with _modules.lock:
        module.users -= 1
        if module.users or module not in _modules.in_use.values():  # it is of a parent process
            return
        _modules.in_use = {path: kept for path, kept in _modules.in_use.items() if kept is not module}
        with contextlib.suppress(Unavailable), module.gate.alone():  # else a call never ends in it
            module.generation += 1
            module.library.finalise()


def _loaded(path: str, reserved: str | None) -> Library:
    library = _LIBRARIES.get(path)
    if library is None or library.reserved != reserved:
        try:
            library = load(path, reserved)
        except OSError as error:
            raise Misconfigured(f'module_path: {path} cannot be loaded: {error}.') from None
        _LIBRARIES[path] = library
    return library
