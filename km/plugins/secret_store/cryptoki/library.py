# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 shared library, entered by threads.

python-pkcs11 calls ``C_Initialize(NULL)``, which promises that one thread alone will come (PKCS#11
v2.40, 5.4), and then lets many in: libraries that believe it crash. So here C_Initialize is called by
ctypes, with ``CKF_OS_LOCKING_OK``; and so is C_Login, because python-pkcs11 leaks a session when it
fails and logs the whole process out when the session that logged in is closed.
"""
import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

from pkcs11 import PROTECTED_AUTH, _pkcs11
from pkcs11 import exceptions as ck

_OS_LOCKING_OK = 2
_OK, _CANT_LOCK, _ALREADY_INITIALIZED, _ALREADY_LOGGED_IN = 0, 0xA, 0x191, 0x100
_USER = 1
#: CKS_RO_USER_FUNCTIONS and CKS_RW_USER_FUNCTIONS
_LOGGED_IN_STATES = (1, 3)
#: Places in CK_FUNCTION_LIST, which begins with a version of two bytes, padded to a pointer's size.
_INITIALIZE, _FINALIZE, _CLOSE_ALL_SESSIONS, _GET_SESSION_INFO, _LOGIN, _LOGOUT = 0, 1, 14, 15, 18, 19

_ERRORS = {
    0x02: ck.HostMemory, 0x03: ck.SlotIDInvalid, 0x05: ck.GeneralError, 0x06: ck.FunctionFailed,
    0x07: ck.ArgumentsBad, 0x30: ck.DeviceError, 0x31: ck.DeviceMemory, 0x32: ck.DeviceRemoved,
    0xA0: ck.PinIncorrect, 0xA1: ck.PinInvalid, 0xA2: ck.PinLenRange, 0xA3: ck.PinExpired,
    0xA4: ck.PinLocked, 0xB0: ck.SessionClosed, 0xB3: ck.SessionHandleInvalid, 0xE0: ck.TokenNotPresent,
    0xE1: ck.TokenNotRecognised, 0x102: ck.UserPinNotInitialized}


class _Arguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS. NSS has one field more, at the end."""

    _fields_ = (*((name, ctypes.c_void_p) for name in ('create', 'destroy', 'lock', 'unlock')),
                ('flags', ctypes.c_ulong), ('reserved', ctypes.c_char_p), ('more', ctypes.c_void_p))


class _SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_ = tuple((name, ctypes.c_ulong) for name in ('slot', 'state', 'flags', 'error'))


class _Lib(_pkcs11.lib):
    """python-pkcs11's own, initialised by somebody else."""

    def __new__(cls, path: str, initialise: Callable[[], None]) -> '_Lib':
        return super().__new__(cls, path)  # type: ignore[call-arg]

    def __init__(self, path: str, initialise: Callable[[], None]):
        self._initialise = initialise
        super().__init__(path)

    def initialize(self) -> None:
        """What the constructor calls."""
        self._initialise()


