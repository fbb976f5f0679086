"""The size of a terminal, as whoever looks at it changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Sizes:
    """Sizes of one terminal over time. Whoever listens late finds the last one alone: those before
    it are not kept."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._news = asyncio.Event()

    def put(self, rows: int, columns: int) -> None:
        self._last = rows, columns
        self._news.set()

    async def changes(self) -> AsyncIterator[tuple[int, int]]:
        """The last size, and each that follows, as rows and columns; without an end."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._last is not None:
                last, self._last = self._last, None
                yield last
