# SPDX-License-Identifier: Apache-2.0
"""The file with the keys that open what the store keeps, as ``age-keygen`` writes it."""
import os
import stat

from pyrage import IdentityError, x25519

_MOST_BYTES = 64 * 1024


class NoIdentities(Exception):
    """The file cannot be used; the message says why in a sentence, and tells no key."""


def read(path: str) -> list[x25519.Identity]:
    """The identities in a file, at least one, in its order.

    :raises NoIdentities: it cannot be read, may be read by others, or holds something else.
    """
    try:
        # O_NONBLOCK: a named pipe in its place shall not keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, 'rb') as file:
            _require_private(path, os.fstat(descriptor))
            lines = file.read(_MOST_BYTES).splitlines()
    except OSError as error:
        raise NoIdentities(f'{path} cannot be read: {error.strerror}.') from None
    found = [_parse(path, number, line) for number, line in enumerate(lines, 1)
             if line.strip() and not line.startswith(b'#')]
    if not found:
        raise NoIdentities(f'{path} holds no identity; make one with "age-keygen".')
    return found


def _require_private(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NoIdentities(f'{path} is no regular file.')
    if status.st_uid not in (0, os.geteuid()):
        raise NoIdentities(f'{path} must belong to root or to the user km runs as.')
    if status.st_mode & 0o037:
        raise NoIdentities(f'{path} may be read or written by others; set its mode to 0400.')


def _parse(path: str, number: int, line: bytes) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(line.decode('ascii').strip())
    except (UnicodeDecodeError, IdentityError):
        # Without the cause: it could have part of the line.
        raise NoIdentities(f'{path}: line {number} is no identity of age.') from None
