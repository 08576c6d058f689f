# SPDX-License-Identifier: Apache-2.0
"""How a message is sealed that leaves the process: its format, version 1, and nothing else.

A sealed message is, with all integers big-endian::

    'KMM' | version u8 | key id 8 | purpose u8 | time u64 | number 16 | ciphertext, tag 16

The time is in milliseconds since 1970, UTC. The cipher is AES-256-GCM (NIST SP 800-38D) under a key
that seals this one message: HMAC-SHA256 with the shared key over 'km message' and all that stands
before the ciphertext. The number in there is random, so no key is used twice, however many messages
there are, and the nonce can be zero. Associated data are the same header and, for an answer, the number
of its request: what was edited, cut, answered to another request or sent as something else does not
open.

Purpose is one of ``CALL``, ``CAST`` and ``ANSWER``. No version or purpose is ever given a second
meaning; ``tests/unit/worker/seal_vectors.json`` pins the bytes.
"""
import hmac
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CALL, CAST, ANSWER = 1, 2, 3

_MAGIC, _VERSION = b'KMM', 1
_HEADER = struct.Struct('>3sB8sBQ16s')
_NUMBER_BYTES = 16
_TAG_BYTES = 16
_NONCE = bytes(12)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  times in km are UTC without a zone


class Refused(Exception):
    """A message does not open, or must not be believed; the text says why, for a log."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that opened.

    :param purpose: CALL, CAST or ANSWER.
    :param number: what it alone is known by, 16 bytes.
    :param sent: when it was sealed, by the sender's clock.
    """

    purpose: int
    number: bytes
    sent: datetime
    message: bytes = field(repr=False)


class Seal:
    """Seals with one key and opens with several.

    :param keys: 32 bytes each, by their fingerprints; the first one seals.
    """

    def __init__(self, keys: Mapping[str, bytes]):
        self._keys = {bytes.fromhex(name): key for name, key in keys.items()}
        self._newest = next(iter(self._keys))

    def __repr__(self) -> str:
        return f'Seal({", ".join(name.hex() for name in self._keys)})'

    def seal(self, message: bytes, *, purpose: int, now: datetime, answers: bytes = b'',
             number: bytes | None = None) -> tuple[bytes, bytes]:
        """A message's number, and the message sealed.

        :param answers: of an answer, the number of its request.
        :param number: 16 random bytes if None; anything else is for test vectors.
        """
        number = number or os.urandom(_NUMBER_BYTES)
        sent = (now - _EPOCH) // timedelta(milliseconds=1)
        header = _HEADER.pack(_MAGIC, _VERSION, self._newest, purpose, sent, number)
        return number, header + _cipher(self._keys[self._newest], header).encrypt(
            _NONCE, message, header + answers)

    def open(self, sealed: bytes, *, answers: bytes = b'') -> Opened:
        """What was sealed; how old it is, and whether it was opened before, is the caller's to ask.

        :param answers: the number of the request that it must be the answer to.
        :raises Refused: it was not sealed with one of the keys, or not as this.
        """
        if len(sealed) < _HEADER.size + _TAG_BYTES:
            raise Refused('it is too short')
        header = sealed[:_HEADER.size]
        magic, version, key_id, purpose, sent, number = _HEADER.unpack(header)
        if (magic, version) != (_MAGIC, _VERSION):
            raise Refused('it is in no format that this km knows')
        if key_id not in self._keys:
            raise Refused(f'it is sealed with the key {key_id.hex()}, which is not here')
        try:
            message = _cipher(self._keys[key_id], header).decrypt(
                _NONCE, sealed[_HEADER.size:], header + answers)
            return Opened(purpose, number, _EPOCH + timedelta(milliseconds=sent), message)
        except (InvalidTag, OverflowError):
            raise Refused('it was altered, or is not what it is sent as') from None


def _cipher(key: bytes, header: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, b'km message' + header, 'sha256'))
