"""Copies one file: its bytes, with the kernel's help where it can, and its attributes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from msgspec import Struct

from croze.errors import CrozeError
from croze.fs.failures import explained

_FALL_BACK = frozenset(
    (errno.ENOSYS, errno.EXDEV, errno.EPERM, errno.EIO, errno.EOPNOTSUPP, errno.EINVAL)
)
_CHUNK = 1 << 20
_SMALL = 64 << 10
WRITEBACK_BYTES = 8 << 20
"""How much of a file there is when the disk begins with it."""
_SYNC_FILE_RANGE_WRITE = 2
_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


def copy_bytes(source_fd: int, target_fd: int, size: int) -> None:
    """Append all of the source to the target; `size` is what to expect."""
    if size <= _SMALL:
        copy_by_reading(source_fd, target_fd)  # two calls; the kernel's copy needs more set-up
        return
    copied = 0
    while copied < size:
        try:
            count = os.copy_file_range(source_fd, target_fd, min(size - copied, 1 << 30))
        except OSError as error:
            if copied or error.errno not in _FALL_BACK:
                raise
            break
        if not count:
            break
        copied += count
    copy_by_reading(source_fd, target_fd)  # what grew meanwhile, or everything


def copy_by_reading(source_fd: int, target_fd: int) -> None:
    while chunk := os.read(source_fd, _CHUNK):
        write_all(target_fd, chunk)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write everything, however often the kernel takes only a part."""
    written = os.write(fd, data)
    while written < len(data):
        data = memoryview(data)[written:]
        written = os.write(fd, data)


def copy_content(source: str, target: str, size: int) -> None:
    """Make the new file `target` of what is in `source`, which is no symlink; `size` is what to
    expect."""
    source_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        target_fd = os.open(target, flags, 0o600)
        try:
            copy_bytes(source_fd, target_fd, size)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def copy_attributes(
    source: str, target: str, status: os.stat_result, *, without: tuple[str, ...] = ()
) -> None:
    """Give `target` the owner, xattrs, mode and times of `source`, whose `status` it is; `without`
    are beginnings of xattrs that it does not get. Symlinks are not followed."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(without):
            with contextlib.suppress(OSError):
                value = os.getxattr(source, name, follow_symlinks=False)
                os.setxattr(target, name, value, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


class EarlyWriteback:
    """Has the kernel begin to write a file to the disk as it comes (sync_file_range(2)), which is
    written from its beginning to its end and then synchronized: else that last wait is for all."""

    def __init__(self, fd: int) -> None:
        """The descriptor stays the caller's."""
        self._fd = fd
        self._begun = 0
        self.size = 0
        """How much has been written."""

    def wrote(self, count: int) -> None:
        """Note that so much more is there. Raises `OSError` for what the disk does not take."""
        self.size += count
        if self.size - self._begun >= WRITEBACK_BYTES:
            start, self._begun = self._begun, self.size
            begin_writeback(self._fd, start, self.size - start)


def begin_writeback(fd: int, start: int, size: int) -> None:
    """Have the kernel begin to write a part of a file to the disk. Nothing happens for what is no
    file, nor where there is no such call. Raises `OSError` for what the disk does not take."""
    import ctypes  # who copies small files needs it not

    call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if call is None:
        return
    failed = call(fd, ctypes.c_int64(start), ctypes.c_int64(size), _SYNC_FILE_RANGE_WRITE)
    if failed and (number := ctypes.get_errno()) in _LOST:
        raise OSError(number, os.strerror(number))


class WholeFile(Struct, frozen=True):
    """A part of a file to be put together that is all of another file."""

    path: str
    size: int


def put_together(target: str, parts: Sequence[bytes | WholeFile]) -> None:
    """Write the file `target`, which is there and empty. Raises `CrozeError` for a part of another
    size."""
    with explained("write", target):
        fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _put(parts, fd)
        finally:
            os.close(fd)


def _put(parts: Sequence[bytes | WholeFile], fd: int) -> None:
    end = 0
    for part in parts:
        if isinstance(part, bytes):
            write_all(fd, part)
            end += len(part)
        else:
            _append(part, fd)
            end += part.size
            if os.lseek(fd, 0, os.SEEK_CUR) != end:
                raise CrozeError(f"{part.path} is not of {part.size} bytes")


def _append(part: WholeFile, fd: int) -> None:
    source = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy_bytes(source, fd, part.size)
    finally:
        os.close(source)
