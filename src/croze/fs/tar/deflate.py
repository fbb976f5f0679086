"""Gzip members, made of blocks on several threads.

A block is primed with the 32 KiB before it and ended with a sync flush, so that the result is one
ordinary gzip member, the same every time (RFC 1951, RFC 1952). Two kinds of blocks are treated
apart, both told by zstd, at gigabytes a second:

- What compresses nowhere is stored, in stretches of 32 KiB. An archive does, at the names of its
  members: Go finds those.
- What repeats itself (zeros, tables, thousands of tiny files) is one stream over all blocks that
  follow one another: a header for each block would be a tenth of what is left.

Level 1 is ISA-L's, three times as fast as the others, which are zlib-ng's. But for that one, no
byte depends on the processor: zlib-ng chooses its instructions for speed alone (equal from the
first x86-64 to AVX-512), and so does zstd. ISA-L's level 1 differs between processors with SSE4 and
those without.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import zstandard
from isal import isal_zlib
from zlib_ng import zlib_ng

CORES: Final = min(4, os.cpu_count() or 1)
_ISAL_LEVEL: Final = 1
_LEAST_LEVEL: Final = 3
"""The level of zlib-ng for what ISA-L is not good at: repetitions."""
_SAMPLE: Final = 32 << 10
_INCOMPRESSIBLE: Final = 0.998
_REPEATING: Final = 0.05
_STRETCH: Final = 32 << 10
_GRAIN: Final = 4 << 10
"""Zstd stores what it would save less than a sixtieth of: the more finely it is asked, the more it
finds, and the longer it takes."""
_STORED: Final = 0xFFFF
"""The most bytes of a stored block (RFC 1951, 3.2.4)."""
_WINDOW: Final = 32 << 10
_EMPTY_END: Final = b"\x03\0"
"""An empty last block."""
_MANY_CODES: Final = 9
"""zlib's `memLevel` with the most codes under one header."""

Block = bytes | memoryview
_own = threading.local()
"""A compressor for each thread: it takes longer to make than to use on a sample."""
_LOOKING: Final = zstandard.ZstdCompressionParameters.from_level(1, window_log=17)


class _Deflater(Protocol):
    """zlib's `Compress`, as both libraries have it."""

    def compress(self, data: Block, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


class GzipMember:
    """One gzip member, put together from blocks."""

    threads = CORES
    _HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

    def __init__(self, level: int) -> None:
        self._level = level
        self._before = b""
        self._crc = 0
        self._length = 0
        self._header = self._HEADER
        self._repetition: _Repetition | None = None

    def prepare(self, block: Block) -> Callable[[], bytes]:
        """See `codecs.Codec`."""
        header, closing, work = self._take(block)
        return lambda: header + closing() + work(zlib_ng.Z_SYNC_FLUSH)

    def compress(self, block: Block) -> bytes:
        return self.prepare(block)()

    def end(self, block: Block) -> bytes:
        """See `codecs.Codec`."""
        header, closing, work = self._take(block)
        trailer = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        return header + closing() + work(zlib_ng.Z_FINISH) + trailer

    def _take(self, block: Block) -> tuple[bytes, Callable[[], bytes], Callable[[int], bytes]]:
        """The header, if nothing was written yet; what ends a repetition before the block; and the
        work for the block itself, which ends as the flush says."""
        before, header = self._before, self._header
        self._header = b""
        self._before = bytes(block[-_WINDOW:])
        self._length += len(block)
        self._crc = isal_zlib.crc32(block, self._crc)
        repetition, share = self._repetition, _sampled(block)
        if share < _REPEATING and ratio(block) < _REPEATING:
            if repetition is None:
                level = max(self._level, _LEAST_LEVEL)
                repetition = self._repetition = _Repetition(level, before)
            return header, _nothing, repetition.add(block)
        self._repetition = None
        closing = repetition.close() if repetition is not None else _nothing
        if self._level == _ISAL_LEVEL:
            return header, closing, partial(_deflated, _by_isal, self._level, block, before)
        return header, closing, partial(_deflate_stretches, self._level, block, before)


class _Repetition:
    """One stream of blocks that repeat themselves. Each waits for the one before, which has been
    begun earlier, and takes next to no time."""

    def __init__(self, level: int, before: bytes) -> None:
        self._stream = _by_zlib(level, before, _MANY_CODES)
        self._turns = threading.Condition()
        self._count = 0
        self._next = 0

    def add(self, block: Block) -> Callable[[int], bytes]:
        turn = self._turn()
        end = zlib_ng.Z_FINISH

        def work(flush: int) -> bytes:
            def compress() -> bytes:
                data = self._stream.compress(block)
                return data + self._stream.flush(flush) if flush == end else data

            return self._in(turn, compress)

        return work

    def close(self) -> Callable[[], bytes]:
        """The work that ends it at a whole byte."""
        turn = self._turn()
        return lambda: self._in(turn, lambda: self._stream.flush(zlib_ng.Z_SYNC_FLUSH))

    def _turn(self) -> int:
        self._count += 1
        return self._count - 1

    def _in(self, turn: int, work: Callable[[], bytes]) -> bytes:
        with self._turns:
            self._turns.wait_for(lambda: self._next == turn)
            try:
                return work()
            finally:
                self._next += 1
                self._turns.notify_all()


def _nothing() -> bytes:
    return b""


def _by_zlib(level: int, before: bytes, memory: int = 8) -> _Deflater:
    """A raw stream of zlib-ng's, primed with the bytes before it."""
    strategy = zlib_ng.Z_DEFAULT_STRATEGY
    if not before:
        return zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15, memory, strategy)
    return zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15, memory, strategy, before)


