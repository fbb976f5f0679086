"""The sending end of the file-transfer protocol (fsutil `send.go`), without the wire."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import count

import msgspec

from croze.errors import InvalidRequest
from croze.fs.entry import Entry
from croze.fs.failures import about, explain, explained
from croze.fs.root import open_beneath
from croze.fs.tree.walk import WalkOptions, walk

_CHUNK = 32 << 10
_EMPTY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM)
"""Why a file that can't be opened counts as empty: it has gone, is another by now, or is not for
this user (fsutil `send.go`, which takes any reason)."""


class Sender:
    """Lists a tree and reads its files. `reset_owner` sends all as root's, as clients do with a
    build's context."""

    def __init__(
        self,
        root: str,
        options: WalkOptions = WalkOptions(),  # noqa: B008
        *,
        reset_owner: bool = False,
        mtime_ns: int | None = None,
        root_fd: int | None = None,
    ) -> None:
        """`root_fd`: `root`, open, of a tree in which others may put links while it is read: files
        are looked for below that alone. The caller closes it, afterwards."""
        self._root = root.rstrip("/")
        self._root_fd = root_fd
        self._options = options
        self._reset_owner = reset_owner
        self._mtime_ns = mtime_ns
        self._files: dict[int, str] = {}

    def entries(self) -> Iterator[Entry]:
        """The entries in order; the n-th has id n (from 0)."""
        entries = walk(self._root, self._options)
        for number in count():
            with explained("read", self._root):
                entry = next(entries, None)
            if entry is None:
                return
            if entry.has_content:
                self._files[number] = entry.path
            if self._reset_owner:
                entry = msgspec.structs.replace(entry, uid=0, gid=0)
            if self._mtime_ns is not None:
                entry = msgspec.structs.replace(entry, mtime_ns=self._mtime_ns)
            yield entry

    def chunks(self, number: int) -> Iterator[bytes]:
        """The content of entry `number`, asked for once; none for what is gone meanwhile. The
        protocol ends it with an empty DATA packet. Raises InvalidRequest for wrong numbers."""
        path = self._files.pop(number, None)
        if path is None:
            raise InvalidRequest(f"invalid file id {number}")
        try:
            fd = self._open(path)
        except OSError as error:
            if error.errno in _EMPTY:
                return
            raise explain(about(path, error), "open") from error
        try:
            while data := _read(fd, path):
                yield data
        finally:
            os.close(fd)

    def _open(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        if self._root_fd is None:
            return os.open(f"{self._root}/{path}", flags)
        return open_beneath(self._root_fd, path, flags)


def _read(fd: int, path: str) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError as error:
        raise explain(about(path, error), "read") from error
