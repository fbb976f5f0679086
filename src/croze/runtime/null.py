"""Null devices that are nobody else's.

An OCI runtime gives the streams of a process to its user (fchown(2)). crun before 1.24 did so with
devices, too: a process without an input that joined a container made the machine's `/dev/null` its
user's, who could then forbid it to everybody.
"""

from __future__ import annotations

import functools
import os
import stat

from croze.fs.mount import detached_tmpfs

_NAME = "null"
_DEVICE = os.makedev(1, 3)
_MODE = 0o666


def opened_null() -> int:
    """A descriptor of a null device of its own, for reading and writing; the caller closes it. The
    machine's where this process may make none: then it can't give that away, either."""
    folder = _folder()
    if folder is None:
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.mknod(_NAME, stat.S_IFCHR | _MODE, _DEVICE, dir_fd=folder)
    try:
        os.chmod(_NAME, _MODE, dir_fd=folder)  # whatever the umask
        return os.open(_NAME, os.O_RDWR | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.unlink(_NAME, dir_fd=folder)


@functools.cache
def _folder() -> int | None:
    """Where devices can be made, whatever the options of the machine's mounts."""
    try:
        folder = detached_tmpfs()
    except OSError:
        return None
    try:
        os.mknod(_NAME, stat.S_IFCHR | _MODE, _DEVICE, dir_fd=folder)
        os.close(os.open(_NAME, os.O_RDWR | os.O_CLOEXEC, dir_fd=folder))
        os.unlink(_NAME, dir_fd=folder)
    except OSError:
        os.close(folder)
        return None
    return folder
