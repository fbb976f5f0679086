"""Any graph, and what builds may want of it: made from a seed, so that each can be had again.

CROZE_FUZZ=20 takes twenty times as many seeds, CROZE_SEED=n begins at another one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

from croze.errors import CrozeError
from croze.solver.caches import CacheSource
from croze.solver.contract import OpContext, Vertex
from croze.solver.solver import Solver
from tests.solver.arithmetic import Hook, Spec, World, build, sha, vertex
from tests.support.waiting import PATIENCE_S

FUZZ = int(os.environ.get("CROZE_FUZZ", "1"))
FIRST = int(os.environ.get("CROZE_SEED", "0"))


@dataclass(frozen=True)
class Step:
    """One vertex of a plan: inputs point at earlier ones."""

    inputs: tuple[int, ...]
    add: int
    content: frozenset[int]
    prepared: frozenset[int]
    pause: int
    """Turns of the loop that a run takes; cache maps and contents take half of it."""
    maps: int
    forced: bool
    fails: int
    """How many times it does before it works."""
    twin: bool
    """Does the same as others of its kind, under another digest."""


@dataclass(frozen=True)
class Wish:
    """One build: what it wants, and after how many turns of the loop it is given up."""

    target: int
    start: int
    cancel: int | None
    imports: bool


def any_steps(die: Random, *, failing: bool = False) -> list[Step]:
    steps: list[Step] = []
    for i in range(die.randint(1, 8)):
        count = die.randint(0, min(i, 3))
        steps.append(
            Step(
                inputs=tuple(die.randrange(i) for _ in range(count)),
                add=die.randint(0, 2),
                content=_some(die, count),
                prepared=_some(die, count),
                pause=die.randint(0, 4),
                maps=die.choice([1, 1, 2]),
                forced=die.random() < 0.2,
                fails=die.choice([1, 2, 1_000]) if failing and die.random() < 0.2 else 0,
                twin=die.random() < 0.5,
            )
        )
    return steps


def _some(die: Random, count: int) -> frozenset[int]:
    return frozenset(i for i in range(count) if die.random() < 0.3)


def any_wishes(die: Random) -> list[Wish]:
    return [
        Wish(
            die.randint(0, 7),
            die.randint(0, 10),
            die.choice([None, die.randint(0, 25)]),
            die.random() < 0.3,
        )
        for _ in range(die.randint(1, 5))
    ]


def any_losses(die: Random) -> set[int]:
    """Numbers of results that get lost."""
    return {die.randint(0, 30) for _ in range(die.choice([0, 1, 3, 20]))}


def make(steps: Sequence[Step], *, works: bool = False) -> list[Vertex]:
    """The vertices; with `works` nothing fails."""
    made: list[Vertex] = []
    for i, step in enumerate(steps):
        # Twins have the same cache map: same sum, same keys, but vertices of their own.
        kind = f"twin+{step.add}" if step.twin else f"v{i}+{step.add}"
        last = sha(f"{kind}/{len(step.inputs)}")
        spec = Spec(
            add=step.add,
            maps=(sha(f"first {i}+{step.add}"), last) if step.maps == 2 else (last,),
            content_inputs=step.content,
            prepared_inputs=step.prepared,
            on_map=_pausing(step.pause // 2) if step.pause > 1 else None,
            on_content=_pausing(step.pause // 2),
            on_run=_running(step.pause, f"v{i}", 0 if works else step.fails),
        )
        inputs = [made[k] for k in step.inputs]
        made.append(vertex(f"v{i}", *inputs, spec=spec, ignore_cache=step.forced))
    return made


def _pausing(turns: int) -> Hook:
    async def pause(ctx: OpContext) -> None:
        ctx.progress.log(1, b"x")
        await wait(turns)

    return pause


def _running(turns: int, name: str, failures: int) -> Hook:
    remaining_failures = iter(range(failures))

    async def run(ctx: OpContext) -> None:
        await wait(turns)
        if next(remaining_failures, None) is not None:
            raise CrozeError(f"{name} failed")

    return run


async def wait(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def expected(steps: Sequence[Step], target: int) -> int:
    values: list[int] = []
    for step in steps:
        values.append(step.add + sum(values[k] for k in step.inputs))
    return values[target]


def below(steps: Sequence[Step], target: int) -> set[int]:
    found, stack = {target}, [target]
    while stack:
        for k in steps[stack.pop()].inputs:
            if k not in found:
                found.add(k)
                stack.append(k)
    return found


async def build_all(
    solver: Solver,
    steps: Sequence[Step],
    made: Sequence[Vertex],
    wishes: Sequence[Wish],
    imports: Sequence[CacheSource] = (),
) -> None:
    """All wishes beside each other; each gets the right number, an error that it may have, or is
    given up."""
    async with asyncio.TaskGroup() as tasks:
        for wish in wishes:
            caches = imports if wish.imports else ()
            tasks.create_task(_build_one(solver, steps, made, wish, caches))


async def _build_one(
    solver: Solver,
    steps: Sequence[Step],
    made: Sequence[Vertex],
    wish: Wish,
    caches: Sequence[CacheSource],
) -> None:
    target = wish.target % len(steps)
    await wait(wish.start)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_outcome(solver, made[target], caches))
        if wish.cancel is not None:
            await wait(wish.cancel)
            task.cancel()
    if task.cancelled():
        return
    result = task.result()
    if isinstance(result, int):
        assert result == expected(steps, target)
    else:
        assert str(result) in {f"v{k} failed" for k in range(len(steps)) if steps[k].fails}
        needed = below(steps, target)
        assert any(steps[k].fails for k in needed) or any(steps[k].twin for k in needed)


async def _outcome(solver: Solver, top: Vertex, caches: Sequence[CacheSource]) -> int | CrozeError:
    try:
        return await build(solver, top, caches=caches)
    except CrozeError as err:
        return err


def for_seeds(count: int, check: Callable[[Random], Awaitable[None]]) -> None:
    """Run `check` with that many seeds; a failure names its own."""
    for seed in range(FIRST, FIRST + count):
        try:
            asyncio.run(_in_time(check(Random(seed))))
        except Exception as err:
            raise AssertionError(f"CROZE_SEED={seed}: {err!r}") from err


async def _in_time(work: Awaitable[None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await work


async def elsewhere(die: Random, steps: list[Step]) -> World:
    """Another daemon, that has built some of it."""
    world, made = World(validate=False), make(steps, works=True)
    async with world.solver() as solver:
        for _ in range(die.randint(0, 2)):
            await build(solver, die.choice(made))
    for number in any_losses(die):
        world.results.values.pop(f"r{number}", None)
    return world
