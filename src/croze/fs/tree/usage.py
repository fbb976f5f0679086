"""Disk usage of a directory, as `du` counts."""

from __future__ import annotations

import os

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Allocated bytes and inodes; files with several names count once."""

    size_bytes: int = 0
    inodes: int = 0


def usage(path: str) -> Usage:
    """What `path` and all below it take on disk; nothing for a missing path."""
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return Usage()
    blocks, inodes = st.st_blocks, 1
    seen: set[tuple[int, int]] = set()
    dirs = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while dirs:
        try:
            found = os.scandir(dirs.pop())
        except FileNotFoundError:
            continue
        with found:
            for item in found:
                try:
                    st = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if item.is_dir(follow_symlinks=False):
                    dirs.append(item.path)
                elif st.st_nlink > 1:
                    key = (st.st_dev, st.st_ino)
                    if key in seen:
                        continue
                    seen.add(key)
                blocks += st.st_blocks
                inodes += 1
    return Usage(blocks * 512, inodes)
