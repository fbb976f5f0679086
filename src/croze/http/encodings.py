"""Bodies that a server has encoded for the way (RFC 9110, section 8.4), though nobody asked it to.

They are decoded as they come, a piece at a time: however much is made of little, only a piece of it
is held.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final, Protocol

from croze.errors import Corrupted, CrozeError

PIECE_BYTES: Final = 1 << 20
"""The most that is decoded at once."""
_ZSTD_BYTES: Final = 256
"""How much of what is encoded with zstd is decoded at once: four bytes may stand for 128 KiB."""
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Decoder(Protocol):
    """Decodes one body."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data`, which comes next, stands for. Raises `Corrupted`."""


class _Inflater:
    """gzip, in any number of members; deflate, with zlib's head or, as many send it, without."""

    def __init__(self, wbits: int | None = None) -> None:
        self._wbits = wbits
        self._member = zlib.decompressobj(wbits) if wbits is not None else None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        member = self._member or self._begun(data)
        try:
            while True:
                piece = member.decompress(data, PIECE_BYTES)
                data = member.unconsumed_tail
                if piece:
                    yield piece
                elif member.eof and member.unused_data and self._wbits == _GZIP:
                    data = member.unused_data
                    member = self._member = zlib.decompressobj(_GZIP)
                elif not data:
                    return
        except zlib.error as error:
            raise Corrupted(f"failed to decode the body: {error}") from None

    def _begun(self, data: bytes) -> zlib._Decompress:
        has_head = data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
        self._member = zlib.decompressobj(_ZLIB if has_head else _RAW)
        return self._member


class _Unzstd:
    """zstd."""

    def __init__(self) -> None:
        import zstandard  # few bodies need it

        self._error = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        for start in range(0, len(data), _ZSTD_BYTES):
            try:
                piece = self._frames.decompress(data[start : start + _ZSTD_BYTES])
            except self._error as error:
                raise Corrupted(f"failed to decode the body: {error}") from None
            if piece:
                yield piece


_DECODERS: Mapping[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Inflater(_GZIP),
    "x-gzip": lambda: _Inflater(_GZIP),
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


async def decoded(chunks: AsyncIterator[bytes], steps: list[Decoder]) -> AsyncIterator[bytes]:
    """The body itself."""
    async for chunk in chunks:
        for piece in _through(chunk, steps):
            yield piece


def _through(data: bytes, steps: list[Decoder]) -> Iterator[bytes]:
    if not steps:
        yield data
        return
    for piece in steps[0].pieces(data):
        yield from _through(piece, steps[1:])
