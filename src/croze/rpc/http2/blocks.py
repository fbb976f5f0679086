"""Header blocks: lists of headers as they travel in frames (RFC 9113, 4.3, and RFC 7541)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hpack.hpack import encode_integer

from croze.rpc.http2.frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEAD_BYTES,
    HEADERS,
    PADDED,
    Code,
    ConnectionBroken,
    frame,
)

NO_TABLE: Final = b"\x20"
"""Begins a block, for a peer with a smaller table than there is without a word: it has to hear that
none is used, or the connection ends (RFC 7541, 4.2)."""


def header_frames(stream: int, block: bytes, limit: int, *, end_stream: bool = False) -> bytes:
    """A header block as HEADERS and, where it is too long, CONTINUATION frames."""
    pieces = [block[start : start + limit] for start in range(0, len(block), limit)] or [b""]
    frames = []
    for number, piece in enumerate(pieces):
        flags = END_HEADERS if number == len(pieces) - 1 else 0
        if number == 0 and end_stream:
            flags |= END_STREAM
        frames.append(frame(CONTINUATION if number else HEADERS, flags, stream, piece))
    return b"".join(frames)


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """HPACK (RFC 7541) in its plainest form, all literals: there may be tens of thousands of
    patterns, and nothing is gained by looking each up in a table."""
    pieces = []
    for header in headers:
        pieces.append(b"\0")
        for text in header:
            data = text.encode()
            pieces.append(bytes(encode_integer(len(data), 7)))
            pieces.append(data)
    return b"".join(pieces)


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding. Raises `ConnectionBroken`."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionBroken(Code.PROTOCOL_ERROR, "more padding than there is in the frame")
    return payload[1 : len(payload) - payload[0]]


class HeaderBlock:
    """A header block that comes in several frames (HEADERS and CONTINUATION)."""

    def __init__(self, number: int, limit: int, *, end_stream: bool) -> None:
        """The block of stream `number`, of at most `limit` bytes on the wire. `end_stream`: whether
        the peer sends nothing more after it."""
        self.number = number
        self._limit = limit
        self.end_stream = end_stream
        self._pieces: list[bytes] = []
        self._cost = 0

    def add(self, fragment: bytes) -> None:
        """Take in a piece, which costs what it takes on the wire, however small. Raises
        `ConnectionBroken` for a block that does not end."""
        self._pieces.append(fragment)
        self._cost += len(fragment) + HEAD_BYTES
        if self._cost > self._limit:
            raise ConnectionBroken(Code.ENHANCE_YOUR_CALM, "headers that do not end")

    def whole(self) -> bytes:
        """All pieces so far."""
        return b"".join(self._pieces)
