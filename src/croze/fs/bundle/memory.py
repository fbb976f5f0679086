"""What is remembered of a tree between its bundles: the packs it is in, and which files were read.

A side file of the tree. A file whose size, times and inode are the same is not read again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from croze.files.atomic import write_atomically
from croze.fs.bundle.format import VERSION, Pack


class KnownFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file as it was, and the digests of its chunks."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    chunks: tuple[bytes, ...]

    def same(self, status: os.stat_result) -> bool:
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode) == (
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
        )


class Memory(msgspec.Struct, frozen=True):
    packs: tuple[Pack, ...] = ()
    files: tuple[KnownFile, ...] = ()
    version: int = VERSION


_decoder = msgspec.msgpack.Decoder(Memory)


def known_file(path: bytes, status: os.stat_result, chunks: Iterable[bytes]) -> KnownFile:
    return KnownFile(
        path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, tuple(chunks)
    )


def load_memory(path: str) -> Memory:
    """What was saved; nothing where there is none that can be read, and then all is read anew."""
    try:
        with open(path, "rb") as file:
            memory = _decoder.decode(file.read())
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return Memory()
    return memory if memory.version == VERSION else Memory()


def save_memory(path: str, memory: Memory) -> None:
    write_atomically(Path(path), msgspec.msgpack.encode(memory))


def known_packs(path: str) -> list[tuple[str, int]]:
    """Digests and sizes of the packs that the tree was in."""
    return [(pack.digest, pack.size) for pack in load_memory(path).packs]
