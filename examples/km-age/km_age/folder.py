# SPDX-License-Identifier: Apache-2.0
"""A folder of small files that are written once, and are on the disk when that is said.

Files lie in 256 folders by the first two digits of their names, so that none grows too long.
"""
import contextlib
import errno
import os
import stat
from collections.abc import Iterator

SHARDS = [f'{number:02x}' for number in range(256)]


class Folder:
    """An open folder. It stays the same one while it is open, whatever is mounted over its path.

    All methods raise ``OSError``; they may be called from several threads.
    """

    def __init__(self, path: str):
        """Open the folder, and make what it lacks.

        :raises PermissionError: among other reasons, because others may look into it.
        """
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(self._folder)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise PermissionError(
                    errno.EPERM, 'it must belong to the user km runs as and have mode 0700')
            self._make_shards()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._folder)

    def write(self, name: str, content: bytes) -> None:
        """Make a file, which must not exist; when this returns it outlives a loss of power.

        A file that was cut off has its name all the same: whoever was to be told of it finds it.
        """
        descriptor = os.open(_path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                             mode=0o600, dir_fd=self._folder)
        try:
            with os.fdopen(descriptor, 'wb') as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            self._sync(name)
        except OSError:
            with contextlib.suppress(OSError):  # such as a full disk: at least make room again
                self.remove(name)
            raise

    def read(self, name: str) -> bytes | None:
        """What is in a file; None if there is none."""
        try:
            descriptor = os.open(_path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC,
                                 dir_fd=self._folder)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, 'rb') as file:
            return file.read()

    def remove(self, name: str) -> None:
        """Have a file no more; when this returns it does not come back after a loss of power."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(name), dir_fd=self._folder)
        self._sync(name)  # of one that was gone, too: whoever removed it may not have come this far

    def names(self, shard: str) -> list[str]:
        """The names of all files that begin with these two digits, in no order."""
        # A descriptor of its own: threads that share one would share the place in the list.
        with self._open(shard) as descriptor:
            return os.listdir(descriptor)

    @contextlib.contextmanager
    def _open(self, shard: str) -> Iterator[int]:
        descriptor = os.open(shard, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _sync(self, name: str) -> None:
        with self._open(name[:2]) as descriptor:
            os.fsync(descriptor)

    def _make_shards(self) -> None:
        for shard in SHARDS:
            with contextlib.suppress(FileExistsError):
                os.mkdir(shard, mode=0o700, dir_fd=self._folder)
        os.fsync(self._folder)


def _path(name: str) -> str:
    return f'{name[:2]}/{name}'
