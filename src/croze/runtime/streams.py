"""Bytes from and to descriptors that never block the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

CHUNK_BYTES = 64 << 10


class Reader:
    """Feeds what arrives on a descriptor to a callback until its end."""

    def __init__(self, fd: int, callback: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> bool:
        """Read once; False when there is nothing more now."""
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose other side is gone answers EIO
            data = b""
        if data:
            self._callback(data)
            return True
        self.close()
        return False

    def drain(self) -> None:
        """Deliver what is there already, then close."""
        while self._fd >= 0 and self._ready():
            pass
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self.ended.set()


async def write_all(fd: int, data: bytes) -> None:
    """Write to a non-blocking descriptor."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            writable = asyncio.Event()
            loop.add_writer(fd, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(fd)


async def feed(source: AsyncIterator[bytes], fd: int) -> None:
    """Standard input; a reader that has gone away ends it."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BrokenPipeError):
        async for data in source:
            await write_all(fd, data)
