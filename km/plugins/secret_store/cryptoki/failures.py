# SPDX-License-Identifier: Apache-2.0
"""What an error of a PKCS#11 module means, whatever the vendor calls it. They are told apart here only.

python-pkcs11 has no class for CKR_CRYPTOKI_NOT_INITIALIZED, nor for codes it does not know: those are
told by their text.
"""
import enum

from pkcs11 import exceptions as ck


class Kind(enum.Enum):
    """What to do about an error."""

    #: What was given does not open. Never a reason to touch the module.
    INTEGRITY = 'the data do not open'
    #: A handle means nothing any more, or the login is gone: once more, with a new session.
    STALE = 'a session or an object is gone'
    #: The token or its module does not work: initialise it again.
    DEVICE = 'the token does not work'
    #: It may be the data, or the device: ask the token something with a known answer.
    SUSPECT = 'the token failed for no reason it tells'
    #: No more sessions or memory, for now.
    CAPACITY = 'the token has no room'
    #: What was asked cannot be done by this token or with this key.
    CALLER = 'the token does not do this'


class Failed(Exception):
    """The token did not do it, after whatever could be done about that.

    :param kind: what it means.
    :param error: the name of the error's class; nothing else of it is kept.
    """

    def __init__(self, kind: Kind, error: str):
        super().__init__(f'{kind.value} ({error})')
        self.kind = kind


class Altered(ck.PKCS11Error):
    """Our own finding, in software: the data are not those that were sealed."""


class Gone(ck.PKCS11Error):
    """A master key that was there is not found: perhaps it is the login that is gone, or the token."""


class WrongAnswer(ck.PKCS11Error):
    """The token answers, but not what it answered before: it is another, or broken."""


_INTEGRITY = (Altered, ck.EncryptedDataInvalid, ck.EncryptedDataLenRange, ck.WrappedKeyInvalid,
              ck.WrappedKeyLenRange, ck.SignatureInvalid, ck.SignatureLenRange)
_STALE = (Gone, ck.SessionClosed, ck.SessionHandleInvalid, ck.ObjectHandleInvalid, ck.KeyHandleInvalid,
          ck.WrappingKeyHandleInvalid, ck.UnwrappingKeyHandleInvalid, ck.UserNotLoggedIn,
          ck.OperationActive, ck.OperationNotInitialized)
_DEVICE = (WrongAnswer, ck.DeviceError, ck.DeviceRemoved, ck.TokenNotPresent, ck.TokenNotRecognised,
           ck.SlotIDInvalid, ck.NoSuchToken)
_CAPACITY = (ck.SessionCount, ck.DeviceMemory, ck.HostMemory)
_SUSPECT = (ck.GeneralError, ck.FunctionFailed, ck.FunctionCancelled)
#: Those of ``_STALE`` that no token gives when it cannot do what it is asked.
_LOST = (ck.SessionClosed, ck.SessionHandleInvalid, ck.ObjectHandleInvalid, ck.UserNotLoggedIn)
_BY_CLASS = ((_INTEGRITY, Kind.INTEGRITY), (_STALE, Kind.STALE), (_DEVICE, Kind.DEVICE),
             (_CAPACITY, Kind.CAPACITY), (_SUSPECT, Kind.SUSPECT))


def kind_of(error: ck.PKCS11Error) -> Kind:
    """What an error means."""
    for classes, kind in _BY_CLASS:
        if isinstance(error, classes):
            return kind
    if type(error) is not ck.PKCS11Error:
        return Kind.CALLER
    return Kind.DEVICE if 'nitiali' in str(error) else Kind.SUSPECT


def says_nothing(error: ck.PKCS11Error) -> bool:
    """Whether it says nothing of what the token can do: a session or the token is lost, or full."""
    return isinstance(error, _LOST) or kind_of(error) in (Kind.DEVICE, Kind.CAPACITY)
