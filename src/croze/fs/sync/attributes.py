"""What files and directories are like besides their contents, set on what was made and on nothing
else: where somebody else may rename, a name may be another's by the next call. On a file of theirs,
root's owner and mode would be a program that runs as root.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Final

import msgspec

from croze.errors import PermissionDenied
from croze.fs.entry import Entry

_CAPABILITY: Final = "security.capability"


class MadeFile(msgspec.Struct, frozen=True, gc=False):
    """Which file it is that was made: where somebody else may rename, its name does not tell. The
    number of one that was removed may be another's, who made it."""

    device: int
    number: int
    user: int

    @staticmethod
    def of(fd: int) -> MadeFile:
        """The file of a descriptor."""
        status = os.fstat(fd)
        return MadeFile(status.st_dev, status.st_ino, status.st_uid)


def set_attributes(fd: int, entry: Entry) -> None:
    """Extended attributes (as far as they are taken), owner, mode and time of an open file or
    directory."""
    os.fchown(fd, entry.uid, entry.gid)
    if entry.xattrs:
        set_xattrs(fd, entry)
    os.fchmod(fd, stat.S_IMODE(entry.mode))
    os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


def set_attributes_at(directory: int, name: str, entry: Entry) -> None:
    """What a directory, link or special file is like, by the name that it was made with. Raises
    `PermissionDenied` if something else has that name by now."""
    if entry.is_dir:
        _set_of_directory(directory, name, entry)
        return
    if entry.is_link and not entry.xattrs:  # nothing of this does any harm to anything else
        os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)
        return
    with held_at(directory, name, entry) as held:
        os.chown(held, entry.uid, entry.gid)
        set_xattrs(held, entry)
        if not entry.is_link:
            os.chmod(held, stat.S_IMODE(entry.mode))
        os.utime(held, ns=(entry.mtime_ns, entry.mtime_ns))


def _set_of_directory(directory: int, name: str, entry: Entry) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except PermissionError:  # it was there, and is not to be listed
        with held_at(directory, name, entry) as held:
            os.chown(held, entry.uid, entry.gid)
            set_xattrs(held, entry)
            os.chmod(held, stat.S_IMODE(entry.mode))
            os.utime(held, ns=(entry.mtime_ns, entry.mtime_ns))
        return
    try:
        set_attributes(fd, entry)
    finally:
        os.close(fd)


@contextlib.contextmanager
def held_at(directory: int, name: str, entry: Entry) -> Iterator[str]:
    """A path to what has the name now, whatever has it later. Raises `PermissionDenied` if that is
    of another type than the entry."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if stat.S_IFMT(os.fstat(fd).st_mode) != stat.S_IFMT(entry.mode):
            raise PermissionDenied(f"{name}: something else was put in its place meanwhile")
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def set_xattrs(where: int | str, entry: Entry) -> None:
    """Extended attributes, as far as they are taken. What a file may do besides what its user may
    (`security.capability`) stays behind, as with BuildKit, both ends of which set the owner and
    write after that: the kernel takes it away then. What it is told by is still what was told."""
    for name, value in entry.xattrs.items():
        if name == _CAPABILITY and not entry.is_dir:
            continue
        try:
            os.setxattr(where, name, value)
        except (OSError, ValueError):  # the latter for a zero byte in its name
            continue
