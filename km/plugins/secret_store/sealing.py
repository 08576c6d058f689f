# SPDX-License-Identifier: Apache-2.0
"""How a payload is sealed: the format of a blob, version 1, and nothing else.

A blob is, with all integers big-endian::

    'KMB1' | suite u8 | generation u32 | wrap nonce 12 | wrapped key 48 | nonce 12 | ciphertext, tag 16

Suite 1 is AES-256-GCM (NIST SP 800-38D) twice: a fresh random key seals the payload, the project's
key seals that key. Both name project, secret, version and suite in their associated data, so a blob
that was edited, cut, moved to another row or put back from an older version does not open. The
payload's key is used once. A project key seals one 32-byte key for each secret, with random nonces,
so SP 800-38D's bound of 2**32 uses is the number of secrets one project key may ever seal.

A suite number is never given a second meaning: blobs of every suite ever written stay readable.
``tests/unit/plugins/secret_store/vectors.json`` pins the bytes.
"""
import os
import struct
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from km.interfaces import CannotOpen

KEY_BYTES = 32
_MAGIC = b'KMB1'
_AES_256_GCM = 1
_HEADER = struct.Struct('>4sBI12s48s12s')
_TAG_BYTES = 16
_NONCE_BYTES = 12


def binding(project_id: str, secret_id: str, version: int, *kind: str) -> bytes:
    """What a blob belongs to, as bytes no other project, secret, version or kind can share.

    :param kind: what is in it, if it is no payload.
    """
    return b''.join(struct.pack('>H', len(part)) + part for part in (
        text.encode() for text in (project_id, secret_id, str(version), *kind)))


class Aead(Protocol):
    """AES-256-GCM under one key, with a tag of 16 bytes behind the ciphertext."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


#: Whatever does AES-256-GCM under the key that it is given: here, or in a token. Blobs are the same.
Cipher = Callable[[bytes], Aead]


def seal(payload: bytes, *, project_key: bytes, generation: int, bound_to: bytes,
         cipher: Cipher = AESGCM, random=os.urandom) -> bytes:
    """A blob that opens only with this project key and this binding.

    :param project_key: 32 bytes.
    :param generation: which of the project's keys this is; readable in the blob.
    :param bound_to: from ``binding``.
    :param random: where keys and nonces come from; anything but the default is for test vectors.
    """
    key, wrap_nonce, nonce = random(KEY_BYTES), random(_NONCE_BYTES), random(_NONCE_BYTES)
    wrapped = cipher(project_key).encrypt(
        wrap_nonce, key, _associated(b'km-key', _AES_256_GCM, generation, bound_to))
    ciphertext = cipher(key).encrypt(
        nonce, payload, _associated(b'km-payload', _AES_256_GCM, 0, bound_to))
    return _HEADER.pack(_MAGIC, _AES_256_GCM, generation, wrap_nonce, wrapped, nonce) + ciphertext


def generation_of(blob: bytes) -> int:
    """Which of the project's keys opens this blob.

    :raises CannotOpen: it is no blob of a suite this km knows.
    """
    return _parsed(blob)[2]


def unseal(blob: bytes, *, project_key: bytes, bound_to: bytes, cipher: Cipher = AESGCM) -> bytes:
    """The payload that was sealed.

    :raises CannotOpen: wrong key or binding, or a blob that was changed.
    """
    _, suite, generation, wrap_nonce, wrapped, nonce = _parsed(blob)
    try:
        key = cipher(project_key).decrypt(
            wrap_nonce, wrapped, _associated(b'km-key', suite, generation, bound_to))
        return cipher(key).decrypt(
            nonce, blob[_HEADER.size:], _associated(b'km-payload', suite, 0, bound_to))
    except InvalidTag:
        raise CannotOpen('The stored secret does not open: it was altered, or is not its own.') from None


def _parsed(blob: bytes) -> tuple:
    if len(blob) < _HEADER.size + _TAG_BYTES:
        raise CannotOpen('The stored secret does not open: it was cut short.')
    fields = _HEADER.unpack_from(blob)
    if fields[:2] != (_MAGIC, _AES_256_GCM):
        raise CannotOpen('The stored secret does not open: its format is unknown to this km.')
    return fields


def _associated(label: bytes, suite: int, generation: int, bound_to: bytes) -> bytes:
    # The payload's own seal leaves the generation out, so that a new project key means wrapping
    # 32 bytes again and never touching the payload.
    return label + struct.pack('>BI', suite, generation) + bound_to
