# SPDX-License-Identifier: Apache-2.0
"""What Barbican's ``p11_crypto`` made of payloads, opened in the token that has its master keys.

A project's key was wrapped by the token's master key, and signed by another one (HMAC-SHA256 over
initialization vector and wrapped key). It is unwrapped in the token, as an object of the session, and
the payload decrypted there: AES-CBC with PKCS #7 padding, or AES-GCM with a tag of 128 bits and no
associated data. Mechanisms are PKCS#11's (v2.40; 3.1 for KWP); the rows note which ones, and the names
of the keys.
"""
import base64
import binascii
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pkcs11
from cachetools import LRUCache
from cryptography.hazmat.primitives.padding import PKCS7
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, TokenFlag
from pkcs11.exceptions import (
    PinIncorrect,
    PinLenRange,
    PKCS11Error,
    TokenNotPresent,
    TokenNotRecognised,
)

from km.errors import CannotOpen, Misconfigured, Unavailable
from km.plugins.secret_store.cryptoki.failures import says_nothing
from km.plugins.secret_store.cryptoki.library import Library
from km.plugins.secret_store.cryptoki.module import Module, acquire, release

#: The last part of the name that Barbican has for this back end.
PLUGIN = 'P11CryptoPlugin'

_WRAPPINGS = {'CKM_AES_CBC_PAD': Mechanism.AES_CBC_PAD,
              'CKM_AES_KEY_WRAP_PAD': Mechanism.AES_KEY_WRAP_PAD,
              'CKM_AES_KEY_WRAP_KWP': Mechanism.AES_KEY_WRAP_KWP}
