"""Who may have a worker: as many as there are for anybody, and always one more for who has none.

Work belongs to the build that wants it (`sharing`); so one build that holds all workers holds up
nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

_SHARE: ContextVar[str] = ContextVar("share", default="")


@contextmanager
def sharing(name: str) -> Iterator[None]:
    """Count work that begins inside, and that of tasks that begin inside, as this share's."""
    token = _SHARE.set(name)
    try:
        yield
    finally:
        _SHARE.reset(token)


def current_share() -> str:
    """Whose work this is."""
    return _SHARE.get()


class Shares:
    """Who may have a worker: `size` at once, or one of each share beyond that, up to `most`."""

    def __init__(self, size: int, most: int) -> None:
        self._size, self._most = size, most
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        share = _SHARE.get()
        await self._acquire(share)
        try:
            yield
        finally:
            self._release(share)

    def _may_start(self, share: str) -> bool:
        total = self._running.total()
        return total < self._size or (not self._running[share] and total < self._most)

    async def _acquire(self, share: str) -> None:
        if self._may_start(share):
            self._running[share] += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._release(share)
            elif (share, turn) in self._waiting:
                self._waiting.remove((share, turn))
            raise

    def _release(self, share: str) -> None:
        self._running[share] -= 1
        if not self._running[share]:
            del self._running[share]
        while self._waiting:
            # Who has least goes first, and among equals who has waited longest.
            share, turn = min(self._waiting, key=lambda one: self._running[one[0]])
            if not self._may_start(share):
                return
            self._waiting.remove((share, turn))
            if not turn.done():
                self._running[share] += 1
                turn.set_result(None)
