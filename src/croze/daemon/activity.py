"""Whether anybody uses the daemon: what an on-demand daemon watches in order to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Counts what is under way."""

    def __init__(self) -> None:
        self._running = 0
        self._changed = asyncio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count something as under way while inside."""
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