#: What wrapped before Barbican noted it.
_FIRST_WRAPPING = 'CKM_AES_CBC_PAD'
_TAG_BITS = 128
_AES_BLOCK_BITS = 128
_KEYS_REMEMBERED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Which token, as ``[p11_crypto_plugin]`` of a barbican.conf says it.

    :param serial: its serial number, which decides alone if there is one.
    :param labels: or what it may be called.
    :param slot: or else the number of its slot.
    """

    library: str
    pin: str = field(repr=False)
    serial: str | None = None
    labels: tuple[str, ...] = ()
    slot: int = 1


class P11Crypto:
    """Opens in a token, into which it logs in once, when it is first needed.

    Methods raise ``Misconfigured`` then if there is no such library or token, or it refuses the PIN.
    Only one thread may use it. A store of km's may use the same library, or the same token, meanwhile.
    """

    def __init__(self, token: Token):
        """Touch nothing yet."""
        self._token = token
        self._module: Module | None = None
        self._session: pkcs11.Session | None = None
        self._master_keys: dict[str, Any] = {}
        self._project_keys = _Keys(_KEYS_REMEMBERED)

    def check(self, wrapped_key: bytes) -> None:
        """Insist that the token unwraps a project's key.

        :raises CannotOpen: it does not.
        :raises Unavailable: it does not answer.
        """
        self._project_key(wrapped_key)

    def open(self, wrapped_key: bytes, ciphertext: bytes, extended: bytes | None) -> bytes:
        """The payload.

        :param wrapped_key: the project's key, as ``kek_data.plugin_meta`` has it: JSON.
        :param ciphertext: what ``encrypted_data.cypher_text`` is the base64 of.
        :param extended: ``encrypted_data.kek_meta_extended``: JSON.
        :raises CannotOpen: it does not open.
        :raises Unavailable: the token does not answer.
        """
        noted = _read(extended or b'{}')
        decrypt = _DECRYPTIONS.get(noted.get('mechanism'))
        if decrypt is None or not noted.get('iv'):
            raise CannotOpen(f"its payload was sealed by {noted.get('mechanism')}, which km has not")
        key = self._project_key(wrapped_key)
        with _told('its payload does not open in the token'):
            return decrypt(key, ciphertext, _bytes(noted['iv']))

    def close(self) -> None:
        """Forget the keys of projects and log out."""
        self._project_keys.clear()
        if self._session:
            self._session.close()
        if self._module:
            release(self._module)
            self._module = None

    def _project_key(self, wrapped_key: bytes) -> Any:
        if wrapped_key not in self._project_keys:
            self._project_keys[wrapped_key] = self._unwrap(wrapped_key)
        return self._project_keys[wrapped_key]

    def _master_key(self, label: str) -> Any:
        if label not in self._master_keys:
            self._master_keys[label] = self._find_master_key(label)
        return self._master_keys[label]

    def _unwrap(self, wrapped_key: bytes) -> Any:
        noted = _read(wrapped_key)
        try:
            wrapped, signature = _bytes(noted['wrapped_key']), _bytes(noted['hmac'])
            vector = _bytes(noted['iv']) if noted['iv'] else None
            mechanism = _WRAPPINGS[noted.get('key_wrap_mechanism', _FIRST_WRAPPING)]
            signer = self._master_key(noted['hmac_label'])
            master = self._master_key(noted['mkek_label'])
        except KeyError as missing:
            raise CannotOpen(f"its project's key is wrapped in a way km has not: {missing}") from None
        with _told("its project's key does not open in the token"):
            if not signer.verify((vector or b'') + wrapped, signature,
                                 mechanism=Mechanism.SHA256_HMAC):
                raise ValueError
            return master.unwrap_key(
                ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=mechanism,
                mechanism_param=vector, capabilities=MechanismFlag.DECRYPT,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True})

    def _logged_in(self) -> pkcs11.Session:
        with _told_of_token():
            try:
                self._module = acquire(self._token.library, None)
            except Misconfigured as error:  # its sentence begins with an option of km's
                raise Misconfigured('[p11_crypto_plugin] library_path: this library, or its token, '
                                    f'cannot be used ({error.sentence})') from None
            library = self._module.library
            return library.log_in(_the_token(library, self._token), self._token.pin)

    def _find_master_key(self, label: str) -> Any:
        if self._session is None:
            self._session = self._logged_in()
        with _told('the token does not find its keys'):
            found = list(self._session.get_objects(
                {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}))
        if len(found) != 1:
            raise CannotOpen(f"the token has {len(found)} keys '{label}', and should have one")
        return found[0]


class _Keys(LRUCache):
    """Keys in a session of a token, which has no room for any number of them."""

    def popitem(self) -> tuple[bytes, Any]:
        """Forget the one that was used longest ago, in the token too."""
        wrapped, key = super().popitem()
        key.destroy()
        return wrapped, key


@contextlib.contextmanager
def _told(sentence: str) -> Iterator[None]:
    """In the place of what goes wrong with the data say ``sentence``, which tells none of it.

    :raises CannotOpen: with that.
    :raises Unavailable: it was not the data.
    """
    try:
        yield
    except (PKCS11Error, ValueError) as error:
        _require_there(error)
        raise CannotOpen(sentence) from None


def _require_there(error: Exception) -> None:
    """:raises Unavailable: the error says that the token, or the session with it, is lost or full."""
    if isinstance(error, PKCS11Error) and says_nothing(error):
        raise Unavailable(f'The token does not answer ({type(error).__name__}).') from None


def _the_token(library: Library, token: Token) -> pkcs11.Token:
    found = [there for slot in library.slots() if (there := _wanted(slot, token))]
    if len(found) != 1:
        raise Misconfigured(f'[p11_crypto_plugin] token_labels: {len(found)} tokens are there that '
                            'barbican.conf could mean, and should be one.')
    if found[0].flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise Misconfigured('[p11_crypto_plugin] login: the token would be locked by one more wrong '
                            'PIN, so none is tried. Log in once by other means.')
    return found[0]


@contextlib.contextmanager
def _told_of_token() -> Iterator[None]:
    """Say of the library and the token what an operator can mend."""
    try:
        yield
    except (PinIncorrect, PinLenRange):
        raise Misconfigured('[p11_crypto_plugin] login: the token refuses this PIN.') from None
    except PKCS11Error as error:
        _require_there(error)
        raise Misconfigured('[p11_crypto_plugin] library_path: this library, or its token, cannot be '
                            f'used ({type(error).__name__}).') from None


def _wanted(slot: pkcs11.Slot, token: Token) -> pkcs11.Token | None:
    """The token in a slot, if it is there, is initialised and is this one."""
    try:
        there = slot.get_token()
    except (TokenNotPresent, TokenNotRecognised):
        return None
    if not there.flags & TokenFlag.TOKEN_INITIALIZED:
        return None
    if token.serial:
        is_it = there.serial.decode(errors='replace').strip() == token.serial
    else:
        is_it = there.label in token.labels if token.labels else slot.slot_id == token.slot
    return there if is_it else None


def _read(noted: bytes) -> dict[str, Any]:
    try:
        read = json.loads(noted)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise CannotOpen('what Barbican noted about its key or payload cannot be read')
    return read


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, TypeError):
        raise CannotOpen('what Barbican noted about its key or payload is no base64') from None


def _open_cbc(key: Any, ciphertext: bytes, vector: bytes) -> bytes:
    padded = key.decrypt(ciphertext, mechanism=Mechanism.AES_CBC, mechanism_param=vector)
    unpadder = PKCS7(_AES_BLOCK_BITS).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def _open_gcm(key: Any, ciphertext: bytes, nonce: bytes) -> bytes:
    return key.decrypt(ciphertext, mechanism=Mechanism.AES_GCM,
                       mechanism_param=pkcs11.GCMParams(nonce, b'', _TAG_BITS))


_DECRYPTIONS: dict[str | None, Callable[[Any, bytes, bytes], bytes]] = {
    'CKM_AES_CBC': _open_cbc, 'CKM_AES_GCM': _open_gcm}
