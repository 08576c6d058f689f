# SPDX-License-Identifier: Apache-2.0
"""Sealing payloads in a token, for those who must have every cipher done there."""
import os
from collections.abc import Callable
from typing import Any

from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as ck

from km.plugins.secret_store.cryptoki.failures import says_nothing
from km.plugins.secret_store.cryptoki.sessions import Lease
from km.plugins.secret_store.cryptoki.suites import for_now

#: Gives what a function gives that needs a session.
Run = Callable[[Callable[[Lease], bytes]], bytes]

_KEY_BYTES, _NONCE_BYTES, _TAG_BITS = 32, 12, 128
_KEY = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
        Attribute.TOKEN: False, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,
        Attribute.ENCRYPT: True, Attribute.DECRYPT: True}


class TokenGcm:
    """CKM_AES_GCM under a key that is brought into the token for each use, as an object of a session.

    It gives and takes what AES-256-GCM in software does.
    """

    def __init__(self, seal: Run, unseal: Run, key: bytes):
        """:param key: 32 bytes."""
        self._seal, self._unseal, self._key = seal, unseal, key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Ciphertext and tag."""
        return self._seal(lambda lease: _encrypt(lease, self._key, nonce, data, associated_data))

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """The data again."""
        return self._unseal(lambda lease: _decrypt(lease, self._key, nonce, data, associated_data))


def works(lease: Lease) -> bool:
    """Whether the token does so, and notices what was altered.

    :raises PKCS11Error: the session or the token is lost, or full, which says nothing of that.
    """
    key, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES)
    try:
        sealed = _encrypt(lease, key, nonce, b'self-test', b'x')
        if _decrypt(lease, key, nonce, sealed, b'x') != b'self-test':
            return False
    except ck.PKCS11Error as error:
        if says_nothing(error):
            raise
        return False
    try:
        _decrypt(lease, key, nonce, sealed, b'y')
    except ck.PKCS11Error:
        return True
    return False


def _encrypt(lease: Lease, key: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
    with _brought(lease, key) as brought:
        return brought.encrypt(data, **_parameters(nonce, associated_data))


def _decrypt(lease: Lease, key: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
    with _brought(lease, key) as brought:
        return brought.decrypt(data, **_parameters(nonce, associated_data))


def _brought(lease: Lease, key: bytes) -> Any:
    return for_now(lease.session.create_object({**_KEY, Attribute.VALUE: key}))


def _parameters(nonce: bytes, associated_data: bytes) -> dict[str, Any]:
    return {'mechanism': Mechanism.AES_GCM,
            'mechanism_param': GCMParams(nonce, associated_data, _TAG_BITS)}
