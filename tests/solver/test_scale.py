"""Cost per vertex stays flat as graphs grow, and memory as builds go by."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc

import pytest

from tests.solver.arithmetic import World, build
from tests.solver.shapes import SHAPES, chain

SMALL, LARGE = 1_000, 10_000


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_vertices_cost_ten_times_as_much(shape: str) -> None:
    """In processor time, with loop debug off and the collector still: both measure themselves."""
    small = [min(costs) for costs in zip(*(_costs(shape, SMALL) for _ in range(2)), strict=True)]
    for before, after in zip(small, _costs(shape, LARGE), strict=True):
        assert after < before * 2.5, f"{before * 1e6:.0f} µs a vertex grew to {after * 1e6:.0f}"


def _costs(shape: str, size: int) -> tuple[float, float]:
    """Seconds per vertex: a cold build, and the better of two cached ones."""
    gc.collect()
    gc.disable()
    try:
        seconds = asyncio.run(_build_thrice(shape, size), debug=False)
    finally:
        gc.enable()
    return seconds[0] / size, min(seconds[1:]) / size


async def _build_thrice(shape: str, size: int) -> list[float]:
    target, world, seconds = SHAPES[shape](size), World(), []
    async with world.solver() as solver:
        for _ in range(3):
            started = time.process_time()
            await build(solver, target)
            seconds.append(time.process_time() - started)
    assert len(world.ran) == len(set(world.ran)) >= size
    assert len(world.results.loaded) == 2, "a cached build loads its target alone"
    return seconds


@pytest.mark.parametrize("shape", SHAPES)
def test_a_build_leaves_nothing_to_the_collector(shape: str) -> None:
    """Its graph comes apart by itself. A collector that had to find it would go through all there
    is, the more often the larger the build is."""

    async def run() -> list[int]:
        world, target, counts = World(), SHAPES[shape](100), list[int]()
        async with world.solver() as solver:
            for _ in range(3):
                gc.collect()
                await build(solver, target)
                await asyncio.sleep(0)
                counts.append(gc.collect())
        return counts

    gc.disable()
    try:
        assert asyncio.run(run(), debug=False) == [0, 0, 0]
    finally:
        gc.enable()


def test_memory_stays_flat_over_builds() -> None:
    """A later build leaves no more behind than an earlier one: the solver holds nothing of a build
    that is over."""

    async def run() -> list[int]:
        world, target, traced_bytes = World(), chain(300), []
        tracemalloc.start()
        try:
            async with world.solver() as solver:
                for _ in range(12):
                    await build(solver, target)
                    world.mapped.clear()
                    world.results.loaded.clear()
                    await asyncio.sleep(0)
                    gc.collect()
                    traced_bytes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        return traced_bytes

    traced_bytes = asyncio.run(run(), debug=False)
    assert traced_bytes[-1] - traced_bytes[3] < 16 << 10, traced_bytes
