# SPDX-License-Identifier: Apache-2.0
"""A key in a file: how it is written, and what km demands before it believes one.

One file holds one key, as a line of text: ``km-kek-v1 <fingerprint> <base64 of 32 bytes>`` is a store's
master key; ``km-seal-key-v1`` instead is a key that messages are sealed with, so that nobody puts one
in the place of the other. The fingerprint is public, the first 16 hexadecimal digits of
HMAC-SHA256(key, 'km key fingerprint'). It is kept beside everything the key seals, and it is checked on
reading, so that a damaged file or a file under another's name is found out at once.

A file of master keys may hold several, a line each: see ``key_ring``.
"""
import base64
import binascii
import hmac
import os
import stat
from dataclasses import dataclass, field

from km.interfaces import Misconfigured

#: The kinds of keys: a store's master key, and one that messages are sealed with.
KEK, SEAL_KEY = 'kek', 'seal-key'

_KEY_BYTES = 32
_MAX_FILE_BYTES = 2 ** 16


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A 256-bit key and its public fingerprint."""

    fingerprint: str
    key: bytes = field(repr=False)


def fingerprint(key: bytes) -> str:
    """The public name of a key: 16 hexadecimal digits that tell nothing about it."""
    return hmac.digest(key, b'km key fingerprint', 'sha256').hex()[:16]


def create(path: str, kind: str = KEK) -> MasterKey:
    """Write a new random key to ``path`` with mode 0400, durably.

    :raises Misconfigured: the file exists, or cannot be written. A key is never overwritten.
    """
    made = new()
    try:
        write_new(path, line(made, kind) + '\n')
        sync_folder(path)
    except OSError as error:
        raise Misconfigured(f'The key file {path} cannot be written: {error.strerror}.') from None
    return made


def new() -> MasterKey:
    """A new random key."""
    key = os.urandom(_KEY_BYTES)
    return MasterKey(fingerprint(key), key)


def line(key: MasterKey, kind: str = KEK) -> str:
    """A key as a file holds it."""
    return f'{_label(kind)} {key.fingerprint} {base64.b64encode(key.key).decode()}'


def write_new(path: str, text: str) -> None:
    """Write a file that must not be there yet, with mode 0400; its name is not durable yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    with os.fdopen(descriptor, 'w', encoding='ascii') as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def folder_of(path: str) -> str:
    """The folder that a file is in."""
    return os.path.dirname(os.path.abspath(path))


def sync_folder(path: str) -> None:
    """Make the name of a new file as durable as its content."""
    descriptor = os.open(folder_of(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: str, kind: str = KEK) -> MasterKey:
    """The key of this kind in ``path``.

    The file must be a regular file, no link, owned by root or by the user km runs as, readable by
    nobody else but at most that user's group, in a folder others cannot write to.

    :raises Misconfigured: it is not so, or it holds no key of the form above.
    """
    return parse(path, kind, read_text(path))


def read_text(path: str) -> bytes:
    """What is in a file that is as ``read`` demands.

    :raises Misconfigured: it is not so.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, 'rb') as file:
            _require_private(path, os.fstat(descriptor))
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise Misconfigured(f'The key file {path} cannot be read: {error.strerror}.') from None


def _require_private(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise Misconfigured(f'The key file {path} must be a regular file with one name.')
    if status.st_uid not in (0, os.geteuid()):
        raise Misconfigured(f'The key file {path} must belong to root or to the user km runs as.')
    if status.st_mode & 0o037:
        raise Misconfigured(f'The key file {path} may be read or written by others; '
                            'set its mode to 0400.')
    if os.stat(folder_of(path)).st_mode & 0o022:
        raise Misconfigured(f'The folder of the key file {path} may be written to by others.')


def parse(path: str, kind: str, text: bytes) -> MasterKey:
    """The key in a line.

    :param path: where it was read, for the message.
    :raises Misconfigured: there is no key of this kind in it.
    """
    try:
        label, name, encoded = text.decode('ascii').split()
        key = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        label = name = ''
        key = b''
    if label != _label(kind) or len(key) != _KEY_BYTES:
        raise Misconfigured(f'The file {path} holds no key; make one with "km-manage {kind} create".')
    if not hmac.compare_digest(name, fingerprint(key)):
        raise Misconfigured(f'The key in {path} does not fit its fingerprint {name}.')
    return MasterKey(name, key)


def _label(kind: str) -> str:
    return f'km-{kind}-v1'
