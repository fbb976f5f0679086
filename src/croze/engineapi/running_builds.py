"""Builds under way that clients gave a name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class NamedBuilds:
    """Builds under way that clients gave a name, by which they can be cancelled."""

    def __init__(self) -> None:
        self._cancels: dict[str, asyncio.Event] = {}

    def cancel(self, name: str) -> None:
        """Cancel a build. Nothing happens for one that is not there (any more), as in Docker."""
        if (event := self._cancels.get(name)) is not None:
            event.set()

    async def run(self, name: str, work: Awaitable[None]) -> bool:
        """Do a build's work; whether it came to its own end. Without a name nobody can cancel
        it."""
        if not name:
            await work
            return True
        cancelled = self._cancels.setdefault(name, asyncio.Event())
        try:
            return await _until(cancelled, work)
        finally:
            self._cancels.pop(name, None)


async def _until(cancelled: asyncio.Event, work: Awaitable[None]) -> bool:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_outcome(work))
        waiting = group.create_task(cancelled.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        ended = task.done()
        failed = task.result() if ended else None
        task.cancel()
        waiting.cancel()
    if failed is not None:
        raise failed
    return ended


async def _outcome(work: Awaitable[None]) -> Exception | None:
    """What it raised: not to come out as a group."""
    try:
        await work
    except Exception as error:
        return error
    return None
