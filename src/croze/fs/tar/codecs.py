"""How the bytes of layer blobs are compressed, in blocks.

Gzip is written in independent blocks on several threads, each primed with the 32 KiB before it and
ended with a sync flush, so that the result is one ordinary gzip member, the same every time
(RFC 1951, RFC 1952).

Levels 1 to 3 are ISA-L's: five to ten times as fast as the others, which are zlib-ng's, and 8 to
22 % larger than what BuildKit makes by default (Go's level 6). Level 7, the default here, is up to
1 % smaller than that on files that compress; `docs/daemon.md` has a table. Blocks that do not
compress are stored from level 4 on, but for places of some kilobytes that do. Whether they do is
zstd's to say, at 10 GB a second.

From level 4 on no byte depends on the processor: zlib-ng chooses its instructions for speed alone
(equal from the first x86-64 to AVX-512), and so does zstd. ISA-L's level 3 differs between
processors with SSE, AVX2 and AVX-512, levels 1 and 2 between those with SSE4 and others.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Final, Protocol

import zstandard
from isal import isal_zlib
from zlib_ng import zlib_ng

from croze.errors import InvalidRequest

BLOCK_BYTES: Final = 256 << 10
_CORES: Final = min(4, os.cpu_count() or 1)
_SAMPLE: Final = 32 << 10
_INCOMPRESSIBLE: Final = 0.998
_GRAIN: Final = 8 << 10
_WORTH: Final = 0.98
_STORED: Final = 0xFFFF
"""The most bytes of a stored block (RFC 1951, 3.2.4)."""
_WINDOW: Final = 32 << 10
_ISAL_MAX_LEVEL: Final = 3
_DEFAULT_GZIP_LEVEL: Final = 7
_DEFAULT_ZSTD_LEVEL: Final = 3
_FIRST_BLOCKS: Final = 16
_EASY: Final = 0.1
_WINDOW_LOG: Final = 23
_JOB_BYTES: Final = 8 << 20

Block = bytes | memoryview
_own = threading.local()
"""A compressor for each thread: it takes longer to make than to use on a grain."""


class Codec(Protocol):
    """One stream, made of blocks in order."""

    threads: int
    """On how many at once what `prepare` gives may be run; on one alone: in order."""

    def prepare(self, block: Block) -> Callable[[], bytes]:
        """The work for the next block, which must not change meanwhile."""

    def end(self) -> bytes:
        """The stream's last bytes, once all blocks are worked off."""


class GzipMember:
    """One gzip member, put together from blocks."""

    threads = _CORES
    _HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

    def __init__(self, level: int) -> None:
        self._level = level
        self._before = b""
        self._crc = 0
        self._length = 0
        self._header = self._HEADER

    def prepare(self, block: Block) -> Callable[[], bytes]:
        """Take in a block, in order; what compresses it may be called later, on any thread."""
        before, header = self._before, self._header
        self._header = b""
        self._before = bytes(block[-_WINDOW:])
        self._length += len(block)
        self._crc = isal_zlib.crc32(block, self._crc)
        return lambda: header + self._deflate(block, before)

    def compress(self, block: Block) -> bytes:
        """Take in a block, and compress it now."""
        return self.prepare(block)()

    def _deflate(self, block: Block, before: bytes) -> bytes:
        if self._level <= _ISAL_MAX_LEVEL:
            return _deflated(isal_zlib.compressobj, self._level, block, before)
        middle = len(block) // 2
        sample = block[middle : middle + _SAMPLE]
        if len(sample) == _SAMPLE and _is_incompressible(sample) and _is_incompressible(block):
            return b"".join(self._by_grains(block, before))
        return _deflated(zlib_ng.compressobj, self._level, block, before)

    def _by_grains(self, block: Block, before: bytes) -> Iterator[bytes]:
        """Stored, but for the places that are worth it: an archive has some that Go finds, too."""
        at = 0
        for is_worth, grains in groupby(range(0, len(block), _GRAIN), partial(_is_worth, block)):
            end = min(len(block), at + _GRAIN * len([*grains]))
            if is_worth:
                yield _deflated(
                    zlib_ng.compressobj,
                    self._level,
                    block[at:end],
                    (before + bytes(block[max(0, at - _WINDOW) : at]))[-_WINDOW:],
                )
            else:
                yield _stored(block[at:end])
            at = end

    def end(self) -> bytes:
        trailer = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        return self._header + b"\x03\0" + trailer


