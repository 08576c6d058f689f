# SPDX-License-Identifier: Apache-2.0
"""Whether the parts that km stands on work, asked so that nobody can wear them out by asking."""
import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

from km.errors import KmError
from km.hosting.store import HostedStore
from km.lifecycle.context import ANYBODY, Context, task

LOG = logging.getLogger(__name__)

#: How long an answer is good.
FRESH_SECONDS = 5.0
#: How long a store may take for one; whoever asks a worker about its stores waits a little longer.
PATIENCE_SECONDS = 2.0


class Probe:
    """One question about one part, such as "does this store work?".

    It is asked in a thread of its own, so that a part that hangs holds up nobody; once in a few
    seconds, whoever wants to know; and not again while it has not been answered.
    """

    def __init__(self, name: str, question: Callable[[], Any], *, fresh: float = FRESH_SECONDS,
                 patience: float = PATIENCE_SECONDS):
        """Ask nothing yet.

        :param name: of the part, for the log.
        :param question: its answer means that the part works, an exception that it does not.
        :param fresh: seconds that an answer is good.
        :param patience: seconds after which the part counts as one that does not work.
        """
        self._name, self._question, self._fresh, self._patience = name, question, fresh, patience
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answered.set()
        self._asked = float('-inf')
        self._answer: Any = None
        self._worked = True

    def ask(self) -> None:
        """Begin to ask, unless the last answer is fresh, or still to come."""
        with self._lock:
            now = time.monotonic()
            if not self._answered.is_set() or now - self._asked < self._fresh:
                return
            self._asked = now
            self._answered.clear()
        threading.Thread(target=self._run, name=f'km-probe-{self._name}', daemon=True).start()

    def answer(self) -> Any:
        """The last answer, which may be awaited; None if the part does not work, or is late."""
        return self._answer if self.works() else None

    def works(self) -> bool:
        """Whether the part does. It may be awaited, but not longer than there is patience."""
        self.ask()
        left = self._asked + self._patience - time.monotonic()
        return self._answered.wait(max(left, 0)) and self._worked

    def _run(self) -> None:
        try:
            self._answer = self._question()
            if not self._worked:
                LOG.warning('%s works again.', self._name)
            self._worked = True
        except Exception as error:
            if self._worked:  # once, not with every probe
                LOG.warning('%s does not work: %s', self._name, _told(error))
            self._worked = False
        finally:
            self._answered.set()


#: Stores are plugins and know nothing of probes; each has one as long as it lives.
_PROBES: WeakKeyDictionary[HostedStore, Probe] = WeakKeyDictionary()


@task(ANYBODY)
def states(ctx: Context) -> dict[str, list[bool]]:
    """Of each store, by the operator's name of it, whether it works, as of the last seconds, and whether
    km is no use without it: those marked as required, and the default one."""
    probes = {name: _probe(name, store) for name, store in ctx.stores.items()}
    for probe in probes.values():
        probe.ask()  # all at once, so that patience does not add up
    return {name: [probe.works(), ctx.stores[name].required or name == ctx.default_store]
            for name, probe in probes.items()}


def _probe(name: str, store: HostedStore) -> Probe:
    if store not in _PROBES:
        weak = ref(store)  # a probe that kept its store alive would keep itself alive too
        _PROBES[store] = Probe(f'Secret store {name}', lambda: _check(weak()))
    return _PROBES[store]


def _check(store: HostedStore | None) -> str:
    return store.check() if store else 'gone'


def _told(error: Exception) -> str:
    return error.sentence if isinstance(error, KmError) else type(error).__name__
