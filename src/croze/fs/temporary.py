"""Temporary directories of ours, which go even if we are killed: with the next one that is made.

Whoever has one holds a lock on it (flock(2)), which the kernel drops with the process. What has our
name, is this user's and is not locked was left behind. `systemd-tmpfiles` spares what is locked,
too. Where a file system knows no locks nothing is taken for left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Final

from croze.fs.remove import remove_at, try_remove_tree
from croze.fs.root import open_same_mount
from croze.patterns import lazy_pattern

_SUFFIX: Final = ".held"
_NAME: Final = lazy_pattern(r"croze-[a-z-]+-[a-z0-9_]+\.held")
_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class HeldDirectory:
    """A directory for this user alone (0700), with what we put into it, until it is closed or this
    process is gone: `croze-WHAT-…`, below `parent`, else where temporary files go. Raises
    `OSError`."""

    def __init__(self, what: str, parent: str | os.PathLike[str] | None = None) -> None:
        where = _place(parent)
        sweep_temporary(where)
        self.path, self._fd = _made(what, where)

    def close(self) -> None:
        """Remove it; what can't be removed stays. Idempotent."""
        if self._fd >= 0:
            try_remove_tree(self.path)
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def temporary_directory(what: str, parent: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """The path of a `HeldDirectory`, inside."""
    held = HeldDirectory(what, parent)
    try:
        yield held.path
    finally:
        held.close()


def sweep_temporary(parent: str | os.PathLike[str] | None = None) -> None:
    """Remove what processes of this user that are gone have left in a directory; where temporary
    files go for None. Nothing that somebody holds, nobody else's, nothing that is mounted there,
    and no link is followed. What can't be removed stays."""
    try:
        where = _place(parent)
        names = [name for name in os.listdir(where) if _NAME.fullmatch(name)]
        if not names:
            return
        folder = os.open(where, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in names:
            with contextlib.suppress(OSError):
                _sweep(folder, name)
    finally:
        os.close(folder)


def _place(parent: str | os.PathLike[str] | None) -> str:
    if parent is None:
        import tempfile  # takes longer to load than all else that is here

        parent = tempfile.gettempdir()
    return os.path.abspath(parent)


def _sweep(folder: int, name: str) -> None:
    """Whatever gets the name meanwhile, what is removed is in the directory that was looked at, and
    then only an empty one has to give way."""
    fd = open_same_mount(folder, name)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for each in os.listdir(fd):
            remove_at(fd, each)
        os.rmdir(name, dir_fd=folder)
    finally:
        os.close(fd)


def _made(what: str, where: str) -> tuple[str, int]:
    """A new one, and a descriptor that has it locked. Before it is locked, it may be swept."""
    while True:
        path = os.path.join(where, f"croze-{what}-{os.urandom(6).hex()}{_SUFFIX}")
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            continue
        if _holds(fd, path):
            return path, fd
        os.close(fd)


def _holds(fd: int, path: str) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # there are no locks there, for others neither
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
