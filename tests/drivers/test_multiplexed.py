"""Docker's frames, however the connection cuts them."""

from __future__ import annotations

import struct

import pytest

from croze.drivers.multiplexed import MultiplexedOutput, frames
from croze.errors import Unavailable


class Pieces:
    """A connection that gives what it has in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    async def read(self, n: int = -1, /) -> bytes:
        piece, self._data = self._data[: self._size], self._data[self._size :]
        return piece


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
async def test_output_and_errors_are_told_apart(size: int) -> None:
    sent = frame(1, b"out") + frame(2, b"err") + frame(1, b"") + frame(1, b"put" * 50)
    errors: list[bytes] = []
    output = MultiplexedOutput(Pieces(sent, size), errors.append)
    got = b""
    while data := await output.read(7):
        assert len(data) <= 7
        got += data
    assert got == b"out" + b"put" * 50
    assert b"".join(errors) == b"err"


@pytest.mark.parametrize("cut", [1, 7, 8, 10])
async def test_a_stream_that_breaks_off(cut: int) -> None:
    with pytest.raises(Unavailable, match="broke off"):
        [piece async for piece in frames(Pieces(frame(1, b"output")[:cut], 5))]


async def test_an_error_of_the_engine() -> None:
    with pytest.raises(Unavailable, match="no such exec"):
        [piece async for piece in frames(Pieces(frame(3, b"no such exec"), 100))]


async def test_a_length_that_lies_costs_nothing() -> None:
    """Four gigabytes are announced: what comes is given on as it comes."""
    sent = struct.pack(">BxxxL", 1, 0xFFFFFFFF) + b"little"
    output = MultiplexedOutput(Pieces(sent, 100), lambda _: None)
    assert await output.read() == b"little"
    with pytest.raises(Unavailable, match="broke off"):
        await output.read()
