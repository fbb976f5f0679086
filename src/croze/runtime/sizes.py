"""The size of a terminal, as whoever looks at it changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Sizes:
    """Whoever listens late finds the last size alone: those before it are not kept."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._news = asyncio.Event()

    def put(self, rows: int, columns: int) -> None:
        self._last = rows, columns
        self._news.set()

    async def changes(self) -> AsyncIterator[tuple[int, int]]:
        """Rows and columns; without an end."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._last is not None:
                last, self._last = self._last, None
                yield last
