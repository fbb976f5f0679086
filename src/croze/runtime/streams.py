"""Bytes from and to descriptors that never block the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Final

from croze.aio.backlog import Backlog
from croze.aio.descriptors import write_all

CHUNK_BYTES: Final = 64 << 10
LEFT_BYTES: Final = 1 << 20
"""More than the kernel holds of what a process has said."""


class DescriptorReader:
    """Feeds what arrives on a descriptor to a callback until its end. It pauses while `backlog`
    is full."""

    def __init__(
        self, fd: int, callback: Callable[[bytes], None], backlog: Backlog | None = None
    ) -> None:
        self._fd = fd
        self._callback = callback
        self._backlog = backlog
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        self._read()
        if self._fd >= 0 and self._backlog is not None and self._backlog.full:
            self._loop.remove_reader(self._fd)
            self._backlog.call_on_room(self._resume)

    def _resume(self) -> None:
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._ready)

    def _read(self) -> int:
        """Read once; how much there was, 0 when there is nothing more now."""
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:  # a terminal whose other side is gone answers EIO
            data = b""
        if data:
            self._callback(data)
        else:
            self.close()
        return len(data)

    def drain(self) -> None:
        """Deliver what is there already, then close. A process in the background may go on
        writing: what it says after the end is nobody's."""
        remaining_bytes = LEFT_BYTES
        while self._fd >= 0 and remaining_bytes > 0 and (count := self._read()):
            remaining_bytes -= count
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self.ended.set()


async def feed(source: AsyncIterator[bytes], fd: int) -> None:
    """Write what `source` gives to a process's standard input. Once its reader has gone away the
    rest is thrown away, so that nobody waits for it to be read."""
    os.set_blocking(fd, False)
    read = True
    async for data in source:
        if read:
            try:
                await write_all(fd, data)
            except BrokenPipeError:
                read = False
