"""Disk usage of a directory, as `du` counts."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import msgspec


class TreeUsage(msgspec.Struct, frozen=True):
    """Allocated bytes and inodes; files with several names count once."""

    size_bytes: int = 0
    inodes: int = 0


_LONG_BYTES = 2048
"""Half of what a path may have: a step can make trees that are deeper than any path."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class _Anchor:
    """An open directory that paths begin at, closed with the last of them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


def usage(path: str) -> TreeUsage:
    """What `path` and all below it take on disk, however deep that is; nothing for a missing
    path."""
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return TreeUsage()
    blocks, inodes = st.st_blocks, 1
    seen: set[tuple[int, int]] = set()
    dirs: list[tuple[_Anchor | None, str]] = [(None, path)] if stat.S_ISDIR(st.st_mode) else []
    while dirs:
        for st in _entries(dirs):
            if not stat.S_ISDIR(st.st_mode) and st.st_nlink > 1:
                key = (st.st_dev, st.st_ino)
                if key in seen:
                    continue
                seen.add(key)
            blocks += st.st_blocks
            inodes += 1
    return TreeUsage(blocks * 512, inodes)


def _entries(dirs: list[tuple[_Anchor | None, str]]) -> Iterator[os.stat_result]:
    """What is in the last of `dirs`, which is taken off; the directories in it are added."""
    anchor, path = dirs.pop()
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, dir_fd=None if anchor is None else anchor.fd)
    except OSError as error:
        if error.errno in _GONE:
            return
        raise
    try:
        below, prefix = anchor, f"{path}/"
        if len(prefix) > _LONG_BYTES // 4:  # a letter has four bytes at most
            below, prefix = _Anchor(os.dup(fd)), ""
        with os.scandir(fd) as entries:
            for item in entries:
                try:
                    st = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(st.st_mode):
                    dirs.append((below, prefix + item.name))
                yield st
    finally:
        os.close(fd)
