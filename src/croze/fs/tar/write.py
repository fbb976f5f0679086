"""Writes layers and trees as tar archives.

Layers follow the OCI image specification (`layer.md`): deletions are empty `.wh.` files, missing
parents are listed before their children, later names of a file are hard links, and of the extended
attributes only file capabilities are kept. The bytes are those that BuildKit writes. Everything is
one pass: compare, tar, digest, compress, digest.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from croze.errors import CrozeError
from croze.fs.entry import Entry, below
from croze.fs.failures import explained
from croze.fs.tar.apply import apply_layer
from croze.fs.tar.compress import BlobSums
from croze.fs.tar.header import (
    DIRECTORY,
    END_OF_ARCHIVE,
    HARDLINK,
    REGULAR,
    TYPE_FLAGS,
    encode,
    padding,
)
from croze.fs.tree.diff import ChangeKind, TreeChange, changes, overlay_changes
from croze.fs.tree.view import capability
from croze.fs.tree.walk import walk

if TYPE_CHECKING:
    from croze.fs.tar.blob import LayerWriter

__all__ = ["apply_layer", "write_layer", "write_tree", "write_trees"]

_CHUNK = 1 << 20
_SECOND = 1_000_000_000
_CAPABILITY = b"SCHILY.xattr.security.capability"
_XATTR = b"SCHILY.xattr."


def write_layer(
    out_path: str,
    upper: str,
    lower: str | None = None,
    *,
    overlay_lowers: Sequence[str] | None = None,
    compression: str = "gzip",
    level: int | None = None,
    epoch: int | None = None,
) -> BlobSums:
    """Write what `upper` changes as a layer blob to `out_path` (made or written over).

    Without `overlay_lowers`, `upper` and `lower` (None: nothing) are whole trees. With it, `upper`
    is an overlay upperdir over these directories, top first. Times after `epoch` (seconds) are
    lowered to it. The file is not synced to disk: the caller publishes it.
    """
    from croze.fs.tar.estargz_write import layer_writer

    if overlay_lowers is not None:
        listed = overlay_changes(upper, overlay_lowers)
    else:
        listed = changes(lower, upper)
    with explained("write layer", upper, out_path):
        fd = os.open(out_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with layer_writer(fd, compression, level) as blob:
                _LayerTar(blob, upper, epoch).write_all(listed)
                return blob.finish()
        finally:
            os.close(fd)


class _LayerTar:
    """Turns changes into members."""

    def __init__(self, blob: LayerWriter, root: str, epoch: int | None) -> None:
        self._blob = blob
        self._sink = blob.write
        self._root = root
        self._epoch = epoch
        self._listed: set[str] = {""}
        self._names: dict[int, str] = {}
        self._unlisted: dict[int, list[str]] = {}

    def write_all(self, changes: Iterable[TreeChange]) -> None:
        for change in changes:
            if change.kind is ChangeKind.DELETE:
                self._write_whiteout(change.path)
            else:
                self._write_change(change)
        self._sink(END_OF_ARCHIVE)

    def _write_whiteout(self, path: str) -> None:
        head, _, name = path.rpartition("/")
        self._write_parents(head)
        self._sink(encode(f"{head}/.wh.{name}" if head else f".wh.{name}", REGULAR, 0))

    def _write_change(self, change: TreeChange) -> None:
        st, path = change.st, change.path
        mode = st.st_mode
        if stat.S_ISSOCK(mode):
            return
        if stat.S_ISDIR(mode):
            self._write_dir(path, change.source, st)
            return
        waiting: list[str] = []
        if st.st_nlink > 1:
            first = self._names.get(st.st_ino)
            if first is not None:
                self._write_parents(path.rpartition("/")[0])
                self._sink(self._header(path, HARDLINK, change.source, st, linkname=first))
                return
            if change.kind is ChangeKind.SAME:
                self._unlisted.setdefault(st.st_ino, []).append(path)
                return
            self._names[st.st_ino] = path
            waiting = self._unlisted.pop(st.st_ino, [])
        self._write_parents(path.rpartition("/")[0])
        self._write_leaf(path, change.source, st)
        for other in waiting:
            self._write_parents(other.rpartition("/")[0])
            self._sink(self._header(other, HARDLINK, change.source, st, linkname=path))

    def _write_leaf(self, path: str, source: str, st: os.stat_result) -> None:
        flag = TYPE_FLAGS[stat.S_IFMT(st.st_mode)]
        if flag != REGULAR:
            link = os.readlink(source) if stat.S_ISLNK(st.st_mode) else ""
            self._sink(self._header(path, flag, source, st, linkname=link))
            return
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._sink(self._header(path, flag, fd, st, size=st.st_size))
            if not self._blob.write_file(fd, st.st_size):
                raise CrozeError(f"{source} became shorter while it was read")
            self._sink(padding(st.st_size))
        finally:
            os.close(fd)

    def _write_dir(self, path: str, source: str, st: os.stat_result) -> None:
        self._write_parents(path.rpartition("/")[0])
        self._listed.add(path)
        self._sink(self._header(path + "/", DIRECTORY, source, st))

    def _write_parents(self, path: str) -> None:
        """List the directory `path` as it is now unless it was listed."""
        if path in self._listed:
            return
        self._listed.add(path)
        source = f"{self._root}/{path}"
        self._write_dir(path, source, os.stat(source))

    def _header(
        self,
        name: str,
        flag: bytes,
        source: str | int,
        st: os.stat_result,
        *,
        size: int = 0,
        linkname: str = "",
    ) -> bytes:
        mode = st.st_mode
        time = st.st_mtime_ns // _SECOND
        if self._epoch is not None and time > self._epoch:
            time = self._epoch
        value = b"" if stat.S_ISLNK(mode) else capability(source)
        device = (0, 0)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            device = (os.major(st.st_rdev), os.minor(st.st_rdev))
        return encode(
            name, flag, mode & 0o7777, st.st_uid, st.st_gid, size, time, linkname, device,
            {_CAPABILITY: value} if value else None,
        )  # fmt: skip


def write_tree(root: str, out_path: str, *, epoch: int | None = None, xattrs: bool = True) -> None:
    """Write the whole tree as a plain tar (the `type=tar` export). Every time becomes `epoch`
    (seconds) if given."""
    write_trees(out_path, [("", root)], epoch=epoch, xattrs=xattrs)


def write_trees(
    out_path: str,
    trees: Sequence[tuple[str, str]],
    *,
    epoch: int | None = None,
    xattrs: bool = True,
    files: Sequence[tuple[str, bytes, int, int]] = (),
) -> None:
    """Like `write_tree` for several trees `(name, root)`, each in a directory of its name (empty:
    at the top). `files` (name, data, mode, time in seconds) are added to the front, e.g.
    attestations; they go over those of the trees."""
    with explained("write tar", out_path), open(out_path, "wb", buffering=1 << 20) as out:
        for data in tree_chunks(trees, epoch=epoch, xattrs=xattrs, files=files):
            out.write(data)


def tree_chunks(
    trees: Sequence[tuple[str, str]],
    *,
    epoch: int | None = None,
    xattrs: bool = True,
    files: Sequence[tuple[str, bytes, int, int]] = (),
) -> Iterator[bytes]:
    """The bytes that `write_trees` writes, in pieces of any size."""
    now, file_names = epoch or 0, {name for name, *_ in files}
    for name, data, mode, mtime_s in files:
        yield encode(name, REGULAR, mode, size=len(data), mtime_s=mtime_s)
        yield data + padding(len(data))
    for name, root in sorted(trees):
        if name:
            yield encode(name + "/", DIRECTORY, 0o755, mtime_s=now)
        for entry in walk(root):
            member = below(entry, name)
            if member.path in file_names:
                continue
            yield _entry_header(member, epoch, xattrs=xattrs)
            if entry.is_file and not entry.linkname and entry.size:
                yield from _file_pieces(f"{root}/{entry.path}", entry.size)
    yield END_OF_ARCHIVE


def _file_pieces(path: str, size: int) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        remaining_bytes = size
        while remaining_bytes:
            data = file.read(min(remaining_bytes, _CHUNK))
            if not data:
                raise CrozeError(f"{path} became shorter while it was read")
            remaining_bytes -= len(data)
            yield data
    yield padding(size)


def member_header(entry: Entry) -> bytes:
    """The header of a member that is called as the entry is."""
    return _entry_header(entry, None, xattrs=True)


def _entry_header(entry: Entry, epoch: int | None, *, xattrs: bool) -> bytes:
    flag = TYPE_FLAGS[stat.S_IFMT(entry.mode)]
    if entry.linkname and not entry.is_link:
        flag = HARDLINK
    size = entry.size if flag == REGULAR else 0
    # Unlike in layers, times are rounded to the nearest second.
    time = (entry.mtime_ns + _SECOND // 2) // _SECOND if epoch is None else epoch
    records = {}
    if xattrs:
        records = {_XATTR + os.fsencode(key): value for key, value in entry.xattrs.items()}
    return encode(
        entry.path + ("/" if flag == DIRECTORY else ""),
        flag, entry.mode & 0o7777, entry.uid, entry.gid, size, time, entry.linkname,
        (entry.devmajor, entry.devminor), records or None,
    )  # fmt: skip
