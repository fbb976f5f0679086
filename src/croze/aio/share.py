"""Takes turns on the event loop for work that strangers send: one piece at a time, and no more than
a part of the loop's time.

What steps and frontends send is worked off where everybody's calls are. Who sends what takes long
for what it weighs (headers that unpack to thousands, messages of nothing but parts) would hold up
all others; here it holds up itself, and its like.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

_PART: Final = 0.2
_DEBT_S: Final = 0.002
"""So much is done without a pause: timers are no finer."""


class TimeShare:
    """A `part` of the event loop's time, for all work that takes turns on it: the time that turns
    have taken is followed by a pause in proportion."""

    def __init__(self, part: float = _PART) -> None:
        self._pause = 1 / part - 1
        """For each second of work."""
        self._lock = asyncio.Lock()
        self._debt_s = 0.0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, which lasts until the block ends. What is done inside does not wait for
        anything."""
        await self._lock.acquire()
        begun_s = time.thread_time()
        try:
            yield
        finally:
            self._debt_s += time.thread_time() - begun_s
            if self._debt_s < _DEBT_S:
                self._lock.release()
            else:
                pause_s, self._debt_s = self._debt_s * self._pause, 0.0
                asyncio.get_running_loop().call_later(pause_s, self._lock.release)
