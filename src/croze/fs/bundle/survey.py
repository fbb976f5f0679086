"""What is in a tree in which others may be at work, by name; files come without their chunks.

Whoever works there may put a link in a directory's place at any moment. So every directory is
opened below the root, and what is in it is looked at through its descriptor: no link leads out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from msgspec import Struct, field

from croze.errors import ResourceExhausted
from croze.fs.bundle.format import MAX_NODES, BundleNode, kept_xattrs
from croze.fs.entry import read_xattrs
from croze.fs.root import open_beneath

GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""What it was is not there any more, or something else is."""
_KINDS: Final = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


class _Seen(Struct, frozen=True):
    """An entry of the tree. `link` is a symbolic link's."""

    path: bytes
    stat: os.stat_result
    link: bytes
    xattrs: dict[str, bytes]


class Survey(Struct):
    """Use as a context manager, which keeps the root open. Raises `ResourceExhausted` for a tree
    that no index holds."""

    root: str
    nodes: list[BundleNode] = field(default_factory=list)
    stats: dict[bytes, os.stat_result] = field(default_factory=dict)
    """The status of the files that have content of their own."""
    content_bytes: int = 0
    _fd: int = -1

    def __enter__(self) -> Survey:
        self._fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._look()
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def open(self, path: bytes) -> int:
        """A file to read. Raises `OSError`, one of `GONE` for what has gone."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        return open_beneath(self._fd, os.fsdecode(path), flags)

    def _look(self) -> None:
        first_names: dict[tuple[int, int], bytes] = {}
        top = f"/proc/self/fd/{self._fd}/."
        self._add(_Seen(b"", os.stat(top), b"", read_xattrs(top)), first_names)
        for seen in _below(self._fd):
            self._add(seen, first_names)

    def _add(self, seen: _Seen, first_names: dict[tuple[int, int], bytes]) -> None:
        path, status, link, size = seen.path, seen.stat, seen.link, 0
        if stat.S_ISREG(status.st_mode):
            first = path
            if status.st_nlink > 1:
                first = first_names.setdefault((status.st_dev, status.st_ino), path)
            link = b"" if first == path else first
            size = 0 if link else status.st_size
        if len(self.nodes) >= MAX_NODES:
            raise ResourceExhausted(f"more than {MAX_NODES} files and directories are too many")
        if stat.S_ISREG(status.st_mode) and not link:
            self.stats[path] = status
            self.content_bytes += size
        self.nodes.append(
            BundleNode(
                path,
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                link,
                size,
                xattrs=kept_xattrs(seen.xattrs),
            )
        )


def _below(root_fd: int) -> Iterator[_Seen]:
    """All below the root, a directory before what is in it, names in byte order."""
    stack = [iter(_read_dir(root_fd, b""))]
    while stack:
        seen = next(stack[-1], None)
        if seen is None:
            stack.pop()
            continue
        yield seen
        if stat.S_ISDIR(seen.stat.st_mode):
            stack.append(iter(_read_dir(root_fd, seen.path)))


def _read_dir(root_fd: int, path: bytes) -> list[_Seen]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        fd = open_beneath(root_fd, os.fsdecode(path), flags)
    except OSError as error:
        if error.errno in GONE:
            return []
        raise
    prefix = path + b"/" if path else b""
    seen: list[_Seen] = []
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    st = entry.stat(follow_symlinks=False)
                    if stat.S_IFMT(st.st_mode) in _KINDS:
                        seen.append(_seen(fd, entry.name, prefix, st))
    finally:
        os.close(fd)
    return sorted(seen, key=lambda each: each.path)


def _seen(fd: int, name: str, prefix: bytes, st: os.stat_result) -> _Seen:
    """An entry of an open directory. Raises `FileNotFoundError` for what has gone meanwhile."""
    link = b""
    if stat.S_ISLNK(st.st_mode):
        try:
            link = os.fsencode(os.readlink(name, dir_fd=fd))
        except OSError as error:
            raise FileNotFoundError(name) from error
    xattrs = read_xattrs(f"/proc/self/fd/{fd}/{name}")
    return _Seen(prefix + os.fsencode(name), st, link, xattrs)
