"""A forecast comes true: over any graph, whatever the caches have by then."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from croze.cachekeys.contract import FEW
from croze.solver.caches import CacheSource
from croze.solver.observe import Outcome
from croze.solver.probe import ExpectedVertex
from croze.solver.solver import Solver
from tests.solver.arithmetic import World, build
from tests.solver.imports import imported
from tests.solver.plans import (
    FUZZ,
    Step,
    any_losses,
    any_steps,
    any_wishes,
    below,
    build_all,
    elsewhere,
    for_seeds,
    make,
)
from tests.solver.probing import probe
from tests.support.memory_keys import MemoryKeys

SEEDS = 1000 * FUZZ


@pytest.mark.timeout(120 * FUZZ)
def test_what_is_forecast_happens() -> None:
    """After builds, given up and failed ones among them, with results lost, and an import."""

    async def check(die: Random) -> None:
        steps = any_steps(die, failing=die.random() < 0.3)
        world = World(MemoryKeys(few=die.choice([0, 1, FEW])))
        source = imported(await elsewhere(die, steps), world)
        async with world.solver() as solver:
            await build_all(solver, steps, make(steps), any_wishes(die), [source])
            for number in any_losses(die):
                world.results.values.pop(f"r{number}", None)
            caches = [source] if die.random() < 0.5 else []
            await compare(world, solver, steps, die.randrange(len(steps)), caches)

    for_seeds(SEEDS, check)


async def compare(
    world: World, solver: Solver, steps: list[Step], target: int, caches: Sequence[CacheSource]
) -> None:
    top = make(steps, works=True)[target]
    expected = await probe(solver, top, caches=caches)
    world.ran.clear()
    await build(solver, top, caches=caches)
    ran = set(world.ran)
    told = {one.facts.vertex.name: one for one in expected}
    for name in ran:
        assert may_run(told[name]), f"{name} ran, and was forecast to be {told[name].outcome}"
    for name, one in told.items():
        if must_run(one, told) and not spared(steps, int(name[1:])):
            assert name in ran, f"{name} was forecast to run, and did not"


def spared(steps: list[Step], number: int) -> bool:
    """Whether what happens in the build may spare it: a twin, or the key of a run below it that
    read a forced result, under which the cache may have something."""
    step = steps[number]
    forced_below = any(steps[k].forced for k in below(steps, number) - {number})
    plain = (k for i, k in enumerate(step.inputs) if i not in step.content)
    reads_forced = any(steps[k].forced for k in plain)
    return step.twin or (forced_below and not reads_forced)


def may_run(one: ExpectedVertex) -> bool:
    return one.outcome is not Outcome.CACHED


def must_run(one: ExpectedVertex, told: dict[str, ExpectedVertex]) -> bool:
    """It is needed and the cache has nothing. What is only needed by something that may turn out
    to be cached is not certain to be."""
    open_ = any(other.outcome is Outcome.UNKNOWN for other in told.values())
    return one.needed and one.outcome is Outcome.RAN and not open_
