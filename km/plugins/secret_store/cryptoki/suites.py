# SPDX-License-Identifier: Apache-2.0
"""How a token seals a 32-byte key: the suites, of which each sealed key names its own by a number.

A number is never given a second meaning: keys of every suite ever written stay readable. Each binds the
master key's name and a context; what was moved elsewhere does not open.

* ``gcm`` (17): CKM_AES_GCM (NIST SP 800-38D), a random nonce of 12 bytes; name and context are its
  associated data. A master key may seal 2**32 keys.
* ``cbc-hmac`` (18): CKM_AES_CBC over the two blocks, then CKM_SHA256_HMAC, under a key of its own, over
  name, context, IV and ciphertext; it is compared before anything is decrypted, so there is no padding
  and nothing to try. For tokens with nothing better, and those that choose GCM's nonces themselves.
* ``kw`` (19) and ``kwp`` (20): CKM_AES_KEY_WRAP (RFC 3394) and CKM_AES_KEY_WRAP_KWP (RFC 5649). These
  wrap an object, and take no associated data: so the key is put, with the SHA-256 of name and context
  behind it, into a session object of 64 bytes, and taken from such a one. They come after GCM because
  for a moment there is an object whose value can be read, which stricter tokens refuse.

Wrapping with CKM_AES_CBC_PAD is not offered: some tokens accept any ciphertext as valid.
"""
import contextlib
import hashlib
import hmac
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as ck

from km.plugins.secret_store.cryptoki.failures import Altered, says_nothing

KEY_BYTES = 32
_NONCE_BYTES, _TAG_BITS, _IV_BYTES, _MAC_BYTES = 12, 128, 16, 32


@dataclass(frozen=True, slots=True)
class Objects:
    """A master key, as objects of one session.

    :param session: python-pkcs11's.
    :param mac: for ``cbc-hmac``; None if the token has none for this master key.
    """

    session: Any
    name: str
    aes: Any
    mac: Any = None

    def bound(self, number: int, context: bytes) -> bytes:
        """What is sealed with a key, as bytes no other suite, master key or context can share."""
        return b'km-hsm-key-v1' + bytes([number, len(self.name)]) + self.name.encode() + context


class Suite(ABC):
    """One way of sealing. Errors are those of python-pkcs11, and ``Altered``."""

    number: ClassVar[int]
    needs_mac = False
    #: What the AES key must be allowed to do beside CKA_ENCRYPT, which its check value needs.
    usage: ClassVar[tuple[Attribute, ...]] = (Attribute.DECRYPT,)

    @abstractmethod
    def seal(self, by: Objects, key: bytes, context: bytes) -> bytes:
        """A 32-byte key, sealed."""

    @abstractmethod
    def unseal(self, by: Objects, sealed: bytes, context: bytes) -> bytes:
        """The key again."""


