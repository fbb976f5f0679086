"""Keeps the cache within its policies while the daemon runs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence

from croze.errors import CrozeError
from croze.store.contract import PrunePolicy, RefStore

log = logging.getLogger(__name__)

FIRST_RUN_S = 1.0
INTERVAL_S = 60.0


class GarbageCollector:
    """Prunes by the configured policies: shortly after the start and after builds, at most once a
    minute."""

    def __init__(
        self,
        refs: Callable[[], RefStore],
        policies: Sequence[PrunePolicy],
        forget_lost: Callable[[], Awaitable[None]],
    ) -> None:
        """`refs` gives the store when it is time to look."""
        self.policies = policies
        self._refs = refs
        self._forget_lost = forget_lost
        self._wanted = asyncio.Event()

    def nudge(self) -> None:
        """Have it look soon: a build has ended."""
        self._wanted.set()

    async def run(self) -> None:
        """The loop; cancel it to end it."""
        if not self.policies:
            return
        self._wanted.set()
        await asyncio.sleep(FIRST_RUN_S)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._collect()
            await asyncio.sleep(INTERVAL_S)

    async def _collect(self) -> None:
        started, count, size = time.monotonic(), 0, 0
        try:
            async for record in self._refs().prune(self.policies):
                count, size = count + 1, size + record.size
            if count:
                await self._forget_lost()
        except (CrozeError, OSError, sqlite3.Error) as error:  # builds go on
            log.warning("gc: %s", error)
        if count:
            log.debug("gc: %d records, %d bytes, %.1fs", count, size, time.monotonic() - started)
