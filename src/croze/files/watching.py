"""Whether something has changed in directories, as the kernel sees it (inotify(7)): one call, where
looking at each file takes as many. It sees nothing of what other machines do to a file system that
they share."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_EVENTS = 0x2 | 0x4 | 0xC0 | 0x100 | 0x200 | 0x400 | 0x800
"""IN_MODIFY, IN_ATTRIB, IN_MOVED_FROM and IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF,
IN_MOVE_SELF (linux/inotify.h)."""
_ONLYDIR = 0x01000000
_READ_BYTES = 64 << 10


class DirWatch:
    """Watches from now on, until the process ends or `close` is called."""

    def __init__(self, folders: Iterable[str]) -> None:
        """Begin to watch. Raises `OSError`: a user has only so many of these."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            for folder in folders:
                name = os.fsencode(folder)
                _checked(libc.inotify_add_watch(self._fd, name, _EVENTS | _ONLYDIR))
        except BaseException:
            os.close(self._fd)
            raise

    def stirred(self) -> bool:
        """Whether anything has happened since this was last asked."""
        try:
            return bool(os.read(self._fd, _READ_BYTES))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
