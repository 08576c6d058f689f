# SPDX-License-Identifier: Apache-2.0
"""Opening what a client wrapped with the public half of an RSA key. ``km.api.transport_keys`` has the
forms as clients see them.

Whatever does not open fails with one sentence, after the same work, so that nobody who sends altered
ciphertexts learns from an answer how far one of them got:

* OAEP (RFC 8017, 7.1) is opened by OpenSSL in constant time, with either hash in turn;
* of a JWE (RFC 7516) whose key does not open, a random key is tried instead, as its section 11.5 asks;
* PKCS#1 v1.5 (RFC 8017, 7.2) has no check of its own. OpenSSL answers for a wrong padding with bytes
  that are made from ciphertext and private key ("implicit rejection"), and so does km: nobody can
  tell them from a payload, but nobody is told of a mistake either. That is why it must be asked for.
"""
import base64
import json
import os
import re
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from km.errors import Invalid

#: Paddings of RSA ciphertext.
OAEP, PKCS1 = 'oaep', 'pkcs1'

_JWE = re.compile(rb'[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}\Z')
_KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(algorithm), algorithm=algorithm, label=None)


_OAEP_256 = _oaep(hashes.SHA256())
#: SHA-1 is what "openssl pkeyutl" takes where nobody says more, and is no weakness in OAEP.
_OAEP_1 = _oaep(hashes.SHA1())  # noqa: S303


def opened(wrapped: bytes, key: rsa.RSAPrivateKey, *, key_id: str, project_id: str,
           paddings: tuple[str, ...]) -> bytes:
    """What is in ``wrapped``: a compact JWE in ASCII, or else one block of RSA ciphertext.

    :param key_id: what a JWE's ``kid`` must be, if it has one.
    :param project_id: what a JWE's ``project_id`` must be, if it has one.
    :param paddings: those to try of a block, in their order.
    :raises Invalid: it does not open, or is a JWE that km does not take.
    """
    if _JWE.match(wrapped):
        return _opened_jwe(wrapped, key, bound_to={'kid': key_id, 'project_id': project_id})
    for name in paddings:
        for scheme in (_OAEP_256, _OAEP_1) if name == OAEP else (padding.PKCS1v15(),):
            try:
                return key.decrypt(wrapped, scheme)
            except ValueError:
                continue
    raise _closed()


def _opened_jwe(wrapped: bytes, key: rsa.RSAPrivateKey, *, bound_to: dict[str, str]) -> bytes:
    parts = wrapped.split(b'.')
    encrypted_key, nonce, ciphertext, tag = (_bytes(part) for part in parts[1:])
    _require_header(_bytes(parts[0]), bound_to)
    if len(nonce) != _NONCE_BYTES or len(tag) != _TAG_BYTES:
        raise _closed()
    content_key = os.urandom(_KEY_BYTES)
    try:
        found = key.decrypt(encrypted_key, _OAEP_256)
        content_key = found if len(found) == _KEY_BYTES else content_key
    except ValueError:
        pass  # the random one does not open it either, and takes as long
    try:
        return AESGCM(content_key).decrypt(nonce, ciphertext + tag, parts[0])
    except InvalidTag:
        raise _closed() from None


def _require_header(text: bytes, bound_to: dict[str, str]) -> None:
    """Insist on a protected header (RFC 7516, 4) that km understands.

    :raises Invalid: it is none, or asks for what km does not do.
    """
    try:
        header = json.loads(text.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        raise _closed() from None
    if not isinstance(header, dict):
        raise _closed()
    if (header.get('alg'), header.get('enc')) != ('RSA-OAEP-256', 'A256GCM'):
        raise Invalid("A wrapped payload that is a JWE must have alg 'RSA-OAEP-256' and enc 'A256GCM'.")
    if 'zip' in header or 'crit' in header:
        raise Invalid("A wrapped payload that is a JWE must have neither 'zip' nor 'crit'.")
    for name, value in bound_to.items():
        if header.get(name, value) != value:
            raise Invalid(f"The '{name}' of the JWE is not that of this request.")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError('duplicate name')
    return found


def _bytes(part: bytes) -> bytes:
    """One part of a JWE, whose alphabet was seen to."""
    try:
        return base64.urlsafe_b64decode(part + b'=' * (-len(part) % 4))
    except ValueError:
        raise _closed() from None


def _closed() -> Invalid:
    return Invalid('The payload does not open with the transport key.')
