"""Whether something has changed in directories, as the kernel sees it (inotify(7)): one call, where
looking at each file takes as many. It sees nothing of what other machines do to a file system that
they share, so only those are watched that this machine alone changes."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterable

_EVENTS = 0x2 | 0x4 | 0xC0 | 0x100 | 0x200 | 0x400 | 0x800
"""IN_MODIFY, IN_ATTRIB, IN_MOVED_FROM and IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF,
IN_MOVE_SELF (linux/inotify.h)."""
_ONLYDIR = 0x01000000
_READ_BYTES = 64 << 10
_STATFS_BYTES = 512
"""More than any machine's `struct statfs` has, which begins with the type."""
_TYPE_AT = ctypes.sizeof(ctypes.c_long) - 4 if sys.byteorder == "big" else 0
"""Where the lower half of that is."""
_OF_THIS_MACHINE = {
    0x794C7630: "overlay",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0xEF53: "ext2, ext3, ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xCA451A4E: "bcachefs",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0x3153464A: "jfs",
    0x52654973: "reiserfs",
    0xE0F5E1E2: "erofs",
    0x73717368: "squashfs",
}
"""Types of file systems by their numbers (statfs(2), linux/magic.h). Of the others, such as NFS,
SMB and what virtual machines share with their hosts, some change without the kernel's knowledge."""


class DirWatch:
    """Watches from now on, until the process ends or `close` is called."""

    def __init__(self, folders: Iterable[str]) -> None:
        """Begin to watch. Raises `OSError`: a user has only so many of these, and of some file
        systems the kernel does not see all."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            for folder in folders:
                name = os.fsencode(folder)
                if _type(libc, name) not in _OF_THIS_MACHINE:
                    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), folder)
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


def _type(libc: ctypes.CDLL, name: bytes) -> int:
    """The number of a file system's type. Raises `OSError`."""
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    _checked(libc.statfs(name, status))
    return ctypes.c_uint32.from_buffer(status, _TYPE_AT).value


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
