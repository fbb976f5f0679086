"""What is known of a tree's content digests: the records behind `checksum`.

A tree of nodes that fills lazily: a directory is listed when something in it is asked for, a file
is read when its digest is. Digests of whole directories are kept until something below changes.
Saved as msgpack; the file is derived data, so a damaged one counts as missing.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import msgspec

from croze.fs.content import digest
from croze.fs.entry import Entry

FILE, DIR, LINK = 0, 1, 2
Stamp = tuple[int, int, int, int, int]
"""Size, mtime, ctime (ns), inode and mode: equal stamps mean equal content. Of transferred files
ctime and inode aren't known, they are 0."""

_VERSION = 1
_LARGE = 256 << 10


class IndexNode(msgspec.Struct, array_like=True, gc=False):
    """What is known of one entry of a tree: its kind, its digest, and what is in it."""

    kind: int
    digest: bytes = b""
    """The digest of the entry alone; for a directory its header. Empty: not computed yet."""
    total: bytes = b""
    """The digest of a directory with everything below."""
    link: bytes = b""
    children: dict[bytes, IndexNode] | None = None
    """None: not listed yet."""
    stamp: Stamp | None = None

    def ordered(self) -> list[tuple[bytes, IndexNode]]:
        """The children by name, in the order in which digests are made."""
        return sorted(self.children.items()) if self.children else []


class _Saved(msgspec.Struct, array_like=True):
    version: int
    complete: bool
    root: IndexNode


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Saved)


def stamp_of(st: os.stat_result) -> Stamp:
    return st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_mode


class ContentIndex:
    """The records of one tree. `complete` says that all of it has been listed."""

    def __init__(self) -> None:
        self.root = IndexNode(DIR)
        self.complete = False
        self.changed = False
        self._last: tuple[bytes, IndexNode] | None = None
        """The directory of the last `add`: entries come directory by directory."""

    @classmethod
    def for_transfer(cls) -> Self:
        """An index to be filled by `add`: everything there is comes, no entry for the root does."""
        index = cls()
        index.root.digest = digest.EMPTY
        index.root.children = {}
        index.complete = index.changed = True
        return index

    @classmethod
    def load(cls, path: str) -> Self | None:
        """What `save` wrote; None if it is missing or unreadable."""
        try:
            with open(path, "rb") as file:
                saved = _decoder.decode(file.read())
        except (OSError, msgspec.DecodeError, RecursionError):
            return None
        if saved.version != _VERSION:
            return None
        index = cls()
        index.root, index.complete = saved.root, saved.complete
        return index

    def save(self, path: str) -> None:
        """Write atomically."""
        data = _encoder.encode(_Saved(_VERSION, self.complete, self.root))
        fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".index-")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        self.changed = False

    def add(self, entry: Entry, entry_digest: bytes) -> None:
        """Record an entry that was transferred (or changed). Its parents must be there."""
        path = os.fsencode(entry.path)
        head, _, name = path.rpartition(b"/")
        self.changed = True
        if self._last is not None and self._last[0] == head and not self._last[1].total:
            parent = self._last[1]
        else:
            parent, name = self._parent(path)
            self._last = (head, parent)
        siblings = parent.children
        if siblings is None:
            siblings = parent.children = {}
        earlier = siblings.get(name)
        is_dir = earlier is not None and earlier.kind == DIR
        if is_dir:
            self._last = None  # what is below may be remembered
        kind = stat.S_IFMT(entry.mode)
        if kind == stat.S_IFDIR:
            children = earlier.children if earlier is not None and is_dir else None
            siblings[name] = IndexNode(DIR, entry_digest, children=children or {})
        elif kind == stat.S_IFLNK:
            siblings[name] = IndexNode(LINK, entry_digest, link=os.fsencode(entry.linkname))
        else:
            # Not a stamp that a file can have here, but it tells what changed between transfers.
            stamp = (entry.size, entry.mtime_ns, 0, 0, entry.mode)
            siblings[name] = IndexNode(FILE, entry_digest, stamp=stamp)

    def remove(self, path: str) -> None:
        """Forget an entry and all below it."""
        self._last = None
        parent, name = self._parent(os.fsencode(path))
        if parent.children:
            parent.children.pop(name, None)

    def get(self, path: str) -> IndexNode | None:
        """The node at a plain path (links not followed), if it is known."""
        node: IndexNode | None = self.root
        for part in os.fsencode(path).split(b"/"):
            if not part:
                continue
            node = node.children.get(part) if node is not None and node.children else None
        return node

    def _parent(self, path: bytes) -> tuple[IndexNode, bytes]:
        """The directory of `path`; totals on the way become unknown."""
        self.changed = True
        *above, name = [part for part in path.split(b"/") if part]
        node = self.root
        node.total = b""
        for part in above:
            if node.children is None:
                node.children = {}
            node = node.children.setdefault(part, IndexNode(DIR))
            node.total = b""
        return node, name

    def refresh(self, root: str) -> None:
        """Forget what does not look on disk as it did when it was hashed."""
        self.complete = False
        _refresh(self.root, root.rstrip("/") or "/")


