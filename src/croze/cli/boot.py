"""Bringing a builder's daemons up, with what it takes shown as a build's progress is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.drivers.contract import Driver, Tell
    from croze.progress.display import Display


async def boot(drivers: Sequence[tuple[str, Driver]], mode: str = "auto") -> None:
    """Bring daemons up, all at once. With several, each step has its node's name before it. Raises
    `CrozeError` of the first that did not come up; the others are given the time that they need."""
    async with _shown(mode) as tell:
        results = await asyncio.gather(
            *(
                driver.boot(tell if len(drivers) == 1 else _prefixed(name, tell))
                for name, driver in drivers
            ),
            return_exceptions=True,
        )
    for result in results:
        if result is not None:
            raise result


class _Late:
    """A display from the first status on: there may be nothing to tell."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._display: Display | None = None

    def tell(self, status: control_pb2.StatusResponse) -> None:
        from croze.progress.display import make_display

        if self._display is None:
            self._display = make_display(self._mode, sys.stderr.buffer)
        self._display.update(status)

    def refresh(self) -> None:
        if self._display is not None:
            self._display.refresh()

    def close(self) -> None:
        if self._display is not None:
            self._display.close()


@asynccontextmanager
async def _shown(mode: str) -> AsyncIterator[Tell]:
    from croze.aio.parallel import meanwhile
    from croze.progress import limit

    late = _Late(mode)

    async def tick() -> None:
        while True:
            await asyncio.sleep(limit.TICK_S)
            late.refresh()

    async with meanwhile() as beside:
        beside.begin(tick())
        try:
            yield late.tell
        finally:
            late.close()


def _prefixed(name: str, tell: Tell) -> Tell:
    from croze.progress.own import prefixed

    return lambda status: tell(prefixed(name, status))
