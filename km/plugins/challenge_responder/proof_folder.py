# SPDX-License-Identifier: Apache-2.0
"""A folder with a file for each proof: what several processes of a host know of each other's proofs."""
import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from km.interfaces import Unavailable
from km.plugins.challenge_responder.complaints import misconfigured

#: Older proofs were left by a process that was killed: no authority takes so long to look.
OLD_SECONDS = 24 * 3600

_BEGUN = '.new-'
_MAX_FILE_BYTES = 2 ** 16


class ProofFolder:
    """The files of one responder. Whoever calls sees to it that names are those of files.

    All methods raise ``Unavailable`` when the folder cannot be used now.
    """

    def __init__(self, path: str, *, mode: int = 0o600):
        """Remember where it is.

        :param mode: the permissions of each file.
        """
        self.path = Path(path)
        self._mode = mode

    def require(self, name: str) -> None:
        """See that it is a folder in which km may write, and nobody else.

        :param name: the operator's name of the responder.
        :raises Misconfigured: it is not.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            raise misconfigured(name, 'path', f'{self.path} cannot be used ({error.strerror})') from None
        if not stat.S_ISDIR(status.st_mode) or not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise misconfigured(name, 'path', f'{self.path} is no folder that km may write to')
        foreign = status.st_uid not in (0, os.geteuid()) and os.geteuid() != 0  # km-manage may be root's
        if foreign or status.st_mode & 0o022:
            raise misconfigured(
                name, 'path', f'{self.path} must belong to the user km runs as or to root, and nobody '
                'else may write to it')

    def put(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; one of that name is replaced."""
        with self._written(content) as begun:
            os.replace(begun, self.path / name)

    def put_first(self, name: str, content: bytes) -> bool:
        """The same, unless there is one of that name.

        :returns: whether it was written.
        """
        with self._written(content) as begun:
            try:
                os.link(begun, self.path / name)
            except FileExistsError:
                return False
        return True

    def read(self, name: str) -> bytes | None:
        """What is in a file; None if there is none, or what has the name is no plain file."""
        with _unavailable(self.path):
            try:
                descriptor = os.open(
                    self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    return None
                raise
            try:
                plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
                return os.read(descriptor, _MAX_FILE_BYTES) if plain else None
            finally:
                os.close(descriptor)

    def remove(self, name: str) -> None:
        """Remove a file; no error if there is none."""
        with _unavailable(self.path):
            (self.path / name).unlink(missing_ok=True)

    def age(self, name: str) -> float:
        """For how many seconds a file has been there; 0 if it is not."""
        with _unavailable(self.path):
            try:
                return max(0.0, time.time() - (self.path / name).lstat().st_mtime)
            except FileNotFoundError:
                return 0.0

    def names(self) -> list[str]:
        """The names of all files that were finished."""
        with _unavailable(self.path):
            return sorted(name for name in os.listdir(self.path) if not name.startswith('.'))

    def old(self) -> list[str]:
        """The names of those that were left. What was left unfinished is removed."""
        with _unavailable(self.path):
            begun = [name for name in os.listdir(self.path) if name.startswith(_BEGUN)]
        for name in begun:
            if self.age(name) > OLD_SECONDS:
                self.remove(name)
        return [name for name in self.names() if self.age(name) > OLD_SECONDS]

    @contextlib.contextmanager
    def _written(self, content: bytes) -> Iterator[str]:
        """A file with that content, under a name that is gone afterwards."""
        with _unavailable(self.path):
            descriptor, begun = tempfile.mkstemp(prefix=_BEGUN, dir=self.path)
            try:
                with os.fdopen(descriptor, 'wb') as file:
                    file.write(content)
                    os.fchmod(descriptor, self._mode)
                yield begun
            finally:
                Path(begun).unlink(missing_ok=True)


@contextlib.contextmanager
def _unavailable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f'The folder of proofs {path} cannot be used ({error.strerror}).') from None
