"""Any graph, any mix of builds, cancellations and lost results: right numbers, nothing left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croze.errors import CrozeError
from croze.solver.contract import OpContext, Vertex
from croze.solver.solver import Solver
from tests.solver.arithmetic import Hook, Spec, World, build, sha, vertex


@dataclass(frozen=True)
class Step:
    """One vertex of a plan: inputs point at earlier ones."""

    inputs: tuple[int, ...]
    add: int
    content: frozenset[int]
    prepared: frozenset[int]
    pause: int
    maps: int
    forced: bool
    fails: bool
    twin: bool
    """Does the same as others of its kind, under another digest."""


@dataclass(frozen=True)
class Wish:
    """One build: what it wants, and after how many turns of the loop it is given up."""

    target: int
    start: int
    cancel: int | None


@st.composite
def plans(draw: st.DrawFn, *, failing: bool) -> list[Step]:
    steps: list[Step] = []
    for i in range(draw(st.integers(1, 8))):
        count = draw(st.integers(0, min(i, 3)))
        inputs = tuple(draw(st.integers(0, i - 1)) for _ in range(count))
        some = st.frozensets(st.integers(0, max(0, count - 1)))
        steps.append(
            Step(
                inputs=inputs,
                add=draw(st.integers(0, 2)),
                content=draw(some),
                prepared=draw(some),
                pause=draw(st.integers(0, 4)),
                maps=draw(st.integers(1, 2)),
                forced=draw(st.booleans()) and draw(st.booleans()),
                fails=failing and draw(st.integers(0, 5)) == 0,
                twin=draw(st.booleans()),
            )
        )
    return steps


WISHES = st.lists(
    st.builds(
        Wish,
        st.integers(0, 7),
        st.integers(0, 10),
        st.one_of(st.none(), st.integers(0, 25)),
    ),
    min_size=1,
    max_size=5,
)
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def make(steps: list[Step]) -> list[Vertex]:
    made: list[Vertex] = []
    for i, step in enumerate(steps):
        # Twins have the same cache map: same sum, same keys, but vertices of their own.
        kind = f"twin+{step.add}" if step.twin else f"v{i}+{step.add}"
        last = sha(f"{kind}/{len(step.inputs)}")
        first = sha(f"first {i}+{step.add}")
        maps = (first, last) if step.maps == 2 and not step.inputs else (last,)
        spec = Spec(
            add=step.add,
            maps=maps,
            content_inputs=step.content,
            prepared_inputs=step.prepared,
            on_map=pausing(step.pause // 2),
            on_content=pausing(step.pause // 2),
            on_run=pausing(step.pause),
            fail=CrozeError(f"v{i} failed") if step.fails else None,
        )
        inputs = [made[k] for k in step.inputs]
        made.append(vertex(f"v{i}", *inputs, spec=spec, ignore_cache=step.forced))
    return made


def pausing(turns: int) -> Hook:
    async def pause(ctx: OpContext) -> None:
        ctx.progress.log(1, b"x")
        for _ in range(turns):
            await asyncio.sleep(0)

    return pause


def expected(steps: list[Step], target: int) -> int:
    values: list[int] = []
    for step in steps:
        values.append(step.add + sum(values[k] for k in step.inputs))
    return values[target]


def below(steps: list[Step], target: int) -> set[int]:
    found, stack = {target}, [target]
    while stack:
        for k in steps[stack.pop()].inputs:
            if k not in found:
                found.add(k)
                stack.append(k)
    return found


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def build_all(
    solver: Solver, steps: list[Step], made: list[Vertex], wishes: list[Wish]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for wish in wishes:
            tasks.create_task(build_one(solver, steps, made, wish))


async def build_one(solver: Solver, steps: list[Step], made: list[Vertex], wish: Wish) -> None:
    target = wish.target % len(steps)
    await turns(wish.start)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(outcome(solver, made[target]))
        if wish.cancel is not None:
            await turns(wish.cancel)
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


async def outcome(solver: Solver, top: Vertex) -> int | CrozeError:
    try:
        return await build(solver, top)
    except CrozeError as err:
        return err


@SETTINGS
@given(plans(failing=False), WISHES, st.sets(st.integers(0, 30)))
def test_builds_get_the_right_numbers(
    steps: list[Step], wishes: list[Wish], lost: set[int]
) -> None:
    check(steps, wishes, lost)


@SETTINGS
@given(plans(failing=True), WISHES, st.sets(st.integers(0, 30)))
def test_failures_reach_only_those_who_need_what_failed(
    steps: list[Step], wishes: list[Wish], lost: set[int]
) -> None:
    check(steps, wishes, lost)


def check(steps: list[Step], wishes: list[Wish], lost: set[int]) -> None:
    async def run() -> None:
        world, made = World(), make(steps)
        async with world.solver() as solver:
            for _ in range(2):
                await build_all(solver, steps, made, wishes)
                for number in lost:
                    world.results.values.pop(f"r{number}", None)

    asyncio.run(asyncio.wait_for(run(), 20))
