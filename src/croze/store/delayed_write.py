"""The rest of a ref's files: written when somebody wants them, or when nobody is in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

from croze.errors import NotFound

UNWANTED_S: Final = 0.1
"""How long files wait that nobody wants: a build that finds all in a cache has its answer by then,
and needs the processors until then."""


class DelayedWrite:
    """Work that begins when it is wanted, or a little later. The end of the store waits for it."""

    def __init__(self, work: Coroutine[None, None, None]) -> None:
        self._wanted = asyncio.Event()
        self.task = asyncio.ensure_future(self._begin(work))  # noqa: TID251 - `written` awaits it
        self.task.add_done_callback(_noted)

    async def _begin(self, work: Coroutine[None, None, None]) -> None:
        try:
            async with asyncio.timeout(UNWANTED_S):
                await self._wanted.wait()
        except TimeoutError:
            pass
        except BaseException:
            work.close()
            raise
        await work

    def begin(self) -> None:
        """Have it begin now."""
        self._wanted.set()

    @property
    def has_failed(self) -> bool:
        """Whether the files will never be there."""
        task = self.task
        return task.done() and (task.cancelled() or task.exception() is not None)

    async def ended(self) -> None:
        """Have it done now, whatever comes of it."""
        self.begin()
        await asyncio.wait([self.task])

    async def written(self) -> None:
        """Have it done now. Raises what it raised."""
        await self.ended()
        if self.task.cancelled():
            raise NotFound("a directory was not written")
        if (error := self.task.exception()) is not None:
            raise error.with_traceback(None)  # which would grow with each who asks


def _noted(task: asyncio.Future[None]) -> None:
    """What went wrong is logged by the work, and raised to whoever waits."""
    if not task.cancelled():
        task.exception()
