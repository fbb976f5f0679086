"""Directories of an OCI layout in which somebody else may write, too: held by descriptor.

A layout may lie where all may write, and be a cache that many share. There a link of somebody
else's, in the place of `blobs`, leads to a directory of ours: what is written through it, or
deleted, is not the layout's. So directories are opened one by one, and links are followed only if
they are this user's or root's, as for the files that a build writes (`files.atomic.replaced`).

The index is locked as BuildKit and Buildx lock it (`client/ociindex`): flock(2) on
`index.json.lock`, which whoever is done with it removes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from croze.errors import Unavailable
from croze.files.atomic import is_others
from croze.session.directories import BLOB_MODE, make_directory

LOCK_NAME = "index.json.lock"
LOCK_WAIT_S = 10.0
"""For how long an index may be locked by others: to enter an image takes milliseconds."""
_LOCK_PAUSE_S = 0.01

_NO_LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def layout_folder(layout: Path, *names: str, make: bool = False) -> Iterator[int]:
    """The directory below a layout, open while inside (not for reading: `O_PATH`); with `make`,
    what lacks is made, the layout too. Raises `OSError`, which names the directory."""
    fd = open_folder(layout, *names, make=make)
    try:
        yield fd
    finally:
        os.close(fd)


def open_folder(layout: Path, *names: str, make: bool = False) -> int:
    """Like `layout_folder`; to be closed."""
    if make:
        make_directory(layout, 0o755)
    fd = os.open(layout, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    path = layout
    for name in names:
        path /= name
        above = fd
        try:
            fd = _entered(above, name, make=make)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        finally:
            os.close(above)
    return fd


def _entered(above: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=above)
    fd = os.open(name, _NO_LINK, dir_fd=above)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            return os.dup(fd)
        if not stat.S_ISLNK(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if is_others(status):
            raise PermissionError(errno.EPERM, f"link of another user (uid {status.st_uid})")
        # Of the very link that was looked at (readlinkat(2), an empty name).
        target = os.readlink("", dir_fd=fd)
        return os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(fd)


def names_in(folder: int) -> list[str]:
    """The names in a directory that is open as `O_PATH`. Raises `OSError`."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def new_file(folder: int, name: str) -> int:
    """A new file, open to be written and read, with a blob's mode. Raises `OSError`."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, BLOB_MODE, dir_fd=folder)


@contextmanager
def new_blob(layout: Path, algorithm: str, encoded: str) -> Iterator[int]:
    """A blob to write to that gets its name when the block has ended well. Raises `OSError`."""
    with layout_folder(layout, "blobs", algorithm, make=True) as folder:
        name = f".{encoded}.{os.urandom(6).hex()}"
        fd = new_file(folder, name)
        try:
            yield fd
            os.fsync(fd)
            os.rename(name, encoded, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(fd)


@contextmanager
def index_to_write(layout: Path) -> Iterator[None]:
    """Alone with the index of a layout that is there. Whoever may write to the layout can keep it
    locked for ever: then this gives up. Raises `Unavailable`, and `OSError`."""
    with layout_folder(layout) as folder:
        fd = _lock(folder, layout, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _remove_lock(folder)
            os.close(fd)


@contextmanager
def index_to_read(layout: Path) -> Iterator[None]:
    """While nobody writes the index: BuildKit does in place. Nothing is locked where this user can
    lock nothing, since the layout may be somebody else's. Raises `Unavailable`."""
    with ExitStack() as held:
        with suppress(OSError):
            folder = held.enter_context(layout_folder(layout))
            held.callback(_release_read, folder, _lock(folder, layout, fcntl.LOCK_SH))
        yield


def _lock(folder: int, layout: Path, kind: int) -> int:
    """The lock file, locked, and still the one that has the name."""
    until_s = time.monotonic() + LOCK_WAIT_S
    path = layout / LOCK_NAME
    while True:
        fd = _lock_file(folder, path)
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            if _has_the_name(folder, fd):
                return fd
        except BlockingIOError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if time.monotonic() > until_s:
            raise Unavailable(f"could not lock {path}: another process holds it")
        time.sleep(_LOCK_PAUSE_S)


def _lock_file(folder: int, path: Path) -> int:
    """The file to lock, made if it is not there. Where all may write, one that is there must not be
    opened as if it were to be made (`protected_regular`, proc_sys_fs(5))."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        while True:
            with suppress(FileNotFoundError):
                fd = os.open(LOCK_NAME, flags, dir_fd=folder)
                break
            with suppress(FileExistsError):
                fd = os.open(LOCK_NAME, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
                break
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return fd


def _has_the_name(folder: int, fd: int) -> bool:
    try:
        status = os.stat(LOCK_NAME, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(status, os.fstat(fd))


def _release_read(folder: int, fd: int) -> None:
    """The last reader removes the file: who asks for all of a lock, and is refused, has none of it
    left (flock(2)), so of several one gets it."""
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _has_the_name(folder, fd):
            _remove_lock(folder)
    os.close(fd)


def _remove_lock(folder: int) -> None:
    with suppress(OSError):
        os.unlink(LOCK_NAME, dir_fd=folder)
