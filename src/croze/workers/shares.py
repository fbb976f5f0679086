"""Who may have a worker: as many as there are for anybody, and always one more for who has none.

Work belongs to the build that wants it (`sharing`); so one build that holds all workers holds up
nobody else.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from msgspec import Struct

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


class _Turn(Struct, frozen=True):
    number: int
    come: asyncio.Future[None]


class Shares:
    """Who may have a worker: `size` at once, or one of each share beyond that, up to `most`."""

    def __init__(self, size: int, most: int) -> None:
        self._size, self._most = size, most
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Turn]] = {}
        """Who waits, by share, the longest first. Thousands may wait, but of few shares."""
        self._numbers = itertools.count()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn of the share that we are in, and have it while inside."""
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
        turn = _Turn(next(self._numbers), asyncio.get_running_loop().create_future())
        self._waiting.setdefault(share, deque()).append(turn)
        try:
            await turn.come
        except asyncio.CancelledError:
            if not turn.come.cancelled():
                self._release(share)
            raise

    def _release(self, share: str) -> None:
        self._running[share] -= 1
        if not self._running[share]:
            del self._running[share]
        self._forget_cancelled()
        while self._waiting:
            share = min(self._waiting, key=self._rank)
            if not self._may_start(share):
                return
            self._running[share] += 1
            self._waiting[share].popleft().come.set_result(None)
            self._forget_cancelled()

    def _rank(self, share: str) -> tuple[int, int]:
        """Who has least goes first, and among equals who has waited longest."""
        return self._running[share], self._waiting[share][0].number

    def _forget_cancelled(self) -> None:
        """Let go of cancelled ones who would be next; of others when it is their turn."""
        for share, turns in list(self._waiting.items()):
            while turns and turns[0].come.done():
                turns.popleft()
            if not turns:
                del self._waiting[share]
