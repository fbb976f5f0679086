"""Lock files in directories of one's own (`croze.files.own`)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


def open_lock(path: str) -> int:
    """A descriptor of a lock file in a directory of one's own, made if it is not there.

    Nothing that is in the file is touched, and a link is not followed. Raises `OSError`.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    if os.fstat(fd).st_mode >> 12 != 8:
        os.close(fd)
        raise PermissionError(f"{path} is no regular file")
    return fd


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the lock, among processes, inside. Waits for it. Raises `OSError`."""
    fd = open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
