# SPDX-License-Identifier: Apache-2.0
"""The PIN of a token: where it is read, and that a wrong one is tried once.

Tokens lock after a few wrong PINs, for every process that uses them and until a security officer resets
them. So a PIN that was refused is never tried again by this process, and none at all when the token says
that it is the last try; and processes that read one file log in one after the other, so that each sees
what the token says after the one before.
"""
import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Any

from pkcs11 import TokenFlag
from pkcs11 import exceptions as ck

from km.interfaces import Misconfigured, Unavailable

_MOST_BYTES = 256
_SALT = os.urandom(16)
#: What this process was refused: digests of token and PIN.
_refused: set[bytes] = set()

_PIN_ERRORS = (ck.PinIncorrect, ck.PinInvalid, ck.PinLenRange, ck.PinLocked, ck.PinExpired,
               ck.UserPinNotInitialized)


@contextlib.contextmanager
def login(settings: Any, token: Any) -> Iterator[str | None]:
    """The PIN to log in with, in a block that does so.

    :param settings: with ``pin_file``, ``pin`` and ``login_after_failed_try``.
    :param token: python-pkcs11's, looked up just now.
    :returns: None if the PIN is entered on the token.
    :raises Misconfigured: there is no PIN, or its file is readable by others.
    :raises Unavailable: it was refused, now or before, or must not be tried.
    """
    with _pin(settings, token) as pin:
        digest = hashlib.sha256(_SALT + repr((token.label, token.serial, pin)).encode()).digest()
        if digest in _refused:
            raise Unavailable('pin_file: the token refused this PIN; it is not tried again.')
        _require_tries(token.slot.get_token().flags, settings.login_after_failed_try)
        try:
            yield pin
        except _PIN_ERRORS as error:
            _refused.add(digest)
            raise Unavailable(f'pin_file: the token refused the PIN ({type(error).__name__}); it is not '
                              'tried again.') from None


def _require_tries(flags: TokenFlag, after_failure: bool) -> None:
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise Unavailable('pin_file: the token has locked its PIN; its security officer must reset it.')
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise Unavailable('pin_file: one more wrong PIN would lock the token, so it is not tried; log '
                          'in with another tool first.')
    if flags & TokenFlag.USER_PIN_COUNT_LOW and not after_failure:
        raise Unavailable('pin_file: a wrong PIN was given to the token since the last login; see '
                          'login_after_failed_try.')


@contextlib.contextmanager
def _pin(settings: Any, token: Any) -> Iterator[str | None]:
    if settings.pin_file:
        with _read(settings.pin_file) as pin:
            yield pin
    elif settings.pin:
        yield settings.pin
    elif token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
        yield None
    else:
        raise Misconfigured('pin_file: this token wants a PIN.')


@contextlib.contextmanager
def _read(path: str) -> Iterator[str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, 'rb') as file:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o037:
                raise Misconfigured(f'pin_file: {path} may be read or written by others; set its mode '
                                    'to 0400.')
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
            pin = file.read(_MOST_BYTES).decode().strip('\r\n')
            if not pin:
                raise Misconfigured(f'pin_file: {path} is empty.')
            yield pin
    except UnicodeDecodeError:
        raise Misconfigured(f'pin_file: {path} is no UTF-8.') from None
    except OSError as error:
        raise Misconfigured(f'pin_file: {path} cannot be read: {error.strerror}.') from None
