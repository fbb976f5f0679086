"""Small promises about files: one owner per root, clear errors on a full disk, atomic writes."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from croze.errors import AlreadyExists, CrozeError, ResourceExhausted, os_message

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_TOPDIR = 0x20000
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk (or a quota on it) is full."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)


@contextlib.contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn a full disk into `ResourceExhausted`, naming what could not be written."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if is_full(error):
            raise ResourceExhausted(f"{what}: no space left on device") from error
        raise


@contextlib.contextmanager
def own_disk_errors(what: str) -> Iterator[None]:
    """Like `disk_errors`, and any other trouble as a `CrozeError`, too. Where that is written which
    comes over a network, an `OSError` is the network's, and all is asked for again; and SQLite's
    errors say nothing of what they are about."""
    try:
        with disk_errors(what):
            yield
    except OSError as error:
        raise CrozeError(f"{what}: {os_message(error)}") from error
    except sqlite3.OperationalError as error:
        raise CrozeError(f"{what}: {error}") from error


LOCK_TRIES = 10
LOCK_PAUSE_S = 0.01


class RootLock:
    """Holds `root/lock` for the life of the process; the kernel drops it when it dies."""

    def __init__(self, root: Path) -> None:
        """Take the lock. Raises `AlreadyExists` when another process has the root; one that only
        looks whether it is free (`drivers.local`) has it for a moment."""
        self._fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(LOCK_PAUSE_S)
        os.close(self._fd)
        raise AlreadyExists(f"could not lock {root}/lock, another instance running?")

    def release(self) -> None:
        """Give the lock up. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Ballast:
    """A file that is given up when the disk is full, so that metadata can still be written and
    things be deleted. Made anew when there is room again."""

    SIZE_BYTES = 2 << 20

    def __init__(self, root: Path) -> None:
        self._path = root / "ballast"

    def needed(self) -> bool:
        """Whether the disk has less room than a few transactions need."""
        return self._free() < self.SIZE_BYTES // 2

    def _free(self) -> int:
        stat = os.statvfs(self._path.parent)
        return stat.f_bavail * stat.f_frsize

    def drop(self) -> bool:
        """Delete the file; whether there was one."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def restore(self) -> bool:
        """Make the file anew if there is room for it; whether it is there now."""
        if self._path.exists():
            return True
        if self._free() < 4 * self.SIZE_BYTES:
            return False
        try:
            with open(self._path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.SIZE_BYTES)
        except OSError:
            self.drop()
            return False
        return True


def sync_dir(path: Path) -> None:
    """Make a rename in the directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def spread_out(directory: Path) -> bool:
    """Have ext4 put each new directory in `directory` into another part of the disk (`chattr +T`).
    Whether it does; other filesystems have no such choice.

    Otherwise all go where their parent is, and there ext4, if it has no journal, looks past every
    file deleted in the last minutes to make a new one: after 20,000 deletions 20,000 files take
    20 s instead of one. The part is the one with the fewest directories, so that where a tree was
    deleted the next one would go: see `croze.store.trash.Trash.discard`.
    """
    flags = array.array("l", [0])
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _GET_FLAGS, flags)
            flags[0] |= _TOPDIR
            fcntl.ioctl(fd, _SET_FLAGS, flags)
        finally:
            os.close(fd)
    except OSError:
        return False
    return True
