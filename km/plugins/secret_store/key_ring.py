# SPDX-License-Identifier: Apache-2.0
"""Master keys in a file, a line each: the first seals, all open.

A line that begins with ``next``, such as ``next km-kek-v1 <fingerprint> <base64>``, is a key that is
staged: it opens, and does not seal before it is promoted. There is one at the most.

A ring is replaced as a whole by a new file under the old name, with the old one's owner and mode. Killed
at any moment, the old or the new one is there; a file named ``.<name>.new`` may be left beside it, which
the next replacement removes.
"""
import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from km.interfaces import Misconfigured
from km.plugins.secret_store import key_file
from km.plugins.secret_store.key_file import MasterKey

_NEXT = b'next '


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of a file.

    :param keys: at least one; the first seals.
    :param staged: the one that will be first.
    """

    keys: tuple[MasterKey, ...]
    staged: MasterKey | None = None

    @property
    def all(self) -> tuple[MasterKey, ...]:
        """Every key that opens."""
        return (*self.keys, self.staged) if self.staged else self.keys


def read(path: str) -> Ring:
    """The keys in ``path``, of which is demanded what ``key_file.read`` demands.

    :raises Misconfigured: there is no key in it, or anything else, or two keys are staged.
    """
    lines = key_file.read_text(path).splitlines() or [b'']
    staged = [key_file.parse(path, key_file.KEK, line.removeprefix(_NEXT))
              for line in lines if line.startswith(_NEXT)]
    keys = [key_file.parse(path, key_file.KEK, line)
            for line in lines if not line.startswith(_NEXT)]
    if not keys or len(staged) > 1:
        raise Misconfigured(f'The key file {path} must hold a key that seals, and at most one that '
                            'begins with "next".')
    return Ring(tuple(keys), staged[0] if staged else None)


def change(path: str, changed: Callable[[Ring], Ring]) -> tuple[Ring, Ring]:
    """Replace the keys in ``path`` by what ``changed`` makes of them; those before and those after.

    :raises Misconfigured: the file is not as ``read`` demands, or cannot be replaced; it is as it was.
    """
    try:
        with _alone(path):
            before = read(path)
            after = changed(before)
            if after != before:
                _replace(path, after)
            return before, after
    except OSError as error:
        raise Misconfigured(f'The key file {path} cannot be replaced ({error.strerror}); nothing was '
                            'changed.') from None


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """See to it that nobody else changes files in this folder."""
    folder = os.open(key_file.folder_of(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: str, ring: Ring) -> None:
    text = ''.join(f'{key_file.line(key)}\n' for key in ring.keys)
    if ring.staged:
        text += f'{_NEXT.decode()}{key_file.line(ring.staged)}\n'
    beside = os.path.join(key_file.folder_of(path), f'.{os.path.basename(path)}.new')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)  # of one who was killed here: its keys have sealed nothing
    try:
        key_file.write_new(beside, text)
        _give(beside, os.stat(path))
        os.rename(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    key_file.sync_folder(path)


def _give(path: str, to: os.stat_result) -> None:
    """Give a file the owner and the mode of another."""
    made = os.stat(path)
    if (made.st_uid, made.st_gid) != (to.st_uid, to.st_gid):
        os.chown(path, to.st_uid, to.st_gid)
    os.chmod(path, stat.S_IMODE(to.st_mode))
