"""What clients send to a process: what is typed, and the size of the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from croze.runtime.sizes import Sizes

_PIECES = 16


class ProcessInput:
    """The input of one process at a time, from any number of clients."""

    def __init__(self) -> None:
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue(_PIECES)
        self._sizes = Sizes()

    async def type_in(self, data: bytes) -> None:
        """Write to standard input; nothing stands for its end."""
        await self._stdin.put(data)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the process's terminal; before it runs, too."""
        self._sizes.put(rows, columns)

    def forget(self) -> None:
        """What was typed and not read is not for the next process."""
        self._stdin = asyncio.Queue(_PIECES)

    async def typed(self) -> AsyncIterator[bytes]:
        """What is typed, to its end."""
        while data := await self._stdin.get():
            yield data

    def sizes(self) -> AsyncIterator[tuple[int, int]]:
        """See `Sizes.changes`."""
        return self._sizes.changes()
