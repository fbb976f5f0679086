"""A tree into a directory of this host, as a transfer would put it; runs in a worker process."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence

from msgspec.structs import replace

from croze.fs.entry import Entry, below
from croze.fs.failures import explained
from croze.fs.filecopy import copy_bytes, write_all
from croze.fs.sync.attributes import set_attributes
from croze.fs.sync.mirror import Mirror
from croze.fs.tree.walk import walk


def place_tree(
    root: str,
    target: str,
    folder: str,
    files: Sequence[tuple[str, bytes, int]],
    timestamp_ns: int | None,
) -> None:
    """Copy all below `root` to `folder` of `target`, and the small `files` (name, data, mode) with
    it; what is there besides stays. All belongs to us: the client is the same user, or we are
    root. Others may write in `target`, too: nothing is made but below it. Raises `CrozeError`."""
    with explained("copy", root, target):
        mirror = Mirror(target, None, theirs=True)
        try:
            placing = _Placing(root, folder, mirror, timestamp_ns)
            placing.put_all()
            for name, data, mode in files:
                placing.put_file(name, data, mode)
            mirror.finish({})
        finally:
            mirror.close()


class _Placing:
    def __init__(self, root: str, folder: str, mirror: Mirror, timestamp_ns: int | None) -> None:
        self._root = root
        self._folder = folder
        self._mirror = mirror
        self._timestamp_ns = timestamp_ns

    def put_all(self) -> None:
        if self._folder:
            self._mirror.put(self._own(Entry(self._folder, stat.S_IFDIR | 0o755)))
        for entry in walk(self._root):
            self._put(self._own(below(entry, self._folder)), entry.path)

    def _put(self, own: Entry, source: str) -> None:
        if not own.is_file or own.linkname:
            self._mirror.put(own)
            return
        fd = self._mirror.create_file(own)
        try:
            if own.size:
                self._copy(source, own.size, fd)
            set_attributes(fd, own)
        finally:
            os.close(fd)

    def _own(self, entry: Entry) -> Entry:
        time_ns = entry.mtime_ns if self._timestamp_ns is None else self._timestamp_ns
        return replace(entry, uid=os.geteuid(), gid=os.getegid(), mtime_ns=time_ns)

    def _copy(self, path: str, size: int, target: int) -> None:
        source = os.open(f"{self._root}/{path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            copy_bytes(source, target, size)
        finally:
            os.close(source)

    def put_file(self, name: str, data: bytes, mode: int) -> None:
        """A file that is nowhere on disk."""
        path = f"{self._folder}/{name}" if self._folder else name
        now_ns = int(time.time()) * 1_000_000_000
        entry = self._own(Entry(path, stat.S_IFREG | mode, size=len(data), mtime_ns=now_ns))
        fd = self._mirror.create_file(entry)
        try:
            write_all(fd, data)
            set_attributes(fd, entry)
        finally:
            os.close(fd)
