"""Docker's streams of a container's output and errors, in one connection.

A frame is a header of eight bytes (1 for output, 2 for errors, 3 for an error of the engine's own;
three zeros; the length, big-endian) and that many bytes.

Source: Docker Engine API, ContainerAttach; moby `api/pkg/stdcopy`.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable

from croze.drivers.tunnel import TunnelReader
from croze.errors import Unavailable

STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3
_HEADER = struct.Struct(">BxxxL")
_CHUNK_BYTES = 64 * 1024


async def frames(reader: TunnelReader) -> AsyncIterator[tuple[int, bytes]]:
    """Pieces of the streams as they come, each with its stream. Raises `Unavailable` for a
    connection that breaks off, and for what the engine itself says."""
    buffer = bytearray()

    async def more() -> None:
        data = await reader.read(_CHUNK_BYTES)
        if not data:
            raise Unavailable("the Docker engine's stream broke off")
        buffer.extend(data)

    while True:
        if not buffer and not (await _next(reader, buffer)):
            return
        while len(buffer) < _HEADER.size:
            await more()
        stream, remaining_bytes = _HEADER.unpack_from(buffer)
        del buffer[: _HEADER.size]
        while remaining_bytes:
            if not buffer:
                await more()
            piece = bytes(buffer[:remaining_bytes])
            del buffer[: len(piece)]
            remaining_bytes -= len(piece)
            if stream == SYSTEM_ERROR:
                raise Unavailable(piece.decode(errors="replace").strip())
            yield stream, piece


async def _next(reader: TunnelReader, buffer: bytearray) -> bool:
    data = await reader.read(_CHUNK_BYTES)
    buffer.extend(data)
    return bool(data)


class MultiplexedOutput:
    """The output alone, as a `tunnel.TunnelReader`; errors go to `on_error` as they come."""

    def __init__(self, reader: TunnelReader, on_error: Callable[[bytes], None]) -> None:
        self._frames = frames(reader)
        self._on_error = on_error
        self._rest = b""

    async def read(self, n: int = -1, /) -> bytes:
        while not self._rest:
            try:
                stream, data = await anext(self._frames)
            except StopAsyncIteration:
                return b""
            if stream == STDOUT:
                self._rest = data
            else:
                self._on_error(data)
        piece = self._rest if n < 0 else self._rest[:n]
        self._rest = self._rest[len(piece) :]
        return piece
