# SPDX-License-Identifier: Apache-2.0
"""A token in use: found, logged in to once, used by many threads, and brought back when it is lost."""
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pkcs11 import TokenFlag
from pkcs11 import exceptions as ck

from km.interfaces import KmError, Misconfigured, Unavailable
from km.plugins.secret_store.cryptoki import module, pins
from km.plugins.secret_store.cryptoki.failures import Failed, Gone, Kind, WrongAnswer, kind_of
from km.plugins.secret_store.cryptoki.sessions import Lease, SessionPool, close

LOG = logging.getLogger(__name__)

Something = TypeVar('Something')

#: Pauses after a recovery that failed: the first, doubling, and the longest.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
#: How soon after another a module is initialised again to see new objects.
_RELOAD_SECONDS = 30.0


class Token:
    """A token of a module. Every call of the module is made in ``run`` or in ``run_alone``."""

    def __init__(self, settings: Any, known_answer: Callable[[Lease], None]):
        """Touch nothing yet.

        :param settings: the store's section.
        :param known_answer: asks the token something, in a session.
            It raises ``Gone`` or ``WrongAnswer`` if that is not what the token said before.
        """
        self._settings, self._known_answer = settings, known_answer
        self._pool = SessionPool(settings.sessions, settings.session_timeout_seconds)
        self._lock, self._recovering = threading.Lock(), threading.Lock()
        #: What we are logged in in: 0 if we are not, or not sure.
        self._generation = 0
        self._owner: Any = None
        self._is_open = False
        self._pause = self._not_before = self._reloaded = 0.0

    def open(self) -> None:
        """Get at the module, find the token and log in.

        :raises Misconfigured: an option is wrong.
        :raises Unavailable: the token is not there, or does not let us in.
        """
        try:
            self.module = module.acquire(
                self._settings.module_path, self._settings.initialisation_string)
        except ck.PKCS11Error as error:
            raise Unavailable(f'The PKCS#11 module does not start ({type(error).__name__}).') from None
        self._is_open = True
        try:
            self._attempt(lambda _: None)
        except ck.PKCS11Error as error:
            self.close()
            raise Unavailable(_told(error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every session, and finalise the module if nobody else uses it. It may be closed."""
        if not self._is_open:
            return
        self._is_open = False
        seconds = self._settings.session_timeout_seconds
        with contextlib.suppress(Unavailable), self.module.gate.enter(seconds):
            self._pool.forget(stale=self._generation != self.module.generation)
            if self._owner is not None and self._generation == self.module.generation:
                close(self._owner)
        self._generation, self._owner = 0, None
        module.release(self.module)

    def run(self, work: Callable[[Lease], Something]) -> Something:
        """What ``work`` gives; it may be called up to three times, while the token is brought back.

        :raises Failed: it did not work, and the token is not to blame; or it is and there is no help.
        :raises Unavailable: the token is not there, or being brought back.
        """
        self.module.require_own_process()
        seen = self.module.generation
        try:
            return self._attempt(work)
        except ck.PKCS11Error as error:
            failed = self._judged(error)
        if failed.kind is Kind.STALE:
            self._doubt()
            try:
                return self._attempt(work)
            except ck.PKCS11Error as error:
                failed = self._judged(error)
        if failed.kind in (Kind.STALE, Kind.DEVICE):
            self._recover(seen, failed)
            try:
                return self._attempt(work)
            except ck.PKCS11Error as error:
                failed = self._judged(error)
        raise failed

    def run_alone(self, work: Callable[[Lease], Something]) -> Something:
        """What ``work`` gives, in a session that may change the token's objects, with no other call in
        the module meanwhile: several modules do not survive that.

        :raises Failed: it did not work.
        :raises Unavailable: the token is busy, or not there.
        """
        self.run(self._known_answer)  # so what is lost is brought back, for ``work`` is done once
        with self.module.gate.alone():
            session = None
            try:
                session = self._found().open(rw=True)
                return work(Lease(session, 0))
            except ck.PKCS11Error as error:
                raise Failed(kind_of(error), type(error).__name__) from None
            finally:
                if session is not None:
                    close(session)

    def reload(self) -> None:
        """Let the module see what other processes have put on the token, if it must be initialised for
        that; not if that was done a moment ago.

        :raises Unavailable: it does not come back.
        """
        seen = self.module.generation
        if time.monotonic() - self._reloaded >= _RELOAD_SECONDS:
            self._reloaded = time.monotonic()
            try:
                self.module.initialise_again(seen)
            except ck.PKCS11Error as error:
                raise Unavailable(_told(error)) from None

    def describe(self) -> list[str]:
        """Lines about module and token; within ``run``."""
        token = self._token
        version = '.'.join(map(str, token.firmware_version))
        offered = sorted(getattr(mechanism, 'name', hex(mechanism))
                         for mechanism in token.slot.get_mechanisms())
        return [
            f'module: {self.module.library.describe()}'
            + (', one call at a time' if self.module.library.serial else ''),
            f"token: '{token.label}', serial {_serial(token)}, slot "
            f'{token.slot.slot_id}, {token.manufacturer_id} {token.model}, firmware {version}',
            f'flags: {", ".join(str(flag.name) for flag in TokenFlag if flag & token.flags)}',
            f'mechanisms: {", ".join(offered)}']

    def _attempt(self, work: Callable[[Lease], Something]) -> Something:
        with (self._pool.place(),
              self.module.gate.enter(self._settings.session_timeout_seconds)):
            if self._generation != self.module.generation:
                self._log_in()
            with self._pool.lease(self._token.open) as lease:
                return work(lease)

    def _log_in(self) -> None:
        """Log in, unless we are."""
        with self._lock:
            generation = self.module.generation
            if self._generation == generation:
                return
            if self._generation != -generation:
                self._pool.forget(stale=True)
                self._owner = None
            self._token = self._found()
            if self._owner is None or not self.module.library.is_logged_in(self._owner):
                if self._owner is not None:
                    close(self._owner)
                self._owner = None
                self._owner = self._logged_in()
            self._generation = generation

    def _logged_in(self) -> Any:
        if not self._token.flags & TokenFlag.LOGIN_REQUIRED:
            return self._token.open()
        with pins.login(self._settings, self._token) as pin:
            return self.module.library.log_in(self._token, pin)

    def _found(self) -> Any:
        """The one token that the settings name."""
        settings = self._settings
        found = []
        for slot in self.module.library.slots():
            with contextlib.suppress(ck.TokenNotPresent, ck.TokenNotRecognised):
                token = slot.get_token()
                if (settings.token_label in (None, token.label)
                        and settings.token_serial in (None, _serial(token))
                        and settings.slot_id in (None, slot.slot_id)):
                    found.append(token)
        if not found:
            raise ck.NoSuchToken
        if len(found) > 1:
            raise Misconfigured(
                'token_label: several tokens are called so; add token_serial or slot_id.')
        return found[0]

    def _doubt(self) -> None:
        """Before the next call, see whether we are still logged in."""
        with self._lock:
            if self._generation == self.module.generation:
                self._generation = -self.module.generation
        self._pool.forget(stale=False)

    def _judged(self, error: ck.PKCS11Error) -> Failed:
        kind = kind_of(error)
        if kind is Kind.SUSPECT:
            try:
                self._attempt(self._known_answer)
            except ck.PKCS11Error:
                kind = Kind.DEVICE
        return Failed(kind, type(error).__name__)

    def _recover(self, seen: int, failed: Failed) -> None:
        """Initialise the module again, and see that the token is the one it was.

        :raises Unavailable: it is not, or was tried too short a time ago, or somebody is at it.
        """
        if time.monotonic() < self._not_before or not self._recovering.acquire(blocking=False):
            raise Unavailable('The token does not work; it is looked for again soon.')
        try:
            self._tried(seen, failed)
            self._pause = 0.0
        except BaseException:
            self._pause = min(self._pause * 2 or _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            self._not_before = time.monotonic() + self._pause
            raise
        finally:
            self._recovering.release()

    def _tried(self, seen: int, failed: Failed) -> None:
        LOG.warning('Token %s is lost: %s.', self._settings.token_label, failed)
        try:
            self.module.initialise_again(seen)
            self._attempt(self._known_answer)
        except ck.PKCS11Error as error:
            raise Unavailable(_told(error)) from None
        except KmError as error:
            LOG.warning('It is not back: %s', error.sentence)
            raise Unavailable(error.sentence) from None
        LOG.warning('Token %s is back.', self._settings.token_label)


def _serial(token: Any) -> str:
    return token.serial.decode(errors='replace').strip()


def _told(error: ck.PKCS11Error) -> str:
    if isinstance(error, ck.NoSuchToken):
        return 'token_label: there is no such token now.'
    if isinstance(error, Gone | WrongAnswer):
        return 'The token does not have the master keys it had.'
    return f'The token does not work ({type(error).__name__}).'
