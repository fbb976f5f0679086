"""From a tree to an index and new packs.

Others may be at work in the tree: a file that changes while it is read is read again, and left out
if it does not come to rest; what vanishes was not there.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from croze.digests import digest_of
from croze.fs.bundle.chunking import chunks
from croze.fs.bundle.format import (
    BundleIndex,
    BundleNode,
    Pack,
    encode,
    numbered,
)
from croze.fs.bundle.memory import KnownFile, Memory, known_file, load_memory, save_memory
from croze.fs.bundle.packs import PackWriter
from croze.fs.bundle.survey import GONE, Survey

SMALL_BYTES: Final = 4 << 20
MANY_SMALL: Final = 8
"""So many packs of less content than `SMALL_BYTES` become one."""
_TRIES: Final = 3


class BundleBlob(Struct, frozen=True):
    """A blob of a bundle. `path`: where its bytes are; empty for what need not be written."""

    digest: str
    size: int
    path: str = ""


class TreeBundle(Struct, frozen=True):
    """A tree's index and the packs that it needs."""

    index: BundleBlob
    packs: tuple[BundleBlob, ...]
    content_bytes: int
    files: int


class TooLarge(Struct, frozen=True):
    """The tree has more than the limit; nothing was read."""

    content_bytes: int


def write_bundle(
    root: str, memory_path: str, present: Collection[str], spool: str, limit_bytes: int
) -> TreeBundle | TooLarge:
    """Describe the tree at `root`; what is not in the packs that are `present` (digests) where the
    bundle goes is written to new ones in the directory `spool`, as is the index. Raises
    `ResourceExhausted` for a tree that no index holds."""
    with Survey(root) as survey:
        if survey.content_bytes > limit_bytes:
            return TooLarge(survey.content_bytes)
        return _written(survey, memory_path, present, spool)


def _written(survey: Survey, memory_path: str, present: Collection[str], spool: str) -> TreeBundle:
    memory = load_memory(memory_path)
    writing = _Writing(survey, PackWriter(spool), [p for p in memory.packs if p.digest in present])
    writing.read({file.path: file for file in memory.files})
    while waste := wasteful(writing.packs, writing.live()):
        writing.give_up(waste)
    packs = writing.finish()
    others = [p for p in memory.packs if p.digest not in present]
    also = [p for p in others if p not in wasteful(others, writing.live())]
    save_memory(memory_path, Memory((*packs, *also), tuple(writing.files.values())))
    return _bundle(survey, writing, packs, spool)


def _bundle(survey: Survey, writing: _Writing, packs: Sequence[Pack], spool: str) -> TreeBundle:
    numbers = numbered(iter(packs))
    written = tuple(
        _as_read(node, writing.files.get(node.path), numbers)
        for node in survey.nodes
        if writing.is_known(node)
    )
    data = encode(BundleIndex(written, tuple(packs)))
    path = Path(spool, "index")
    path.write_bytes(data)
    new = {pack.digest for pack in writing.writer.packs}
    return TreeBundle(
        BundleBlob(digest_of(data), len(data), str(path)),
        tuple(
            BundleBlob(
                p.digest, p.size, os.path.join(spool, p.digest[7:]) if p.digest in new else ""
            )
            for p in packs
        ),
        sum(node.size for node in written),
        sum(stat.S_ISREG(node.mode) for node in written),
    )


def _as_read(node: BundleNode, file: KnownFile | None, numbers: Mapping[bytes, int]) -> BundleNode:
    """A file may have changed between the survey and when it was read."""
    if file is None:
        return node
    chunks = tuple(numbers[digest] for digest in file.chunks)
    return msgspec.structs.replace(node, size=file.size, mtime_ns=file.mtime_ns, chunks=chunks)


class _Writing(Struct):
    """Which chunks the files have, and where those are. `files`: those that could be read."""

    survey: Survey
    writer: PackWriter
    packs: list[Pack]
    files: dict[bytes, KnownFile] = field(default_factory=dict)
    _there: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._there = {chunk.digest for pack in self.packs for chunk in pack.chunks}

    def read(self, before: dict[bytes, KnownFile]) -> None:
        """All files; those that were known `before` and are the same only if their content is in
        no pack."""
        for path, status in self.survey.stats.items():
            file = before.get(path)
            if file is not None and file.same(status) and self._there.issuperset(file.chunks):
                self.files[path] = file
            else:
                self._read(path)

    def live(self) -> set[bytes]:
        return {digest for file in self.files.values() for digest in file.chunks}

    def give_up(self, packs: Collection[Pack]) -> None:
        """Write anew what is still needed of these packs."""
        self.packs = [pack for pack in self.packs if pack not in packs]
        self._there = {chunk.digest for pack in self.packs for chunk in pack.chunks}
        self._there |= self.writer.chunks
        for file in [*self.files.values()]:
            if not self._there.issuperset(file.chunks):
                del self.files[file.path]
                self._read(file.path)

    def finish(self) -> list[Pack]:
        """The packs that are needed."""
        live, packs = self.live(), [*self.packs, *self.writer.finish()]
        return [p for p in packs if any(chunk.digest in live for chunk in p.chunks)]

    def is_known(self, node: BundleNode) -> bool:
        """Whether there is all that the node needs."""
        if not stat.S_ISREG(node.mode):
            return True
        return (node.link or node.path) in self.files

    def _read(self, path: bytes) -> None:
        for _ in range(_TRIES):
            try:
                chunks, digests = self._chunks(path)
            except OSError as error:
                if error.errno in GONE:
                    return
                raise
            if chunks is not None:
                self.files[path] = known_file(path, chunks, digests)
                return

    def _chunks(self, path: bytes) -> tuple[os.stat_result | None, list[bytes]]:
        """Digests, and what the file was both before and after; None if that differs."""
        digests: list[bytes] = []
        with open(self.survey.open(path), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            for data in chunks(file):
                digest = hashlib.sha256(data).digest()
                if digest not in self._there:
                    self.writer.add(digest, data)
                digests.append(digest)
            after = os.fstat(file.fileno())
        calm = stat.S_ISREG(before.st_mode) and _state(before) == _state(after)
        return (after if calm else None), digests


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def wasteful(packs: Sequence[Pack], live: Collection[bytes]) -> list[Pack]:
    """The packs that should be written anew: less than half of them is in use, or there are many
    small ones."""
    waste = []
    for pack in packs:
        used = sum(chunk.length for chunk in pack.chunks if chunk.digest in live)
        if 0 < used < pack.content_bytes / 2:
            waste.append(pack)
    small = [p for p in _used(packs, live) if p.content_bytes < SMALL_BYTES]
    return waste if len(small) <= MANY_SMALL else [*waste, *(p for p in small if p not in waste)]


def _used(packs: Iterable[Pack], live: Collection[bytes]) -> list[Pack]:
    return [pack for pack in packs if any(chunk.digest in live for chunk in pack.chunks)]
