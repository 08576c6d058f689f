# SPDX-License-Identifier: Apache-2.0
"""A secret store as the house has it: opened behind its back, asked with a deadline, never believed."""
import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from km.errors import KmError, Misconfigured, Unavailable, Unexpected
from km.hosting.deadlines import Deadlines
from km.hosting.opening import Opening
from km.hosting.traces import is_told, trace
from km.interfaces import (
    CannotOpen,
    Kept,
    KeyPair,
    NotFound,
    NotSupported,
    Reference,
    Rejected,
    SecretStore,
    SigningKey,
    StoredSecret,
    StoreRequest,
)

LOG = logging.getLogger(__name__)

AnAbility = TypeVar('AnAbility')

#: Is told of each call of a store: its name, the method, how it ended ('ok', or the name of an error),
#: and the seconds it took.
Observer = Callable[[str, str, str, float], None]

#: What a plugin may raise. Of anything else nobody knows what it means, or what its message holds.
_MAY_RAISE = (CannotOpen, Misconfigured, NotFound, NotSupported, Rejected, Unavailable)
_MOST_REFERENCE_BYTES = 4096


class HostedStore:
    """A secret store of the operator's. Its methods do what ``SecretStore`` says, and:

    :raises Unavailable: it is not open, or has not answered in time (then it is ``Overdue``).
    :raises Unexpected: it did what no store may; the log says what.
    """

    def __init__(self, store: SecretStore, *, plugin: str = 'unnamed', required: bool = False,
                 seconds: float = 30.0, most_calls: int = 64):
        """Touch nothing yet.

        :param plugin: its name, for the log.
        :param required: whether km shall not start without it.
        :param seconds: how long a call is waited for.
        :param most_calls: how many may be under way at once.
        """
        self.guest, self.name, self.required = store, store.name, required
        self._told = f"Secret store '{self.name}' (plugin {plugin})"
        self._deadlines = Deadlines(f"The secret store '{self.name}'", seconds=seconds, most=most_calls)
        self._opening = Opening(store, self._told, seconds=seconds)
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

    def close(self) -> None:
        """Give everything back; what is not open yet will not be."""
        if self._opening.end():
            self._deadlines.call(lambda: self._made('close'))

    def check(self) -> str:
        """One line that says how it is.

        Probes ask this for ever: one that hangs shall not take a thread each time.
        """
        if self._checking.locked():
            raise Unavailable(f"The secret store '{self.name}' has not said yet how it is.")
        return self._call('check')

    def store(self, request: StoreRequest) -> Reference:
        """Keep a payload."""
        return self._call('store', request)

    def retrieve(self, stored: StoredSecret) -> bytes:
        """A payload, byte for byte."""
        return self._call('retrieve', stored)

    def delete(self, stored: StoredSecret) -> None:
        """Destroy a payload."""
        self._call('delete', stored)

    def find(self, secret_id: str) -> Reference | None:
        """A reference of something kept for an id."""
        return self._call('find', secret_id)

    def able(self, ability: type[AnAbility]) -> AnAbility | None:
        """The store as one with an ability, such as ``Inventory``; None if it has not got it."""
        if not isinstance(self.guest, ability):
            return None
        if ability not in self._abilities:
            self._abilities[ability] = SimpleNamespace(name=self.name, **{
                method: functools.partial(self._call, method)
                for method in ability.__abstractmethods__})  # type: ignore[attr-defined]
        return cast(AnAbility, self._abilities[ability])

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        began, ended = time.perf_counter(), 'ok'
        late = functools.partial(self._undo, method, *arguments) if method in _LEAVES else None
        try:
            if not self._opening.is_open:
                raise self._closed()
            return self._deadlines.call(lambda: self._made(method, *arguments, **named), late=late)
        except KmError as error:
            ended = type(error).__name__
            raise
        finally:
            self.observe(self.name, method, ended, time.perf_counter() - began)

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
        looks_right = _LOOKS_RIGHT.get(method)
        if looks_right and not looks_right(answer):
            LOG.error('%s returned from %s what it must not, of type %s.', self._told, method,
                      type(answer).__name__)
            raise self._failed()
        return answer

    def _undo(self, method: str, request: Any, answer: Any) -> None:
        """Destroy what was kept after its deadline: nobody was told where it is."""
        for secret_id, reference in _LEAVES[method](request, answer).items():
            LOG.warning('%s kept %s after the deadline; it is destroyed.', self._told, secret_id)
            try:
                self._made('delete', StoredSecret(
                    secret_id=secret_id, project_id=request.project_id, reference=reference))
            except KmError as error:
                LOG.error('%s still keeps %s: %s', self._told, secret_id, error.sentence)

    def _closed(self) -> Unavailable:
        LOG.warning('%s', self._opening.why_not().sentence)
        return Unavailable(f"The secret store '{self.name}' does not answer.")

    def _failed(self) -> Unexpected:
        return Unexpected(f"The secret store '{self.name}' failed.")


def _is_reference(answer: Any) -> bool:
    """Whether it is a flat object that goes into a row; ``answer`` may be of a class that is no help."""
    try:
        flat = isinstance(answer, Mapping) and all(
            type(name) is str and type(value) in (str, int) for name, value in answer.items())
        return flat and 2 < len(json.dumps(dict(answer))) <= _MOST_REFERENCE_BYTES  # as rows have it
    except Exception:
        return False


def _are_kept(answer: Any) -> bool:
    return isinstance(answer, list | tuple) and all(
        isinstance(kept, Kept) and _is_reference(kept.reference) for kept in answer)


#: What an answer must look like, by the method; what is not here is not looked at.
_LOOKS_RIGHT: dict[str, Callable[[Any], bool]] = {
    'check': lambda answer: isinstance(answer, str),
    'store': _is_reference,
    'retrieve': lambda answer: isinstance(answer, bytes),
    'find': lambda answer: answer is None or _is_reference(answer),
    'kept': _are_kept,
    'generate': _is_reference,
    'generate_pair': lambda answer: isinstance(answer, KeyPair) and _is_reference(
        answer.private) and _is_reference(answer.public),
    'generate_signing_key': lambda answer: isinstance(answer, SigningKey) and _is_reference(
        answer.reference),
    'sign': lambda answer: isinstance(answer, bytes),
    'to_rewrap': lambda answer: isinstance(answer, int),
    'rewrap': lambda answer: isinstance(answer, int),
}

#: What a call leaves in a store, for which it gives references: ids and where they are.
_LEAVES: dict[str, Callable[[Any, Any], dict[str, Reference]]] = {
    'store': lambda request, reference: {request.secret_id: reference},
    'generate': lambda request, reference: {request.secret_id: reference},
    'generate_pair': lambda request, pair: {
        request.private_id: pair.private, request.public_id: pair.public},
    'generate_signing_key': lambda request, key: {request.key_id: key.reference},
}
