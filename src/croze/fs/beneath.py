"""Directories below one in which somebody else may write meanwhile: held by descriptor.

Whoever can rename what is in a directory can put a link in the place of any other below it,
between two calls that name it by its path. So each is opened from the top, never through a link,
and what is in it is named from there, as Go's `os.Root` does it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from croze.errors import InvalidRequest, PermissionDenied
from croze.fs.paths import NO_NAMES
from croze.fs.root import open_directory_beneath

_MOST_OPEN: Final = 8
"""Trees are written directory by directory; links in them lead to some others."""
_LINKED: Final = (errno.ELOOP, errno.ENOTDIR)


class Beneath:
    """The directories below a root, which itself may be reached through links. `close` it at the
    end."""

    def __init__(self, root: str) -> None:
        """Open the root. Raises `OSError`."""
        self._open: dict[str, int] = {}
        """By path, those used lately last."""
        self._top = os.open(root or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close all descriptors. Idempotent."""
        for fd in (*self._open.values(), self._top):
            if fd >= 0:
                os.close(fd)
        self._open.clear()
        self._top = -1

    def place(self, path: str) -> tuple[int, str]:
        """The directory that `path` is in, which stays open for the next few, and the name there.
        Raises `OSError`, `PermissionDenied` where there is a link in place of a directory, and
        `InvalidRequest` for what is no path below the root."""
        head, _, name = path.rpartition("/")
        if name in NO_NAMES or "\0" in path:
            raise InvalidRequest(f"invalid path below a directory: {path!r}")
        if not head:
            return self._top, name
        fd = self._open.pop(head, -1)
        if fd < 0:
            fd = self._opened(head)
            if len(self._open) >= _MOST_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
        self._open[head] = fd
        return fd, name

    def _opened(self, path: str) -> int:
        if not NO_NAMES.isdisjoint(path.split("/")):
            raise InvalidRequest(f"invalid path below a directory: {path!r}")
        try:
            return open_directory_beneath(self._top, path)
        except OSError as error:
            if error.errno in _LINKED:
                message = f"{path}: something else was put in place of a directory meanwhile"
                raise PermissionDenied(message) from None
            raise


def lstat_at(directory: int, name: str) -> os.stat_result | None:
    """What is there; None for nothing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_directory_at(directory: int, name: str) -> bool:
    """Whether there is a directory, and no link to one."""
    status = lstat_at(directory, name)
    return status is not None and stat.S_ISDIR(status.st_mode)
