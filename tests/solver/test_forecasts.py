"""A forecast comes true: over any graph, whatever the cache has by then."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croze.solver.observe import Outcome
from croze.solver.probe import Expected
from croze.solver.solver import Solver
from tests.solver.arithmetic import World, build
from tests.solver.test_probe import probe
from tests.solver.test_random_graphs import SETTINGS, WISHES, Step, Wish, build_all, make, plans

EXAMPLES = int(os.environ.get("CROZE_FUZZ", "1")) * 300


@pytest.mark.timeout(120 * EXAMPLES // 300)
@settings(SETTINGS, max_examples=EXAMPLES)
@given(plans(failing=False), WISHES, st.sets(st.integers(0, 30)), st.integers(0, 7))
def test_what_is_forecast_happens(
    steps: list[Step], wishes: list[Wish], lost: set[int], target: int
) -> None:
    """After builds, cancelled ones among them, and with results lost, the cache is anything."""

    async def run() -> None:
        world, made = World(), make(steps)
        async with world.solver() as solver:
            await build_all(solver, steps, made, wishes)
            for number in lost:
                world.results.values.pop(f"r{number}", None)
            await compare(world, solver, steps, target % len(steps))

    asyncio.run(asyncio.wait_for(run(), 20))


async def compare(world: World, solver: Solver, steps: list[Step], target: int) -> None:
    top = make(steps)[target]
    expected = await probe(solver, top)
    world.ran.clear()
    await build(solver, top)
    ran = set(world.ran)
    told = {one.facts.vertex.name: one for one in expected}
    for name in ran:
        assert may_run(told[name]), f"{name} ran, and was forecast to be {told[name].outcome}"
    for name, one in told.items():
        if must_run(one, told) and not steps[int(name[1:])].twin:
            assert name in ran, f"{name} was forecast to run, and did not"


def may_run(one: Expected) -> bool:
    return one.outcome is not Outcome.CACHED


def must_run(one: Expected, told: dict[str, Expected]) -> bool:
    """It is needed and the cache has nothing. What is only needed by something that may turn out
    to be cached is not certain to be."""
    open_ = any(other.outcome is Outcome.UNKNOWN for other in told.values())
    return one.needed and one.outcome is Outcome.RAN and not open_
