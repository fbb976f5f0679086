"""Progress of layers that come and go, as lines that clients draw bars of.

Source: moby `pkg/progress`, `pkg/jsonmessage`. What a slow client has not read is not kept: the
latest of each layer is what counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from croze.aio.parallel import meanwhile
from croze.engineapi.lines import Line, Lines
from croze.gotypes.sizes import human_size
from croze.status import Silent

BAR = 50


def short(digest: str) -> str:
    """A layer's digest as progress calls it: the first twelve digits."""
    return digest.partition(":")[2][:12]


def moving(status: str, digest: str, current: int, total: int) -> Line:
    """The line of a layer on its way."""
    bar = "=" * (BAR * current // total if total else 0)
    head = (
        f"[{bar[: BAR - 1]}>{' ' * (BAR - 1 - len(bar))}]" if current < total else f"[{'=' * BAR}>]"
    )
    return {
        "status": status,
        "progressDetail": {"current": current, "total": total},
        "progress": f"{head}  {human_size(current)}/{human_size(total)}",
        "id": short(digest),
    }


def stage(status: str, digest: str) -> Line:
    """The line that tells where a layer has got to."""
    return {"status": status, "progressDetail": {}, "id": short(digest)}


class ProgressLines:
    """Keeps lines that are told from code which must not wait, until they are written."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._said: list[Line] = []
        self._moving: dict[str, Line] = {}
        self._news = asyncio.Event()

    def say(self, line: Line) -> None:
        """Keep a line for after those before it; the bars of its layer are over."""
        self._moving.pop(str(line.get("id")), None)
        self._said.append(line)
        self._news.set()

    def move(self, line: Line) -> None:
        """Keep a line in place of what was not written yet of the same layer."""
        self._moving[str(line["id"])] = line
        self._news.set()

    async def write(self) -> None:
        """Write the lines that are kept."""
        self._news.clear()
        lines = [*self._said, *self._moving.values()]
        self._said.clear()
        self._moving.clear()
        await self._lines.write(*lines)

    async def run(self) -> None:
        while True:
            await self._news.wait()
            await self.write()


@asynccontextmanager
async def progress_lines(lines: Lines) -> AsyncIterator[ProgressLines]:
    """Lines that are written while inside, and all of them in the end."""
    progress = ProgressLines(lines)
    try:
        async with meanwhile() as beside:
            beside.begin(progress.run())
            yield progress
    finally:
        await progress.write()


class LayerProgress(Silent):
    """Shows layers that are fetched: a `status.Progress`."""

    def __init__(self, progress: ProgressLines) -> None:
        self._progress = progress

    def status(
        self,
        id: str,
        *,
        current: int = 0,
        total: int = 0,
        name: str = "",
        started: datetime | None = None,
        completed: datetime | None = None,
    ) -> None:
        if completed is None:
            self._progress.move(moving("Downloading", id, current, total))
