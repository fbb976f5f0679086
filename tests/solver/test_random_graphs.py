"""Any graph, any mix of builds, imports, cancellations and lost results: right numbers, nothing
left, and no invariant broken on the way."""

from __future__ import annotations

from random import Random

import pytest

from tests.solver.arithmetic import World, build
from tests.solver.imports import imported
from tests.solver.plans import (
    FUZZ,
    Step,
    any_losses,
    any_steps,
    any_wishes,
    build_all,
    for_seeds,
    make,
)

SEEDS = 500 * FUZZ


@pytest.mark.timeout(120 * FUZZ)
@pytest.mark.parametrize("failing", [False, True])
def test_builds_get_the_right_numbers(failing: bool) -> None:
    """And failures reach only those who need what failed; the next build tries again."""

    async def check(die: Random) -> None:
        steps, wishes, lost = any_steps(die, failing=failing), any_wishes(die), any_losses(die)
        world, made = World(), make(steps)
        source = imported(await elsewhere(die, steps), world)
        async with world.solver() as solver:
            for _ in range(2):
                await build_all(solver, steps, made, wishes, [source])
                for number in lost:
                    world.results.values.pop(f"r{number}", None)

    for_seeds(SEEDS, check)


async def elsewhere(die: Random, steps: list[Step]) -> World:
    """Another daemon, that has built some of it."""
    world, made = World(validate=False), make(steps, works=True)
    async with world.solver() as solver:
        for _ in range(die.randint(0, 2)):
            await build(solver, die.choice(made))
    for number in any_losses(die):
        world.results.values.pop(f"r{number}", None)
    return world
