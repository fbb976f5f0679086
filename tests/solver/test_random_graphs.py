"""Any graph, any mix of builds, imports, cancellations and lost results: right numbers, nothing
left, and no invariant broken on the way."""

from __future__ import annotations

from random import Random

import pytest

from croze.cachekeys.contract import FEW
from tests.solver.arithmetic import World
from tests.solver.imports import imported
from tests.solver.plans import (
    FUZZ,
    any_losses,
    any_steps,
    any_wishes,
    build_all,
    elsewhere,
    for_seeds,
    make,
)
from tests.support.memory_keys import MemoryKeys

SEEDS = 500 * FUZZ


@pytest.mark.timeout(120 * FUZZ)
@pytest.mark.parametrize("failing", [False, True])
def test_builds_get_the_right_numbers(failing: bool) -> None:
    """And failures reach only those who need what failed; the next build tries again. Keys may
    lead to more than are listed, all of them or those that lead to two."""

    async def check(die: Random) -> None:
        steps, wishes, lost = any_steps(die, failing=failing), any_wishes(die), any_losses(die)
        world, made = World(MemoryKeys(few=die.choice([0, 1, FEW]))), make(steps)
        source = imported(await elsewhere(die, steps), world)
        async with world.solver() as solver:
            for _ in range(2):
                await build_all(solver, steps, made, wishes, [source])
                for number in lost:
                    world.results.values.pop(f"r{number}", None)

    for_seeds(SEEDS, check)
