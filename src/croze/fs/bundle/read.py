"""From an index and packs to a tree, on top of what another tree has: the newest of each file.

The target is a fresh directory that nobody else sees. Paths were checked to lead through
directories of the index alone; where the other tree has something else in a directory's place,
that stays and what is below is left out. So nothing is ever written through a link.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field

from croze.errors import NotFound
from croze.fs.bundle.format import BundleIndex, BundleNode, decode
from croze.fs.bundle.memory import KnownFile, Memory, known_file, load_memory, save_memory
from croze.fs.bundle.packs import read_pack
from croze.fs.filecopy import write_all
from croze.fs.root import open_beneath
from croze.fs.tree.linktree import link_tree
from croze.fs.tree.walk import walk_stats


class MergedBundle(Struct, frozen=True):
    """What a merge has brought."""

    files: int
    content_bytes: int


def needed(index_path: str, old: str | None, limit_bytes: int) -> tuple[str, ...]:
    """Digests of the packs that it takes to merge the index into the tree `old`. See
    `format.decode` for what is refused."""
    index = decode(Path(index_path).read_bytes(), limit_bytes)
    choice = _Choice.of(index, old)
    numbers = {number for node in choice.files for number in node.chunks}
    used, start = [], 0
    for pack in index.packs:
        if any(number in numbers for number in range(start, start + len(pack.chunks))):
            used.append(pack.digest)
        start += len(pack.chunks)
    return tuple(used)


def merge_bundle(
    index_path: str,
    packs: Mapping[str, str],
    old: str | None,
    new: str,
    memory_paths: tuple[str | None, str],
    limit_bytes: int,
) -> MergedBundle:
    """Make the directory `new` what `old` and the index together are. `packs`: paths by digest, at
    least those that are `needed`. `memory_paths`: of the old tree and of the new one. Raises
    `Corrupted` for chunks that are not what they should be."""
    index = decode(Path(index_path).read_bytes(), limit_bytes)
    choice = _Choice.of(index, old or new)
    if old is not None:
        link_tree(old, new, without=choice.replaced)
    else:
        choice.directories.append(index.nodes[0])
    fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _Merge(fd, index, choice).run(packs)
    finally:
        os.close(fd)
    _remember(index, choice, old, new, memory_paths)
    return MergedBundle(len(choice.files), sum(node.size for node in choice.files))


class _Choice(Struct):
    """What of an index is taken."""

    directories: list[BundleNode] = field(default_factory=list)
    files: list[BundleNode] = field(default_factory=list)
    links: list[BundleNode] = field(default_factory=list)
    """Symbolic links, and further names of files."""
    replaced: set[bytes] = field(default_factory=set)
    """Paths that the old tree has."""

    @classmethod
    def of(cls, index: BundleIndex, old: str | None) -> _Choice:
        choice, blocked, chosen = cls(), set[bytes](), set[bytes]()
        for node in index.nodes:
            there = _stat(old, node.path)
            is_dir = stat.S_ISDIR(node.mode)
            if node.path and node.path.rpartition(b"/")[0] in blocked:
                blocked.update([node.path] if is_dir else ())
            elif is_dir:
                if there is None:
                    choice.directories.append(node)
                elif not stat.S_ISDIR(there.st_mode):
                    blocked.add(node.path)
            elif there is None or _newer(node, there):
                further = stat.S_ISREG(node.mode) and node.link
                if further and node.link not in chosen and not _is_file(old, node.link, blocked):
                    continue
                chosen.add(node.path)
                choice.replaced.update([node.path] if there is not None else ())
                own = stat.S_ISREG(node.mode) and not node.link
                (choice.files if own else choice.links).append(node)
        return choice


def _stat(root: str | None, path: bytes) -> os.stat_result | None:
    if root is None:
        return None
    try:
        return os.lstat(os.path.join(os.fsencode(root), path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_file(root: str | None, path: bytes, blocked: set[bytes]) -> bool:
    """Whether the old tree has a file of its own there."""
    there = _stat(root, path) if path.rpartition(b"/")[0] not in blocked else None
    return there is not None and stat.S_ISREG(there.st_mode)


def _newer(node: BundleNode, there: os.stat_result) -> bool:
    return not stat.S_ISDIR(there.st_mode) and node.mtime_ns > there.st_mtime_ns


class _Merge:
    """Writes what was chosen below the directory `fd`."""

    def __init__(self, fd: int, index: BundleIndex, choice: _Choice) -> None:
        self._fd = fd
        self._index = index
        self._choice = choice

    def run(self, packs: Mapping[str, str]) -> None:
        for path in self._choice.replaced:
            with self._parent(path) as (parent, name), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)
        for node in self._choice.directories:
            if node.path:
                with self._parent(node.path) as (parent, name):
                    os.mkdir(name, 0o700, dir_fd=parent)
        for node in self._choice.files:
            os.close(self._open(node.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        self._write_chunks(packs)
        for node in self._choice.files:
            self._finish(node, os.O_RDONLY)
        for node in self._choice.links:
            self._link(node)
        for node in reversed(self._choice.directories):
            self._finish(node, os.O_RDONLY | os.O_DIRECTORY)

    def _write_chunks(self, packs: Mapping[str, str]) -> None:
        places = self._places()
        start = 0
        for pack in self._index.packs:
            numbers = {p for p in range(len(pack.chunks)) if start + p in places}
            if numbers:
                if pack.digest not in packs:
                    raise NotFound(f"pack {pack.digest} is missing")
                for place, data in read_pack(packs[pack.digest], pack, numbers):
                    for path, offset in places[start + place]:
                        self._write(path, offset, data)
            start += len(pack.chunks)

    def _places(self) -> Mapping[int, list[tuple[bytes, int]]]:
        """Where each chunk goes."""
        lengths = [chunk.length for chunk in self._index.chunks()]
        places: defaultdict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for node in self._choice.files:
            offset = 0
            for number in node.chunks:
                places[number].append((node.path, offset))
                offset += lengths[number]
        return places

    def _write(self, path: bytes, offset: int, data: bytes) -> None:
        fd = self._open(path, os.O_WRONLY)
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            write_all(fd, data)
        finally:
            os.close(fd)

    def _finish(self, node: BundleNode, flags: int) -> None:
        fd = self._open(node.path, flags)
        try:
            os.fchown(fd, node.uid, node.gid)
            os.fchmod(fd, stat.S_IMODE(node.mode))
            for name, value in node.xattrs.items():
                with suppress(OSError):  # a filesystem, or a user, that may not have it
                    os.setxattr(fd, name, value)
            os.utime(fd, ns=(node.mtime_ns, node.mtime_ns))
        finally:
            os.close(fd)

    def _link(self, node: BundleNode) -> None:
        with self._parent(node.path) as (parent, name):
            if not stat.S_ISLNK(node.mode):
                with self._parent(node.link) as (other, target):
                    os.link(
                        target, name, src_dir_fd=other, dst_dir_fd=parent, follow_symlinks=False
                    )
                return
            os.symlink(node.link, name, dir_fd=parent)
            os.chown(name, node.uid, node.gid, dir_fd=parent, follow_symlinks=False)
            times = (node.mtime_ns, node.mtime_ns)
            os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _open(self, path: bytes, flags: int) -> int:
        return open_beneath(self._fd, os.fsdecode(path), flags | os.O_NOFOLLOW, 0o600)

    def _parent(self, path: bytes) -> _Parent:
        return _Parent(self._fd, path)


class _Parent:
    """The open directory that a path is in, and its name there."""

    def __init__(self, root: int, path: bytes) -> None:
        directory, _, self._name = path.rpartition(b"/")
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        self._fd = open_beneath(root, os.fsdecode(directory), flags)

    def __enter__(self) -> tuple[int, bytes]:
        return self._fd, self._name

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _remember(
    index: BundleIndex, choice: _Choice, old: str | None, new: str, paths: tuple[str | None, str]
) -> None:
    """Note what the trees have, so that the next bundle reads nothing of what was just written, nor
    of what was known."""
    before = load_memory(paths[0]) if paths[0] is not None else Memory()
    chunks_of = {k.path: k.chunks for k in _still_known(before, old)}
    chunks = index.chunks()
    for node in choice.files:
        chunks_of[node.path] = tuple(chunks[number].digest for number in node.chunks)
    files = [
        known_file(path, status, chunks_of[path])
        for path, status in _regular(new)
        if path in chunks_of
    ]  # fmt: skip
    ours = {pack.digest for pack in index.packs}
    packs = (*index.packs, *(pack for pack in before.packs if pack.digest not in ours))
    save_memory(paths[1], Memory(packs, tuple(files)))


def _still_known(memory: Memory, old: str | None) -> Iterator[KnownFile]:
    """Links to the files were made since: that alone is no change."""
    for file in memory.files:
        status = _stat(old, file.path)
        if status is not None and (status.st_size, status.st_mtime_ns, status.st_ino) == (
            file.size,
            file.mtime_ns,
            file.inode,
        ):
            yield file


def _regular(root: str) -> Iterator[tuple[bytes, os.stat_result]]:
    for path, _, status in walk_stats(root):
        if stat.S_ISREG(status.st_mode):
            yield os.fsencode(path), status