def _refresh(node: IndexNode, path: str) -> bool:
    """Whether everything below is as it was."""
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return False
    same = node.stamp == stamp_of(st)
    if not same:
        node.digest = node.total = b""
    if node.kind != DIR or not stat.S_ISDIR(st.st_mode):
        return same and (node.kind == DIR) == stat.S_ISDIR(st.st_mode)
    if not same:
        # Names may have come or gone: list again, keeping the nodes that are still right.
        _relist(node, path)
    for name, child in list((node.children or {}).items()):
        same = _refresh(child, f"{path}/{os.fsdecode(name)}") and same
    if not same:
        node.total = b""
    return same


def _relist(node: IndexNode, path: str) -> None:
    if node.children is None:
        return
    old = node.children
    node.children = {}
    for name, fresh in list_dir(path):
        earlier = old.get(name)
        unchanged = (
            earlier is not None and earlier.kind == fresh.kind and earlier.link == fresh.link
        )
        node.children[name] = earlier if earlier is not None and unchanged else fresh


def list_dir(path: str) -> Iterator[tuple[bytes, IndexNode]]:
    """New nodes for what is in a directory on disk."""
    with os.scandir(path) as entries:
        for item in entries:
            name = os.fsencode(item.name)
            if item.is_symlink():
                yield name, IndexNode(LINK, link=os.fsencode(os.readlink(item.path)))
            elif item.is_dir(follow_symlinks=False):
                yield name, IndexNode(DIR)
            else:
                yield name, IndexNode(FILE)


class TreeScanner:
    """Fills an index from the tree at `root`."""

    def __init__(self, index: ContentIndex, root: str) -> None:
        self._index = index
        self._root = root.rstrip("/")

    def children(self, node: IndexNode, path: bytes) -> dict[bytes, IndexNode]:
        """What is in the directory `path`, listed now if it was not."""
        if node.children is None:
            self._index.changed = True
            node.children = dict(list_dir(self._host(path)))
        return node.children

    def ordered(self, node: IndexNode, path: bytes) -> list[tuple[bytes, IndexNode]]:
        return sorted(self.children(node, path).items())

    def total(self, node: IndexNode, path: bytes) -> bytes:
        """The digest of the node with everything below."""
        if node.kind != DIR:
            self.hash_missing([(node, path)])
            return node.digest
        if not node.total:
            missing: list[tuple[IndexNode, bytes]] = []
            self._collect(node, path, missing)
            self.hash_missing(missing)
            self._sum(node)
        return node.total

    def _collect(
        self, node: IndexNode, path: bytes, missing: list[tuple[IndexNode, bytes]]
    ) -> None:
        """List all directories below that have no total, note the entries without a digest."""
        if not node.digest:
            missing.append((node, path))
        for name, child in self.children(node, path).items():
            below = path + b"/" + name
            if child.kind == DIR:
                if not child.total:
                    self._collect(child, below, missing)
            elif not child.digest:
                missing.append((child, below))

    def _sum(self, node: IndexNode) -> None:
        sums = hashlib.sha256(b"\0" + _text(node.digest))
        for name, child in node.ordered():
            if child.kind != DIR:
                sums.update(b"\0%s%s" % (name, _text(child.digest)))
                continue
            if not child.total:
                self._sum(child)
            sums.update(b"\0%s%s" % (name, _text(child.total)))
            _sum_high_names(sums.update, child, b"\0" + name)
        node.total = sums.digest()
        self._index.changed = True

    def hash_missing(self, items: list[tuple[IndexNode, bytes]]) -> None:
        """Compute the digests of entries that have none; large files on several threads."""
        large: list[tuple[IndexNode, str, os.stat_result]] = []
        for node, path in items:
            if node.digest:
                continue
            host = self._host(path)
            st = os.lstat(host)
            node.stamp = stamp_of(st)
            if stat.S_ISREG(st.st_mode) and st.st_size >= _LARGE:
                large.append((node, host, st))
            else:
                node.digest = digest.of_path(host, st)
        self._index.changed = self._index.changed or bool(items)
        if len(large) < 2:
            for node, host, st in large:
                node.digest = digest.of_path(host, st)
            return
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "croze-hash") as threads:
            sums = threads.map(lambda item: digest.of_path(item[1], item[2]), large)
            for (node, _, _), value in zip(large, sums, strict=True):
                node.digest = value

    def _host(self, path: bytes) -> str:
        return (self._root + os.fsdecode(path)) or "/"


def _sum_high_names(update: object, node: IndexNode, prefix: bytes) -> None:
    """A quirk that digests must keep: BuildKit's walk comes back once more to entries whose name
    begins with byte 0xFF, right after their directory."""
    assert callable(update)
    for name, child in node.ordered():
        if name[:1] == b"\xff":
            path = prefix + b"\0" + name
            if child.kind == DIR:
                update(path + _text(child.total))
                _sum_high_names(update, child, path)
            else:
                update(path + _text(child.digest))


def _text(value: bytes) -> bytes:
    return b"sha256:" + value.hex().encode()
