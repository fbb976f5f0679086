"""Writes layer blobs: bytes go in as they come, and are compressed, hashed before and after.

Reading, hashing, compressing and writing are done at the same time, each on threads of its own
that leave the interpreter alone. Bytes lie in blocks that are filled in place and used again, so
that none is copied on its way but by those who work on it.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from msgspec import Struct

from croze.fs.filecopy import EarlyWriteback, write_all
from croze.fs.tar.codecs import BLOCK_BYTES, codec
from croze.fs.tar.compress import BlobSums

_AHEAD = 4
"""Blocks on their way, for each thread that compresses."""


class LayerWriter(Protocol):
    """What a layer's tar is written to."""

    def write(self, data: bytes, /) -> None:
        """Append bytes of the tar."""

    def write_file(self, fd: int, size: int) -> bool:
        """Write so many bytes of what is open; False if it has fewer."""

    def finish(self) -> BlobSums:
        """Write what is left and the trailer."""


class _Pending(Struct):
    """A block that is worked on."""

    block: bytearray
    hashed: Future[None]
    compressed: Future[bytes] | None


class CompressedWriter:
    """Compresses to a descriptor with bounded memory, hashing both sides in the same pass.

    Use as a context manager; `finish` gives the sums. Leaving without it just stops the threads.
    """

    def __init__(self, fd: int, compression: str = "gzip", level: int | None = None) -> None:
        """The descriptor stays the caller's. Without a `level` it is the compression's own
        (`codecs`)."""
        self._fd = fd
        self._writeback = EarlyWriteback(fd)
        self._codec = codec(compression, level)
        self._plain = hashlib.sha256()
        self._out = hashlib.sha256() if self._codec else self._plain
        self._block = bytearray(BLOCK_BYTES)
        self._filled = 0
        self._free: list[bytearray] = []
        self._ahead = _AHEAD * (self._codec.threads if self._codec else 1)
        self._compressing: ThreadPoolExecutor | None = None
        self._hashing: ThreadPoolExecutor | None = None
        self._pending: deque[_Pending] = deque()

    def __enter__(self) -> CompressedWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._compressing, self._hashing):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes, /) -> None:
        end = self._filled + len(data)
        if end < BLOCK_BYTES:
            self._block[self._filled : end] = data
            self._filled = end
            return
        rest = memoryview(data)
        while rest:
            piece = rest[: BLOCK_BYTES - self._filled]
            self._block[self._filled : self._filled + len(piece)] = piece
            self._grow(len(piece))
            rest = rest[len(piece) :]

    def write_file(self, fd: int, size: int) -> bool:
        """See `LayerWriter.write_file`."""
        while size:
            room = memoryview(self._block)[self._filled : self._filled + size]
            count = os.readv(fd, [room])
            if not count:
                return False
            size -= count
            self._grow(count)
        return True

    def finish(self) -> BlobSums:
        """See `LayerWriter.finish`."""
        last = memoryview(self._block)[: self._filled]
        self._drain(0)
        self._plain.update(last)
        if self._codec is None:
            self._put(last)
        else:
            self._emit(self._codec.end(last))
        diff_id = "sha256:" + self._plain.hexdigest()
        digest = "sha256:" + self._out.hexdigest()
        return BlobSums(digest, diff_id, self._writeback.size)

    def _grow(self, by: int) -> None:
        self._filled += by
        if self._filled == BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        """The block is full: hand it on, and begin another."""
        block = self._block
        self._hashing = self._hashing or ThreadPoolExecutor(1, "croze-hash")
        hashed = self._hashing.submit(self._plain.update, block)
        if self._codec is None:
            self._pending.append(_Pending(block, hashed, None))
            self._put(block)
        else:
            work = self._codec.prepare(memoryview(block))
            self._pending.append(_Pending(block, hashed, self._compress(work)))
        self._drain(self._ahead)
        self._block = self._free.pop() if self._free else bytearray(BLOCK_BYTES)
        self._filled = 0

    def _compress(self, work: Callable[[], bytes]) -> Future[bytes]:
        if self._compressing is None:
            assert self._codec is not None
            self._compressing = ThreadPoolExecutor(self._codec.threads, "croze-compress")
        return self._compressing.submit(work)

    def _drain(self, keep: int) -> None:
        while len(self._pending) > keep:
            pending = self._pending.popleft()
            if pending.compressed is not None:
                self._emit(pending.compressed.result())
            pending.hashed.result()
            self._free.append(pending.block)

    def _emit(self, data: bytes) -> None:
        self._out.update(data)
        self._put(data)

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            write_all(self._fd, data)
            self._writeback.wrote(len(data))
