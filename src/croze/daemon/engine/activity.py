"""Whether anybody uses the daemon: what an on-demand daemon watches in order to leave, and every
daemon in order to hold no memory that it does not need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Counts what is under way."""

    def __init__(self) -> None:
        self.begun = 0
        """How many have begun since the start."""
        self._running = 0
        self._changed = asyncio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count something as under way while inside."""
        self.begun += 1
        self._running += 1
        self._changed.set()
        try:
            yield
        finally:
            self._running -= 1
            self._changed.set()

    async def wait_idle(self, seconds: float) -> None:
        """Returns once nothing has been under way for so long."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(None if self._running else seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def wait_begun(self, count: int) -> None:
        """Returns once more than so many have begun."""
        while self.begun <= count:
            self._changed.clear()
            await self._changed.wait()
