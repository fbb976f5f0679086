"""How the bytes of layer blobs are compressed, in blocks.

Levels are chosen so that layers are no larger than what BuildKit makes of the same level with its
libraries (Go's own and klauspost's): `docs/performance.md` has a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import zstandard

from croze.errors import InvalidRequest
from croze.fs.tar.deflate import CORES, Block, GzipMember, ratio

BLOCK_BYTES: Final = 256 << 10
_CORES: Final = CORES
_DEFAULT_GZIP_LEVEL: Final = 7
_GZIP_LEVELS: Final = (1, 1, 3, 3, 4, 5, 7, 7, 9, 9)
"""Levels of the libraries, for those of Go: the next one up where the same would be larger."""
_FIRST_GZIP_LEVEL: Final = -2
_LAST_GZIP_LEVEL: Final = 9
_DEFAULT_ZSTD_LEVEL: Final = 3
_BEST_ZSTD_LEVEL: Final = 13
"""For all from `_FIRST_BEST` on, which are one to BuildKit's library: as much work as that does.
Those above take several times as much of it, and of memory as well."""
_FIRST_BEST: Final = 10
_FIRST_BLOCKS: Final = 16
_REPEATING: Final = 0.1
_WORK: Final = 0.9
_RANDOM: Final = 0.99
"""What is left of a block by the quickest of levels: below the first, and above the last, it is
compressed at gigabytes a second; up to the second it is work."""
_WINDOW_LOG: Final = 23
_JOB_BYTES: Final = 8 << 20
_FAR_BYTES: Final = 256
"""The shortest repetition that is looked for as far away as the window reaches. Shorter ones are
found nearby, and better."""
_FAR_RATE_LOG: Final = 9
"""One place of so many (its logarithm) is remembered for that."""


class Codec(Protocol):
    """One stream, made of blocks in order."""

    threads: int
    """On how many at once what `prepare` gives may be run; on one alone: in order."""

    def prepare(self, block: Block) -> Callable[[], bytes]:
        """The work for the next block, which must not change meanwhile."""

    def end(self, block: Block) -> bytes:
        """The last block, which may be empty, and the stream's last bytes, once all other blocks
        are worked off."""


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
        shares = [ratio(block) for block in blocks if block] if len(blocks) == _FIRST_BLOCKS else []
        half = _FIRST_BLOCKS // 2
        is_work = sum(_REPEATING < share < _WORK for share in shares) >= half
        may_repeat = sum(_REPEATING < share < _RANDOM for share in shares) >= half
        stream = self._stream = _zstd(self._level, _CORES if is_work else 0, far=may_repeat)
        return stream, b"".join(map(stream.compress, blocks))

    def end(self, block: Block) -> bytes:
        """See `Codec`."""
        if self._stream is not None:
            return self._stream.compress(block) + self._stream.flush()
        self._first.append(bytes(block))
        stream, begun = self._begin()
        return begun + stream.flush()


def _zstd(level: int, threads: int, *, far: bool) -> zstandard.ZstdCompressionObj:
    """A compressor with the window that BuildKit's has: what decompresses its layers has room for
    it. `far`: repetitions are looked for wherever it reaches, which a thread's piece knows little
    of, nor what has seen much that does not compress."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=_WINDOW_LOG,
        threads=threads,
        job_size=_JOB_BYTES if threads else 0,
        enable_ldm=far,
        ldm_min_match=_FAR_BYTES if far else 0,
        ldm_hash_rate_log=_FAR_RATE_LOG if far else 0,
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
        return _Zstd(zstd_level(level))
    raise InvalidRequest(f"unsupported compression type {compression}")


def zstd_level(level: int | None) -> int:
    """The library's level for the one that was asked for, or for the default one."""
    if level is None:
        return _DEFAULT_ZSTD_LEVEL
    return _BEST_ZSTD_LEVEL if level >= _FIRST_BEST else max(1, level)


def gzip_level(level: int | None) -> int:
    """The library's level for the one that was asked for, or for the default one. Raises
    `InvalidRequest` for what is no level of Go's `compress/gzip`."""
    if level is not None and not _FIRST_GZIP_LEVEL <= level <= _LAST_GZIP_LEVEL:
        raise InvalidRequest(
            f"failed to get compressed stream: gzip: invalid compression level: {level}"
        )
    if level is None or level < 0:
        return _DEFAULT_GZIP_LEVEL
    return _GZIP_LEVELS[level]
