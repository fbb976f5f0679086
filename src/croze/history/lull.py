"""When there is time for what nobody waits for: a debounce with a longest wait."""

from __future__ import annotations

import asyncio
from typing import Final

LULL_S: Final = 0.03
"""When no build has begun or ended for so long, nobody waits for an answer that is due soon."""
LATEST_S: Final = 0.1
"""What is put off is done after so long, whatever else goes on."""


class Lull:
    """The next moment in which no build begins or ends. All who wait get the same one."""

    def __init__(self, lull_s: float = LULL_S, latest_s: float = LATEST_S) -> None:
        self._lull_s, self._latest_s = lull_s, latest_s
        self._come = asyncio.Event()
        self._come.set()
        self._since_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def want(self) -> None:
        """Want something done in the next one."""
        if self._come.is_set():
            self._come.clear()
            self._since_s = asyncio.get_running_loop().time()
            self.put_off()

    async def wait(self) -> None:
        """Return when the one that was wanted has come."""
        await self._come.wait()

    def put_off(self) -> None:
        """A build begins or ends: let those go first who wait for its answer."""
        if self._come.is_set():
            return
        loop = asyncio.get_running_loop()
        latest_s = self._since_s + self._latest_s
        if (now_s := loop.time()) >= latest_s:
            self.hurry()
            return
        self._stop_timer()
        self._timer = loop.call_at(min(now_s + self._lull_s, latest_s), self.hurry)

    def hurry(self) -> None:
        """Have it now: somebody waits for what was put off."""
        self._stop_timer()
        self._come.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
