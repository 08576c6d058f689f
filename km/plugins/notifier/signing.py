# SPDX-License-Identifier: Apache-2.0
"""Signatures of Standard Webhooks 1.0.0 (symmetric, ``v1``), and the file that has their secrets.

A secret is ``whsec_`` and the base64 of 24 to 64 bytes; the file has one a line, and every request is
signed with each. So secrets are replaced without a gap: add the new one, tell the receiver, take the old
one away.
"""
import base64
import binascii
import hmac
import os
import stat

from km.interfaces import Misconfigured

_PREFIX = 'whsec_'
_FEWEST_BYTES, _MOST_BYTES = 24, 64
_MAX_FILE_BYTES = 2 ** 16


def read_secrets(path: str) -> list[bytes]:
    """The secrets in a file.

    The file must be a regular one, owned by root or by the user km runs as, and readable by nobody else
    but at most that user's group.

    :raises Misconfigured: it is not so, or there is something else in it; the sentence has no end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, 'rb') as file:
            _require_private(path, os.fstat(descriptor))
            lines = file.read(_MAX_FILE_BYTES).splitlines()
    except OSError as error:
        raise Misconfigured(f'the file {path} cannot be read: {error.strerror}') from None
    secrets = [_secret(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not secrets:
        raise Misconfigured(f'the file {path} is empty')
    return secrets


def _require_private(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Misconfigured(f'{path} is no file')
    if status.st_uid not in (0, os.geteuid()):
        raise Misconfigured(f'the file {path} must belong to root or to the user km runs as')
    if status.st_mode & 0o037:
        raise Misconfigured(f'the file {path} may be read or written by others; set its mode to 0400')


def _secret(path: str, number: int, line: bytes) -> bytes:
    try:
        text = line.decode('ascii').strip()
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        text, key = '', b''
    if not (text.startswith(_PREFIX) and _FEWEST_BYTES <= len(key) <= _MOST_BYTES):
        raise Misconfigured(f'line {number} of {path} is no secret: "whsec_" and the base64 of 24 to 64 '
                            'bytes')
    return key


def signed(secrets: list[bytes], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that say who sent ``body``.

    :param message_id: the same each time that the same thing is sent.
    :param timestamp: when it is sent, in seconds since 1970.
    """
    content = f'{message_id}.{timestamp}.'.encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, content, 'sha256')).decode()
                  for secret in secrets)
    return {'webhook-id': message_id, 'webhook-timestamp': str(timestamp),
            'webhook-signature': ' '.join(f'v1,{signature}' for signature in signatures)}
