"""Bodies that a server has encoded for the way (RFC 9110, section 8.4), asked to or not.

They are decoded as they come, a piece at a time: however much is made of little, only a piece of it
is held.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Final, Protocol

from croze.errors import Corrupted, CrozeError

PIECE_BYTES: Final = 1 << 20
"""The most that is decoded at once."""
_GZIP_BYTES: Final = 4096
"""How much of what is encoded with gzip is looked at at once: it may be hundreds of members."""
_ZSTD_BYTES: Final = 256
"""How much of what is encoded with zstd is decoded at once: four bytes may stand for 128 KiB."""
ACCEPTED: Final = {"Accept-Encoding": "gzip"}
"""The header with which Go's client asks for what it decodes."""
_FAILED = "failed to decode the body"
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Decoder(Protocol):
    """Decodes one body."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data`, which comes next, stands for. Raises `Corrupted`."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end of what has come, or nothing has come at all."""


class _Gunzip:
    """gzip, in any number of members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    @property
    def is_whole(self) -> bool:
        return self._member.eof or not self._begun

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        for start in range(0, len(data), _GZIP_BYTES):
            rest = data[start : start + _GZIP_BYTES]
            while rest:
                if self._member.eof:
                    self._member = zlib.decompressobj(_GZIP)
                self._begun = True
                yield from _inflated(self._member, rest)
                rest = self._member.unused_data


class _Inflater:
    """deflate, with zlib's head or, as many send it, without. What comes after it is nothing."""

    def __init__(self) -> None:
        self._stream: zlib._Decompress | None = None
        self._head = b""

    @property
    def is_whole(self) -> bool:
        return not self._head if self._stream is None else self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        if self._stream is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return
            self._stream = zlib.decompressobj(_ZLIB if _has_head(data) else _RAW)
            self._head = b""
        if not self._stream.eof:
            yield from _inflated(self._stream, data)


def _has_head(data: bytes) -> bool:
    """RFC 1950, section 2.2."""
    return data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0


def _inflated(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    try:
        while (piece := stream.decompress(data, PIECE_BYTES)) or stream.unconsumed_tail:
            data = stream.unconsumed_tail
            yield piece
    except zlib.error as error:
        raise Corrupted(f"{_FAILED}: {error}") from None


class _Unzstd:
    """zstd, in any number of frames."""

    def __init__(self) -> None:
        import zstandard  # few bodies need it

        self._error = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor(max_window_size=8 << 20)
        self._frame = self._frames.decompressobj()
        self._begun = False

    @property
    def is_whole(self) -> bool:
        return self._frame.eof or not self._begun

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        for start in range(0, len(data), _ZSTD_BYTES):
            rest = data[start : start + _ZSTD_BYTES]
            while rest:
                if self._frame.eof:
                    self._frame = self._frames.decompressobj()
                self._begun = True
                try:
                    piece = self._frame.decompress(rest)
                except self._error as error:
                    raise Corrupted(f"{_FAILED}: {error}") from None
                if piece:
                    yield piece
                rest = self._frame.unused_data


_DECODERS: Mapping[str, Callable[[], Decoder]] = {
    "gzip": _Gunzip,
    "x-gzip": _Gunzip,
    "deflate": _Inflater,
    "zstd": _Unzstd,
}


def decoders(encoding: str) -> list[Decoder]:
    """What undoes a `Content-Encoding`, first things first; nothing for a body that is as it is.
    Raises `CrozeError` for an unknown one."""
    steps = []
    for name in reversed(encoding.replace(",", " ").lower().split()):
        if name == "identity":
            continue
        if name not in _DECODERS:
            raise CrozeError(f"unsupported Content-Encoding algorithm: {name}")
        steps.append(_DECODERS[name]())
    return steps


async def decoded(
    chunks: AsyncIterator[bytes], steps: list[Decoder]
) -> AsyncGenerator[bytes, None]:
    """The body itself. Raises `Corrupted`, also where the end is missing."""
    async for chunk in chunks:
        for piece in _through(chunk, steps):
            yield piece
    _check_end(steps)


def decoded_whole(data: bytes, encoding: str) -> Iterator[bytes]:
    """A body that is all there, piece by piece. Raises `Corrupted`, also where the end is missing,
    and `CrozeError` for an unknown encoding."""
    steps = decoders(encoding)
    yield from _through(data, steps)
    _check_end(steps)


def _check_end(steps: list[Decoder]) -> None:
    if not all(step.is_whole for step in steps):
        raise Corrupted(f"{_FAILED}: unexpected EOF")


def _through(data: bytes, steps: list[Decoder]) -> Iterator[bytes]:
    if not steps:
        yield data
        return
    for piece in steps[0].pieces(data):
        yield from _through(piece, steps[1:])