class _Deflater(Protocol):
    """zlib's `Compress`, as both libraries have it."""

    def compress(self, data: Block, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


def _deflated(
    compressobj: Callable[..., _Deflater], level: int, block: Block, before: bytes
) -> bytes:
    """A block, primed with the bytes before it and ended at a whole byte, by a library's
    `compressobj`."""
    primed = {"zdict": before} if before else {}
    stream = compressobj(level, zlib_ng.DEFLATED, -15, **primed)
    return stream.compress(block) + stream.flush(zlib_ng.Z_SYNC_FLUSH)


def _stored(block: Block) -> bytes:
    """The data as it is, in blocks that are not the last; before and after are whole bytes."""
    parts: list[Block] = []
    for at in range(0, len(block), _STORED):
        part = block[at : at + _STORED]
        parts += (struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF), part)
    return b"".join(parts)


def _is_worth(block: Block, at: int) -> bool:
    """Whether to compress the grain that begins there."""
    return _ratio(block[at : at + _GRAIN]) < _WORTH


def _is_incompressible(block: Block) -> bool:
    return _ratio(block) > _INCOMPRESSIBLE


def _ratio(block: Block) -> float:
    """What is left of it in next to no time."""
    quick: zstandard.ZstdCompressor | None = getattr(_own, "quick", None)
    if quick is None:
        quick = _own.quick = zstandard.ZstdCompressor(level=1)
    return len(quick.compress(block)) / len(block)


class _Zstd:
    """One zstd frame, made by one thread or by several of the library's own. Threads of its own
    halve the time that real files take, and treble the work on those that are random or repeat
    themselves, which one thread compresses at gigabytes a second. Which of them it is, the first
    blocks tell: not the number of cores, which would be seen in the bytes."""

    threads = 1

    def __init__(self, level: int) -> None:
        self._level = level
        self._first: list[bytes] = []
        self._stream: zstandard.ZstdCompressionObj | None = None

    def prepare(self, block: Block) -> Callable[[], bytes]:
        return lambda: self._compress(block)

    def _compress(self, block: Block) -> bytes:
        if self._stream is not None:
            return self._stream.compress(block)
        self._first.append(bytes(block))
        return b"" if len(self._first) < _FIRST_BLOCKS else self._begin()[1]

    def _begin(self) -> tuple[zstandard.ZstdCompressionObj, bytes]:
        """The stream, and what it makes of the blocks so far."""
        blocks, self._first = self._first, []
        hard = sum(_EASY < _ratio(block) < 1 - _EASY for block in blocks if block)
        alone = len(blocks) < _FIRST_BLOCKS or hard < len(blocks) // 2
        stream = self._stream = _zstd(self._level, 0 if alone else _CORES)
        return stream, b"".join(map(stream.compress, blocks))

    def end(self) -> bytes:
        if self._stream is not None:
            return self._stream.flush()
        stream, begun = self._begin()
        return begun + stream.flush()


def _zstd(level: int, threads: int) -> zstandard.ZstdCompressionObj:
    """With the window that BuildKit's has: what decompresses its layers has room for it."""
    window = max(_WINDOW_LOG, zstandard.ZstdCompressionParameters.from_level(level).window_log)
    size = _JOB_BYTES if threads else 0
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=window, threads=threads, job_size=size
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()


def codec(compression: str, level: int | None) -> Codec | None:
    """The codec for a compression at a level, None for the default one; None for `uncompressed`.
    Raises `InvalidRequest`."""
    if compression == "uncompressed":
        return None
    if compression == "gzip":
        return GzipMember(gzip_level(level))
    if compression == "zstd":
        return _Zstd(_DEFAULT_ZSTD_LEVEL if level is None else max(1, min(level, 22)))
    raise InvalidRequest(f"unsupported compression type {compression}")


def gzip_level(level: int | None) -> int:
    """A level of gzip that there is: the one asked for, at most 9, or the default one."""
    if level is None or level < 0:
        return _DEFAULT_GZIP_LEVEL
    return min(level, 9)
