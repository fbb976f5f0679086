"""Frames of HTTP/2, written and read by hand."""

from __future__ import annotations

from collections.abc import Iterator

from croze.rpc.http2 import frames
from croze.rpc.http2.frames import frame


def parsed(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    data = data.removeprefix(frames.PREFACE)
    while data:
        length_kind, flags, number = frames.head.unpack_from(data)
        end = frames.HEAD_BYTES + (length_kind >> 8)
        yield length_kind & 0xFF, flags, number, data[frames.HEAD_BYTES : end]
        data = data[end:]


def data(number: int, payload: bytes, flags: int = 0) -> bytes:
    return frame(frames.DATA, flags, number, payload)
