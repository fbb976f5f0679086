"""When blobs are collected that deleted records held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_SHARE: Final = 10
"""Collecting takes no more than this part of the time while records are deleted one by one."""


class Collector:
    """Collects at once, and after one of many deletions a little later for all of them: each
    collection looks at all there is."""

    def __init__(self, collect: Callable[[], object]) -> None:
        self._collect = collect
        self._timer: asyncio.TimerHandle | None = None
        self._rested_at_s = 0.0
        """When it may collect again, by the loop's clock."""

    def want(self) -> None:
        """Something was deleted."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._rested_at_s:
            self._timer = loop.call_at(self._rested_at_s, self._now)
        else:
            self._now()

    def _now(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self._collect()
        now_s = loop.time()
        self._rested_at_s = now_s + _SHARE * (now_s - began_s)

    def close(self) -> None:
        """Collect what still waits for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._now()
