"""Reading compressed archives step by step: all that is sound comes before what is wrong is told.

Who reads a tar stops where it says that it ends. What is behind (a signature, padding, a check sum
that is not right) is nobody's business then, as for BuildKit, whose decompressors work like this.
The readers of `compress` are faster, and fail with all that was to come in the same step: they are
for layers, of which each byte counts.
"""

from __future__ import annotations

import bz2
import lzma
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from croze.errors import Corrupted
from croze.fs.tar.compress import Readable, detect, read_errors

if TYPE_CHECKING:
    from isal import igzip_lib

_READ: Final = 64 << 10
_MOST: Final = 1 << 20
_ZSTD_READ: Final = 1 << 10
"""What comes of it is not bounded otherwise: 128 KiB for each four bytes, at most."""
_LONGEST_HEADER: Final = 256 << 10
_BAD_HEADER: Final = "gzip: invalid header"
_EXTRA, _NAME, _COMMENT, _CHECKED = 4, 8, 16, 2
_TRAILER: Final = 8


class Decompressor(Protocol):
    """What `bz2`, `lzma` and ISA-L have in common; for one stream of perhaps several."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more input."""

    @property
    def unused_data(self) -> bytes:
        """What was after the end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """What comes of the data and what was left of earlier ones, mostly not more than that."""


def open_stepwise(file: BinaryIO) -> Readable:
    """A reader of what a file (which must seek) holds uncompressed. Raises `Corrupted` for what is
    broken, once everything before it has been read."""
    begin = _BEGIN.get(detect(file.read(10)))
    file.seek(0)
    return file if begin is None else _Steps(file, begin)


class _Steps:
    """Streams that follow one another in a file."""

    def __init__(self, file: BinaryIO, begin: Callable[[], Decompressor]) -> None:
        self._file = file
        self._begin = begin
        self._stream = begin()

    def read(self, size: int = -1, /) -> bytes:
        """See `Readable`; less than what is asked for, mostly."""
        try:
            data: bytes | None = b""
            while data == b"":
                data = self._step(size if 0 <= size < _MOST else _MOST)
        except read_errors() as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise Corrupted(str(error)) from error
        return data or b""

    def _step(self, size: int) -> bytes | None:
        """What comes next, which may be nothing yet; None at the end."""
        data = b""
        if self._stream.eof:
            data = self._stream.unused_data or self._file.read(_READ)
            if not data:
                return None
            self._stream = self._begin()
        elif self._stream.needs_input:
            data = self._file.read(_READ)
            if not data:
                raise Corrupted("unexpected EOF")
        return self._stream.decompress(data, size)


class _GzipMember:
    """One member (RFC 1952). ISA-L would check it in the step that brings its last bytes."""

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self._around = b""
        """The header or the trailer, as far as it has come."""
        self._body: igzip_lib.IgzipDecompressor | None = None
        self._crc = self._length = 0

    @property
    def needs_input(self) -> bool:
        if self._body is None:
            return True
        return len(self._around) < _TRAILER if self._body.eof else self._body.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See `Decompressor`."""
        if self._body is None:
            self._around += data
            end = _header_end(self._around)
            if not end:
                return b""
            from isal import igzip_lib

            data, self._around = self._around[end:], b""
            self._body = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        if not self._body.eof:
            return self._inflate(self._body, data, max_length)
        self._around += data
        if len(self._around) >= _TRAILER:
            self._end()
        return b""

    def _inflate(self, body: igzip_lib.IgzipDecompressor, data: bytes, max_length: int) -> bytes:
        from isal import isal_zlib

        plain = body.decompress(data, max_length)
        self._crc = isal_zlib.crc32(plain, self._crc)
        self._length += len(plain)
        if body.eof:
            self._around = body.unused_data
        return plain

    def _end(self) -> None:
        crc, length = struct.unpack_from("<II", self._around)
        if (crc, length) != (self._crc, self._length & 0xFFFFFFFF):
            raise Corrupted("gzip: invalid checksum")
        self.eof, self.unused_data = True, self._around[_TRAILER:]


def _header_end(data: bytes) -> int:
    """Where a member's header ends; 0 if more of it is to come. Raises `Corrupted`."""
    if not b"\x1f\x8b\x08".startswith(data[:3]) or len(data) > _LONGEST_HEADER:
        raise Corrupted(_BAD_HEADER)
    if len(data) < 12:
        return 0
    flags, end = data[3], 10
    if flags & _EXTRA:
        end += 2 + int.from_bytes(data[10:12], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1
            if not end:
                return 0
    if flags & _CHECKED:
        end += 2
    return end if end <= len(data) else 0


class _ZstdFrame:
    """One frame, in steps that are small."""

    def __init__(self) -> None:
        import zstandard

        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._input = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def needs_input(self) -> bool:
        return not self._input

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See `Decompressor`; any length, up to 32 MiB, may come at once."""
        if data:
            self._input = memoryview(data)
        plain = self._frame.decompress(self._input[:_ZSTD_READ])
        self._input = self._input[_ZSTD_READ:]
        return plain


_BEGIN: Final[dict[str, Callable[[], Decompressor]]] = {
    "gzip": _GzipMember,
    "zstd": _ZstdFrame,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
}
