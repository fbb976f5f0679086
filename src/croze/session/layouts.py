"""Directories of an OCI layout in which somebody else may write, too: held by descriptor.

A layout may lie where all may write, and be a cache that many share. There a link of somebody
else's, in the place of `blobs`, leads to a directory of ours: what is written through it, or
deleted, is not the layout's. So directories are opened one by one, and links are followed only if
they are this user's or root's, as for the files that a build writes (`files.atomic.replaced`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from croze.files.atomic import is_others
from croze.session.directories import BLOB_MODE, make_directory

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