def _by_isal(level: int, before: bytes) -> _Deflater:
    """A raw stream of ISA-L's."""
    if not before:
        return isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
    return isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15, zdict=before)


def _deflated(
    begin: Callable[[int, bytes], _Deflater], level: int, block: Block, before: bytes, flush: int
) -> bytes:
    stream = begin(level, before)
    return stream.compress(block) + stream.flush(flush)


def _deflate_stretches(level: int, block: Block, before: bytes, flush: int) -> bytes:
    """The block, of which what compresses nowhere is stored."""
    parts = []
    begin = 0
    for stored in _incompressible(block, before):
        if stored.start > begin:
            window = _window(block, before, begin)
            between = block[begin : stored.start]
            parts.append(_deflated(_by_zlib, level, between, window, zlib_ng.Z_SYNC_FLUSH))
        parts.append(_stored(block[stored.start : stored.stop]))
        begin = stored.stop
    if begin < len(block) or not begin:
        window = _window(block, before, begin)
        parts.append(_deflated(_by_zlib, level, block[begin:], window, flush))
    elif flush == zlib_ng.Z_FINISH:
        parts.append(_EMPTY_END)
    return b"".join(parts)


def _stored(data: Block) -> bytes:
    """The data as it is, in blocks that are not the last; before and after are whole bytes."""
    parts: list[Block] = []
    for at in range(0, len(data), _STORED):
        part = data[at : at + _STORED]
        parts += (struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF), part)
    return b"".join(parts)


def _window(block: Block, before: bytes, at: int) -> bytes:
    """What is before a place in the block, as far as a stream looks back."""
    return (before + block[max(0, at - _WINDOW) : at])[-_WINDOW:]


def _incompressible(block: Block, before: bytes) -> list[range]:
    """The stretches in which zstd finds nothing to save, in order and with something between."""
    stretches: list[range] = []
    looker: _Looker | None = None
    for stop in range(_STRETCH, len(block) + 1, _STRETCH):
        start = stop - _STRETCH
        middle = start + _STRETCH // 2
        if ratio(block[middle : middle + _GRAIN]) <= _INCOMPRESSIBLE:
            looker = None
            continue
        looker = looker or _Looker(_window(block, before, start))
        if looker.finds_nothing(block[start:stop]):
            begin = stretches.pop().start if stretches and stretches[-1].stop == start else start
            stretches.append(range(begin, stop))
        else:
            looker = None
    return stretches


class _Looker:
    """Looks for what could be saved, knowing all that is before it."""

    def __init__(self, before: bytes) -> None:
        self._stream = zstandard.ZstdCompressor(compression_params=_LOOKING).compressobj()
        self._left(before)

    def finds_nothing(self, stretch: Block) -> bool:
        """Whether zstd saves nothing in any grain. Once it does, this one has seen its last."""
        grains = (stretch[at : at + _GRAIN] for at in range(0, len(stretch), _GRAIN))
        return all(self._left(grain) >= len(grain) for grain in grains)

    def _left(self, data: Block) -> int:
        begun = self._stream.compress(data)
        return len(begun) + len(self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))


def _sampled(block: Block) -> float:
    """What is left of a part of it; as of most things, of a block that is too short to tell."""
    middle = len(block) // 2
    sample = block[middle : middle + _SAMPLE]
    return ratio(sample) if len(sample) == _SAMPLE else 0.5


def ratio(block: Block) -> float:
    """What is left of it in next to no time."""
    quick: zstandard.ZstdCompressor | None = getattr(_own, "quick", None)
    if quick is None:
        quick = _own.quick = zstandard.ZstdCompressor(level=1)
    return len(quick.compress(block)) / len(block)
