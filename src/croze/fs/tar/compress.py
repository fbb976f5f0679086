"""Streams of compressed bytes: what kind they are, reading them, and writing layer blobs.

Gzip is written in independent blocks on several threads, each primed with the 32 KiB before it and
ended with a sync flush, so that the result is one ordinary gzip member, the same every time
(RFC 1951, RFC 1952). The digest of what goes in and of what comes out are taken on the way.

Levels 1 to 3 are ISA-L's: five to ten times as fast as the others, which are zlib-ng's, and 8 to
22 % larger than what BuildKit makes by default (Go's level 6). Measured on npm packages, numpy,
Python packages and shared libraries, zlib-ng's level 6 is up to 0.3 % larger than that, and level
7, the default here, 0.5 to 0.9 % smaller, in two thirds of the processor time and on all cores.
Blocks that do not compress are stored from level 4 on: zlib-ng makes them hardly smaller (wheels
by 0.9 %, gzip files by 0.1 %), at 80 MB a second. Whether they do is zstd's to say, at 10 GB a
second.

From level 4 on no byte depends on the processor: zlib-ng chooses its instructions for speed alone
(equal from the first x86-64 to AVX-512), and so does zstd. ISA-L's level 3 differs between
processors with SSE, AVX2 and AVX-512, levels 1 and 2 between those with SSE4 and others.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Literal, NamedTuple, Protocol, cast

import zstandard
from isal import igzip, isal_zlib
from zlib_ng import zlib_ng

from croze.errors import InvalidRequest
from croze.fs.filecopy import write_all

Kind = Literal["uncompressed", "gzip", "zstd", "bzip2", "xz"]

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)
# The stubs have it as a value.
_ISAL_ERROR = cast("type[Exception]", isal_zlib.error)
_BLOCK = 256 << 10
_SAMPLE = 32 << 10
_INCOMPRESSIBLE = 0.998
_STORED = 0xFFFF
"""Of a stored block, the most bytes (RFC 1951, 3.2.4)."""
_WINDOW = 32 << 10
_THREADS = min(4, os.cpu_count() or 1)
_ISAL_MAX_LEVEL = 3
_DEFAULT_GZIP_LEVEL = 7
_DEFAULT_ZSTD_LEVEL = 3


class Readable(Protocol):
    """The part of a binary file that readers need."""

    def read(self, size: int = -1, /) -> bytes: ...


def detect(head: bytes) -> Kind:
    """The kind of stream that starts with `head` (ten bytes are enough)."""
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        return "zstd"  # a skippable frame may come first (RFC 8878, 3.1.2)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "uncompressed")


def open_reader(file: BinaryIO, kind: Kind | None = None) -> Readable:
    """A reader of what `file` holds uncompressed; `kind` is found out (the file must seek) if not
    given. Bad data raises one of `READ_ERRORS`, or EOFError if it ends early."""
    if kind is None:
        kind = detect(file.read(10))
        file.seek(-min(10, file.tell()), os.SEEK_CUR)
    if kind == "gzip":
        return cast(Readable, igzip.open(file, "rb"))  # type: ignore[no-untyped-call]
    if kind == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=False
        )
        return cast(Readable, reader)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    return file


READ_ERRORS: tuple[type[Exception], ...] = (
    _ISAL_ERROR, zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError, OSError,
)  # fmt: skip
"""What reading damaged streams raises."""


class BlobSums(NamedTuple):
    """What is known of a blob once it is written."""

    digest: str
    diff_id: str
    size: int
    annotations: Mapping[str, str] = {}
    """That its descriptor must have."""


class BlobWriter:
    """Compresses to a descriptor with bounded memory, hashing both sides in the same pass.

    Use as a context manager; `finish` gives the sums. Leaving without it just stops the threads.
    """

    def __init__(self, fd: int, compression: str = "gzip", level: int | None = None) -> None:
        self._fd = fd
        self._codec = _codec(compression, level)
        self._plain = hashlib.sha256()
        self._out = hashlib.sha256() if self._codec else self._plain
        self._size = 0
        self._buffer = bytearray()
        self._threads: ThreadPoolExecutor | None = None
        self._hashing: ThreadPoolExecutor | None = None
        self._compressed: deque[Future[bytes]] = deque()
        self._hashed: deque[Future[None]] = deque()

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._threads, self._hashing):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer += data
        whole = len(self._buffer) // _BLOCK * _BLOCK
        if whole:
            for at in range(0, whole, _BLOCK):
                self._flush(bytes(self._buffer[at : at + _BLOCK]))
            del self._buffer[:whole]

    def finish(self) -> BlobSums:
        """Write what is left and the trailer."""
        last = bytes(self._buffer)
        self._buffer.clear()
        if self._hashing is None:
            self._plain.update(last)
            if self._codec is not None:
                self._emit(self._codec.compress(last))
            else:
                self._put(last)
        else:
            self._flush(last)
            self._drain(0)
        if self._codec is not None:
            self._emit(self._codec.end())
        diff_id = "sha256:" + self._plain.hexdigest()
        digest = "sha256:" + self._out.hexdigest()
        return BlobSums(digest, diff_id, self._size)

    def _flush(self, block: bytes) -> None:
        if self._hashing is None:
            self._hashing = ThreadPoolExecutor(1, "croze-hash")
        self._hashed.append(self._hashing.submit(self._plain.update, block))
        if self._codec is None:
            self._put(block)
        elif self._codec.parallel:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, "croze-compress")
            self._compressed.append(self._threads.submit(self._codec.prepare(block)))
        else:
            self._emit(self._codec.compress(block))
        self._drain(2 * _THREADS)

    def _drain(self, keep: int) -> None:
        while len(self._compressed) > keep:
            self._emit(self._compressed.popleft().result())
        while len(self._hashed) > keep:
            self._hashed.popleft().result()

    def _emit(self, data: bytes) -> None:
        self._out.update(data)
        self._put(data)

    def _put(self, data: bytes) -> None:
        if data:
            write_all(self._fd, data)
            self._size += len(data)


class _Codec(Protocol):
    parallel: bool

    def prepare(self, block: bytes) -> Callable[[], bytes]:
        """The work for the next block, to be run in any thread."""

    def compress(self, block: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class GzipMember:
    """One gzip member, put together from blocks."""

    parallel = True
    _HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

    def __init__(self, level: int) -> None:
        self._level = level
        self._before = b""
        self._crc = 0
        self._length = 0
        self._header = self._HEADER

    def prepare(self, block: bytes) -> Callable[[], bytes]:
        before, header = self._before, self._header
        self._header = b""
        self._before = block[-_WINDOW:]
        self._length += len(block)
        self._crc = isal_zlib.crc32(block, self._crc)
        return lambda: header + self._deflate(block, before)

    def compress(self, block: bytes) -> bytes:
        return self.prepare(block)()

    def _deflate(self, block: bytes, before: bytes) -> bytes:
        if self._level <= _ISAL_MAX_LEVEL:
            return _fast(self._level, block, before)
        middle = len(block) // 2
        sample = block[middle : middle + _SAMPLE]
        if len(sample) == _SAMPLE and _is_incompressible(sample) and _is_incompressible(block):
            return _stored(block)
        return _small(self._level, block, before)

    def end(self) -> bytes:
        trailer = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        return self._header + b"\x03\0" + trailer


def _fast(level: int, block: bytes, before: bytes) -> bytes:
    if before:
        stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15, zdict=before)
    else:
        stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
    return bytes(stream.compress(block) + stream.flush(isal_zlib.Z_SYNC_FLUSH))


def _small(level: int, block: bytes, before: bytes) -> bytes:
    if before:
        stream = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15, zdict=before)
    else:
        stream = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15)
    return bytes(stream.compress(block) + stream.flush(zlib_ng.Z_SYNC_FLUSH))


def _stored(block: bytes) -> bytes:
    """As it is, in blocks that are not the last; before and after are whole bytes."""
    parts: list[bytes] = []
    for at in range(0, len(block), _STORED):
        part = block[at : at + _STORED]
        parts += (struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF), part)
    return b"".join(parts)


def _is_incompressible(block: bytes) -> bool:
    compressed = zstandard.ZstdCompressor(level=1).compress(block)
    return len(compressed) > _INCOMPRESSIBLE * len(block)


class _Zstd:
    """One zstd frame; the library runs its own threads."""

    parallel = False

    def __init__(self, level: int) -> None:
        threads = _THREADS if _THREADS > 1 else 0
        self._stream = zstandard.ZstdCompressor(level=level, threads=threads).compressobj()

    def prepare(self, block: bytes) -> Callable[[], bytes]:
        return lambda: self.compress(block)

    def compress(self, block: bytes) -> bytes:
        return self._stream.compress(block)

    def end(self) -> bytes:
        return self._stream.flush()


def _codec(compression: str, level: int | None) -> _Codec | None:
    if compression == "uncompressed":
        return None
    if compression == "gzip":
        return GzipMember(gzip_level(level))
    if compression == "zstd":
        return _Zstd(_DEFAULT_ZSTD_LEVEL if level is None else max(1, min(level, 22)))
    raise InvalidRequest(f"unsupported compression type {compression}")


def gzip_level(level: int | None) -> int:
    """What is asked for, or the default, within what there is."""
    if level is None or level < 0:
        return _DEFAULT_GZIP_LEVEL
    return min(level, 9)