class Gcm(Suite):
    """AES-GCM."""

    number = 17

    def seal(self, by: Objects, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + by.aes.encrypt(key, **self._parameters(by, nonce, context))

    def unseal(self, by: Objects, sealed: bytes, context: bytes) -> bytes:
        return by.aes.decrypt(
            sealed[_NONCE_BYTES:], **self._parameters(by, sealed[:_NONCE_BYTES], context))

    def _parameters(self, by: Objects, nonce: bytes, context: bytes) -> dict[str, Any]:
        return {'mechanism': Mechanism.AES_GCM,
                'mechanism_param': GCMParams(nonce, by.bound(self.number, context), _TAG_BITS)}


class CbcHmac(Suite):
    """AES-CBC, then HMAC-SHA256."""

    number = 18
    needs_mac = True

    def seal(self, by: Objects, key: bytes, context: bytes) -> bytes:
        iv = os.urandom(_IV_BYTES)
        sealed = iv + by.aes.encrypt(key, mechanism=Mechanism.AES_CBC, mechanism_param=iv)
        return sealed + self._mac(by, sealed, context)

    def unseal(self, by: Objects, sealed: bytes, context: bytes) -> bytes:
        sealed, mac = sealed[:-_MAC_BYTES], sealed[-_MAC_BYTES:]
        # Computed anew and compared here: tokens disagree on what a wrong one is.
        if not hmac.compare_digest(self._mac(by, sealed, context), mac):
            raise Altered
        return by.aes.decrypt(sealed[_IV_BYTES:], mechanism=Mechanism.AES_CBC,
                              mechanism_param=sealed[:_IV_BYTES])

    def _mac(self, by: Objects, sealed: bytes, context: bytes) -> bytes:
        if by.mac is None:
            raise ck.MechanismInvalid
        bound = by.bound(self.number, context)
        return by.mac.sign(len(bound).to_bytes(4) + bound + sealed, mechanism=Mechanism.SHA256_HMAC)


class KeyWrap(Suite):
    """AES key wrap, of an object that holds key and context."""

    number = 19
    usage = (Attribute.WRAP, Attribute.UNWRAP)
    mechanism: ClassVar[Mechanism] = Mechanism.AES_KEY_WRAP

    def seal(self, by: Objects, key: bytes, context: bytes) -> bytes:
        value = key + self._digest(by, context)
        with for_now(by.session.create_object({
                Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                Attribute.VALUE: value, **_READABLE})) as wrapped:
            return by.aes.wrap_key(wrapped, mechanism=self.mechanism)

    def unseal(self, by: Objects, sealed: bytes, context: bytes) -> bytes:
        with for_now(by.aes.unwrap_key(
                ObjectClass.SECRET_KEY, KeyType.GENERIC_SECRET, sealed, mechanism=self.mechanism,
                store=False, template=_READABLE)) as wrapped:
            value = wrapped[Attribute.VALUE]
        key, digest = value[:KEY_BYTES], value[KEY_BYTES:]
        if not hmac.compare_digest(digest, self._digest(by, context)):
            raise Altered
        return key

    def _digest(self, by: Objects, context: bytes) -> bytes:
        return hashlib.sha256(by.bound(self.number, context)).digest()


class KeyWrapPadded(KeyWrap):
    """The same by KWP, for tokens that have no other."""

    number = 20
    mechanism = Mechanism.AES_KEY_WRAP_KWP


#: By the names that options have, the best first.
SUITES: dict[str, Suite] = {
    'gcm': Gcm(), 'kwp': KeyWrapPadded(), 'kw': KeyWrap(), 'cbc-hmac': CbcHmac()}
_BY_NUMBER = {suite.number: suite for suite in SUITES.values()}

_READABLE = {Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}


def seal(suite: Suite, by: Objects, key: bytes, context: bytes) -> bytes:
    """A sealed key, with the number of its suite.

    :raises PKCS11Error: the token failed.
    """
    return bytes([suite.number]) + suite.seal(by, key, context)


def unseal(by: Objects, sealed: bytes, context: bytes) -> bytes:
    """The 32 bytes that ``seal`` was given.

    :raises Altered, PKCS11Error: they are not those, or the token failed.
    """
    suite = _BY_NUMBER.get(sealed[0]) if sealed else None
    if suite is None:
        raise Altered
    try:
        key = suite.unseal(by, sealed[1:], context)
    except (AttributeError, TypeError, ValueError):  # python-pkcs11 has no method the key is not for
        raise Altered from None
    if len(key) != KEY_BYTES:
        raise Altered
    return key


def works(suite: Suite, by: Objects) -> bool:
    """Whether a token seals by a suite: tried, for what it says of its mechanisms is a hint.

    :raises PKCS11Error: the session or the token is lost, or full, which says nothing of the suite.
    """
    key = os.urandom(KEY_BYTES)
    try:
        sealed = seal(suite, by, key, b'self-test')
        if unseal(by, sealed, b'self-test') != key:
            return False
    except ck.PKCS11Error as error:
        if says_nothing(error):
            raise
        return False
    except (AttributeError, TypeError, ValueError):
        return False
    middle = len(sealed) // 2
    altered = sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1:]
    return not _opens(by, altered, b'self-test') and not _opens(by, sealed, b'self-tesT')


def _opens(by: Objects, sealed: bytes, context: bytes) -> bool:
    try:
        unseal(by, sealed, context)
    except ck.PKCS11Error:
        return False
    return True


@contextlib.contextmanager
def for_now(made: Any) -> Iterator[Any]:
    """An object that is destroyed after the block."""
    try:
        yield made
    finally:
        with contextlib.suppress(ck.PKCS11Error):
            made.destroy()
