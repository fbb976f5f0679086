"""Warnings of a build, while it runs: of what nobody has said or changed in the Dockerfile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from croze.solver.contract import Edge
from croze.solver.solver import Solver
from croze.status import VertexWarning
from croze.why import recorder as module
from croze.why.history import PastBuilds
from croze.why.recorder import BuildInfo, Recorder
from tests.support.memory_keys import MemoryKeys
from tests.why.worlds import Line, Source, World

LINES = tuple(Line("RUN", -1) for _ in range(module._MOST_WARNINGS + 1))
"""Each stands on nothing: what one misses is no reason for another."""
CHANGED = tuple(replace(line, value=1) for line in LINES)
"""All of them, in what their environment says."""


class Builder:
    """Builds all lines of the world's Dockerfile, watched."""

    def __init__(self, world: World, recorder: Recorder, solver: Solver) -> None:
        self._world, self._recorder, self._solver = world, recorder, solver

    async def warnings(self, lines: tuple[Line, ...], *, wanted: bool = True) -> list[str]:
        """What a build of these lines is warned of."""
        self._world.source = Source(lines)
        self._world.builds += 1
        ref = f"ref{self._world.builds}"
        info = BuildInfo(ref, "s", "Dockerfile", "", warn=wanted)
        async with (
            self._solver.job(ref) as job,
            self._recorder.watching(job, lambda: info, lambda: ()),
        ):
            for vertex in self._world.graph(forced=None)[1:]:
                built = await job.build(Edge(vertex))
                await built.release()
        events = [event async for batch in job.events() for event in batch]
        return [event.short for event in events if isinstance(event, VertexWarning)]


@asynccontextmanager
async def building(root: Path) -> AsyncIterator[Builder]:
    recorder = Recorder(PastBuilds(root))
    world = World(recorder.history)
    try:
        async with Solver(
            MemoryKeys(), world.results, world.resolve, linger_s=0.0, observer=recorder
        ) as solver:
            yield Builder(world, recorder, solver)
    finally:
        await recorder.close()


async def test_a_build_is_warned_so_often_and_no_more(tmp_path: Path) -> None:
    async with building(tmp_path) as builder:
        assert await builder.warnings(LINES) == [], "there is nothing to compare with"
        warnings = await builder.warnings(CHANGED)
        assert len(warnings) == len(set(warnings)) == len(LINES) - 1
        assert all("cache miss: [" in each for each in warnings)
        again = tuple(replace(line, value=2) for line in LINES)
        assert len(await builder.warnings(again)) == len(LINES) - 1, "the next build has its own"


async def test_what_is_obvious_or_not_wanted(tmp_path: Path) -> None:
    async with building(tmp_path) as builder:
        await builder.warnings(LINES)
        edited = tuple(replace(line, text=1) for line in LINES)
        assert await builder.warnings(edited) == []
        assert await builder.warnings(CHANGED, wanted=False) == []


async def test_what_follows_from_another_miss(tmp_path: Path) -> None:
    """Only the first is told of."""
    async with building(tmp_path) as builder:
        first, second = Line("RUN", -1), Line("RUN", 0)
        await builder.warnings((first, second))
        warnings = await builder.warnings((replace(first, value=1), second))
        assert len(warnings) == 1
        assert "RUN 0" in warnings[0]