class Library:
    """One shared library, in one process, for as long as that lives: unloading it is not safe."""

    def __init__(self, path: str, reserved: str | None):
        """Load it and do no more.

        :param reserved: a string some modules want in C_Initialize, such as NSS's.
        :raises OSError: it cannot be loaded.
        """
        self._path, self.reserved = path, reserved
        self._lib: Any = None
        at = _function_list(path) + ctypes.sizeof(ctypes.c_void_p)
        self._functions = ctypes.cast(at, ctypes.POINTER(ctypes.c_void_p))
        #: Whether one thread at a time may be in it.
        self.serial = False

    def initialise(self) -> None:
        """Call C_Initialize.

        :raises PKCS11Error: as it says.
        """
        if self._lib is None:
            self._lib = _Lib(self._path, self._initialise)
        else:
            self._initialise()

    def finalise(self) -> None:
        """Call C_Finalize, whatever comes of it: a module whose token is lost may refuse."""
        self._call(_FINALIZE, None)

    def slots(self) -> list[Any]:
        """python-pkcs11's slots."""
        return [] if self._lib is None else self._lib.get_slots()

    def describe(self) -> str:
        """Who made it, and its version."""
        lib = self._lib
        return '' if lib is None else (
            f'{lib.library_description} {".".join(map(str, lib.library_version))} '
            f'of {lib.manufacturer_id}, PKCS#11 {".".join(map(str, lib.cryptoki_version))}')

    def log_in(self, token: Any, pin: str | None) -> Any:
        """Log the process in to a token, unless it is; a session of python-pkcs11's that lives as long.

        :param pin: None if it is entered on the token itself.
        :raises PKCS11Error: as C_OpenSession and C_Login say.
        """
        session = token.open()
        code = (pin or '').encode()
        told = self._call(_LOGIN, session.handle, _USER, code if pin is not None else None, len(code),
                          types=(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong))
        if told not in (_OK, _ALREADY_LOGGED_IN):
            session.close()
            _require_ok(told)
        return session

    def log_out(self, session: int) -> None:
        """Log the process out of the token of this session.

        :raises PKCS11Error: as C_Logout says.
        """
        _require_ok(self._call(_LOGOUT, session, types=(ctypes.c_ulong,)))

    def close_all_sessions(self, slot: int) -> None:
        """Close every session of this process with a slot's token, whoever has them.

        :raises PKCS11Error: as C_CloseAllSessions says.
        """
        _require_ok(self._call(_CLOSE_ALL_SESSIONS, slot, types=(ctypes.c_ulong,)))

    def is_logged_in(self, session: Any) -> bool:
        """Whether this session is one, and its user logged in."""
        info = _SessionInfo()
        told = self._call(_GET_SESSION_INFO, session.handle, ctypes.byref(info),
                          types=(ctypes.c_ulong, ctypes.c_void_p))
        return told == _OK and info.state in _LOGGED_IN_STATES

    def _initialise(self) -> None:
        self.serial = False
        told = self._enter(_OS_LOCKING_OK)
        if told == _ALREADY_INITIALIZED:  # by the process that this one was forked from
            self.finalise()
            told = self._enter(_OS_LOCKING_OK)
        if told == _CANT_LOCK:
            self.serial = True
            told = self._enter(0)
        _require_ok(told)

    def _enter(self, flags: int) -> int:
        reserved = self.reserved.encode() if self.reserved else None
        return self._call(_INITIALIZE, ctypes.byref(_Arguments(flags=flags, reserved=reserved)))

    def _call(self, place: int, *arguments: Any, types: tuple = (ctypes.c_void_p,)) -> int:
        return ctypes.CFUNCTYPE(ctypes.c_ulong, *types)(self._functions[place])(*arguments)


class PrivateLibrary(Library):
    """A library that gives a list of functions, and a state behind it, of its own to each that asks, as
    ``p11-kit-client.so`` does. Then python-pkcs11 must do everything, and threads come one at a time."""

    def initialise(self) -> None:
        self.serial = True
        if self._lib is None:
            self._lib = _pkcs11.lib(self._path)
        else:
            self._lib.initialize()

    def finalise(self) -> None:
        with contextlib.suppress(ck.PKCS11Error):
            self._lib.finalize()

    def log_in(self, token: Any, pin: str | None) -> Any:
        try:
            return token.open(user_pin=PROTECTED_AUTH if pin is None else pin)
        except ck.UserAlreadyLoggedIn:
            return token.open()

    def is_logged_in(self, session: Any) -> bool:
        return False  # nobody can tell: so log in, which does no harm if we are


def load(path: str, reserved: str | None) -> Library:
    """A library, loaded and not initialised.

    :raises OSError: it cannot be loaded.
    """
    if _function_list(path) == _function_list(path):
        return Library(path, reserved)
    return PrivateLibrary(path, reserved)


def _function_list(path: str) -> int:
    functions = ctypes.c_void_p()
    try:
        ctypes.CDLL(path).C_GetFunctionList(ctypes.byref(functions))
    except AttributeError:
        raise OSError('it is no PKCS#11 module') from None
    return functions.value or 0


def _require_ok(told: int) -> None:
    if told != _OK:
        error = _ERRORS.get(told, ck.PKCS11Error)
        raise error(f'PKCS#11 error {told:#x}' + (', not initialised' if told == 0x190 else ''))
