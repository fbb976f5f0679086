"""This process's standard input and output as streams, whatever they are. Imports no grpc."""

from __future__ import annotations

import asyncio
import os
import select
import sys

from croze.aio.threads import in_thread
from croze.drivers.tunnel import Streams, TunnelReader, TunnelWriter
from croze.errors import CrozeError, os_message


async def stdio() -> Streams:
    """Standard input to read from, and standard output to write to."""
    reader = asyncio.StreamReader()
    return await _input(reader), await _output(reader)


async def _input(reader: asyncio.StreamReader) -> TunnelReader:
    if not _can_be_awaited(sys.stdin.fileno()):
        return _FileReader(sys.stdin.fileno())
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    return reader


async def _output(reader: asyncio.StreamReader) -> TunnelWriter:
    if not _can_be_awaited(sys.stdout.fileno()):
        return _FileWriter(sys.stdout.fileno())
    loop = asyncio.get_running_loop()
    transport, writing = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), sys.stdout.buffer
    )
    return asyncio.StreamWriter(transport, writing, reader, loop)


def _can_be_awaited(fd: int) -> bool:
    """Whether the event loop can wait for it: not for a file or a device such as /dev/null, which
    are always ready."""
    with select.epoll() as poll:
        try:
            poll.register(fd, 0)
        except PermissionError:
            return False
    return True


class _FileReader:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def read(self, n: int = -1, /) -> bytes:
        try:
            return await in_thread(os.read, self._fd, n if n >= 0 else 1 << 16)
        except OSError as error:
            raise CrozeError(f"standard input: {os_message(error)}") from error


class _FileWriter:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending = b""

    def write(self, data: bytes, /) -> None:
        self._pending += data

    async def drain(self) -> None:
        data, self._pending = self._pending, b""
        try:
            await in_thread(self._write, data)
        except OSError as error:
            raise CrozeError(f"standard output: {os_message(error)}") from error

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None: ...

    def close(self) -> None: ...
