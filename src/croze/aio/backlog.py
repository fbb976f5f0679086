"""What was said and not heard yet: how much of it may wait in memory.

A process that talks faster than its listener hears must wait, as it would on a pipe. Whoever takes
output that it can't pass on at once counts it here; while there is too much, the process's output
is left in the kernel's buffer, which stops the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LIMIT_BYTES: Final = 1 << 20


class Backlog:
    """Bytes that wait. One chunk more than the limit is taken, so that any size of chunk fits."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._waiters: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        return self._bytes >= self._limit

    def grew(self, count: int) -> None:
        """Count so many bytes that wait."""
        self._bytes += count

    def shrank(self, count: int) -> None:
        """Count so many bytes that were passed on."""
        self._bytes -= count
        if not self.full:
            self._let_in()

    def lift(self) -> None:
        """Nobody listens any more: what comes is not counted."""
        self._limit = 1 << 62
        self._let_in()

    def call_on_room(self, callback: Callable[[], None]) -> None:
        """Call once when it is not full any more; now, if it isn't."""
        if self.full:
            self._waiters.append(callback)
        else:
            callback()

    async def room(self) -> None:
        """Wait until it is not full."""
        while self.full:
            free = asyncio.Event()
            self.call_on_room(free.set)
            await free.wait()

    def _let_in(self) -> None:
        waiters, self._waiters = self._waiters, []
        for index, callback in enumerate(waiters):
            if self.full:
                self._waiters.extend(waiters[index:])
                return
            callback()
