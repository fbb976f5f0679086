"""One entry of a tree, and the two ways of writing its mode.

`Entry` is what the file-transfer protocol calls Stat (fsutil `types/stat.proto`), with Unix mode
bits; `go_mode` gives the bits that go over the wire (Go's `os.FileMode`).
"""

from __future__ import annotations

import errno
import functools
import os
import stat

import msgspec

from croze.fs.paths import join

_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_UNIX_TYPES = {go: unix for unix, go in _GO_TYPES.items()}
_GO_TYPE_MASK = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
"""Overlayfs' own notes in a layer's directory; a mount hides them, so they never count."""
MOST_XATTRS = 1 << 16
"""Extended attributes of one file. In the 64 KiB that Linux has for their names there is room for a
third of them (xattr(7))."""
EMPTY_XATTRS: dict[str, bytes] = {}
"""Shared; never written to."""


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A file, directory, link or device below a root; `path` is relative to it."""

    path: str
    mode: int
    """`st_mode`: type and permission bits."""
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes; 0 for directories."""
    mtime_ns: int = 0
    linkname: str = ""
    """Target of a symlink; for other entries the earlier path this one is a hard link to."""
    devmajor: int = 0
    devminor: int = 0
    xattrs: dict[str, bytes] = msgspec.field(default_factory=lambda: EMPTY_XATTRS)
    dev: int = 0
    ino: int = 0
    ctime_ns: int = 0

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def has_content(self) -> bool:
        """Whether the protocol lets the content be asked for (also of later hard links)."""
        return stat.S_ISREG(self.mode)


def go_mode(mode: int) -> int:
    """The bits of an `st_mode` as Go's `os.FileMode` has them."""
    result = mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0)
    for unix, go in _GO_BITS:
        if mode & unix:
            result |= go
    return result


def go_time(time_ns: int) -> int:
    """A time in 64 bits, as Go's `UnixNano` has it: what is beyond the year 2262 starts anew."""
    return (time_ns + (1 << 63)) % (1 << 64) - (1 << 63)


@functools.lru_cache(256)  # a tree has few
def unix_mode(mode: int) -> int:
    """The `st_mode` of a Go `os.FileMode`. Unknown types count as regular files."""
    result = mode & 0o777 | _UNIX_TYPES.get(mode & _GO_TYPE_MASK, stat.S_IFREG)
    for unix, go in _GO_BITS:
        if mode & go:
            result |= unix
    return result


def device_of(major: int, minor: int) -> int:
    """A device by its numbers, of which as many bits count as mknod(2) looks at."""
    return os.makedev(major & 0xFFF, minor & 0xFFFFF)


def read_xattrs(path: str) -> dict[str, bytes]:
    """All extended attributes that can be read, links not followed, overlayfs' own left out."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    if not names:
        return EMPTY_XATTRS
    result = {}
    for name in names:
        if name.startswith(OVERLAY_XATTRS):
            continue
        try:
            result[name] = os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            continue
    return result


def lstat_entry(path: str, name: str) -> Entry:
    """The entry at the host path `path`, to be called `name`; hard links are not looked for."""
    return entry_from(os.lstat(path), path, name)


def entry_from(st: os.stat_result, path: str, name: str) -> Entry:
    """An entry from what `lstat(path)` gave."""
    mode = st.st_mode
    if stat.S_ISSOCK(mode):
        mode = stat.S_IFREG | stat.S_IMODE(mode)  # sockets travel as empty files
    special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    return Entry(
        name,
        mode,
        st.st_uid,
        st.st_gid,
        0 if stat.S_ISDIR(mode) else st.st_size,
        st.st_mtime_ns,
        os.readlink(path) if stat.S_ISLNK(mode) else "",
        os.major(st.st_rdev) if special else 0,
        os.minor(st.st_rdev) if special else 0,
        read_xattrs(path),
        st.st_dev,
        st.st_ino,
        st.st_ctime_ns,
    )


def below(entry: Entry, folder: str) -> Entry:
    """The entry where its tree is in a folder of another one, or is the whole of it: a hard link is
    one of the same file, and an absolute link leads into the folder (fsutil `fs.go`, `SubDirFS`).
    """
    if not folder:
        return entry
    link = entry.linkname
    if link and not entry.is_link:
        link = f"{folder}/{link}"
    elif link.startswith("/"):
        link = join(f"/{folder}", link)
    return msgspec.structs.replace(entry, path=f"{folder}/{entry.path}", linkname=link)
