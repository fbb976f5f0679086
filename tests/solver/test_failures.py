"""Builds that fail or leave: what stops with them, and what each is told."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from croze.errors import Canceled, CrozeError, ExitError, VertexDetail
from croze.solver.contract import Edge, OpContext
from tests.solver.arithmetic import Spec, World, build, sha, vertex
from tests.solver.watching import Gate, all_events, states


async def test_cancel_stops_what_only_one_build_wanted() -> None:
    world = World()
    shared_gate, own_gate = Gate(), Gate()
    shared = vertex("shared", spec=Spec(add=1, on_run=shared_gate))
    own = vertex("own", spec=Spec(on_run=own_gate))
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        keeps = tasks.create_task(build(solver, shared))
        leaves = tasks.create_task(build(solver, vertex("top", shared, own)))
        await shared_gate.entered.wait()
        await own_gate.entered.wait()
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        for _ in range(5):
            await asyncio.sleep(0)
        assert world.canceled == ["own"]
        shared_gate.open.set()
        assert await keeps == 1
    assert world.canceled == ["own"]
    assert sorted(world.ran) == ["own", "shared"]


async def test_one_branch_failing_cancels_the_other_and_names_the_vertex() -> None:
    world = World()
    gate = Gate()

    async def wait_for_other(ctx: OpContext) -> None:
        await gate.entered.wait()

    bad = vertex("bad", spec=Spec(on_run=wait_for_other, fail=ExitError("exit code: 3", 3)))
    slow = vertex("slow", spec=Spec(on_run=gate))
    async with world.solver() as solver:
        async with solver.job("j") as job:
            with pytest.raises(ExitError, match="exit code: 3") as caught:
                await job.build(Edge(vertex("top", bad, slow)))
            assert caught.value.exit_code == 3
            assert caught.value.details == (VertexDetail(bad.digest),)
            for _ in range(5):
                await asyncio.sleep(0)
            assert world.canceled == ["slow"]
            with pytest.raises(ExitError):
                await job.build(Edge(bad))
        events = await all_events(job)
    assert states(events, "bad")[-1].error == "exit code: 3"
    assert states(events, "slow")[-1].error == "context canceled"
    assert world.ran.count("bad") == 1


async def test_errors_are_forgotten_for_later_jobs() -> None:
    world = World()
    flaky = [CrozeError("first time")]

    async def maybe(ctx: OpContext) -> None:
        if flaky:
            raise flaky.pop()

    top = vertex("top", vertex("flaky", spec=Spec(add=4, on_run=maybe)))
    async with world.solver() as solver, solver.job("one") as job:
        with pytest.raises(CrozeError, match="first time"):
            await job.build(Edge(top))
        assert await build(solver, top) == 4


async def test_error_of_a_shared_vertex_reaches_each_build() -> None:
    world = World()
    gate = Gate()
    bad = vertex("bad", spec=Spec(on_run=gate, fail=CrozeError("no")))
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        builds = [tasks.create_task(_failure(build(solver, bad))) for _ in range(3)]
        await gate.entered.wait()
        gate.open.set()
        errors = [await b for b in builds]
    assert [str(e) for e in errors] == ["no"] * 3
    frames = [len(traceback.extract_tb(e.__traceback__)) for e in errors]
    assert max(frames) < 40, "it grows with each who asks"


async def _failure(work: object) -> CrozeError:
    with pytest.raises(CrozeError) as caught:
        await work  # type: ignore[misc]
    return caught.value


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Spec(fail_map=CrozeError("broken")), "failed to load cache key: broken"),
        (
            Spec(content_inputs=frozenset({0}), fail_content=CrozeError("broken")),
            "failed to compute cache key: broken",
        ),
        (Spec(fail=ValueError("broken")), "broken"),
    ],
)
async def test_where_it_can_fail(spec: Spec, message: str) -> None:
    world = World()
    async with world.solver() as solver, solver.job("j") as job:
        with pytest.raises(CrozeError) as caught:
            await job.build(Edge(vertex("bad", vertex("base"), spec=spec)))
        assert str(caught.value) == message
        assert isinstance(caught.value.details[0], VertexDetail)


async def test_leaving_while_building_is_canceled() -> None:
    world = World()
    gate = Gate()
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        async with solver.job("j") as job:
            task = tasks.create_task(_failure(job.build(Edge(vertex("a", spec=Spec(on_run=gate))))))
            await gate.entered.wait()
        assert isinstance(await task, Canceled)
        with pytest.raises(Canceled):
            await job.build(Edge(vertex("a")))


async def test_a_follower_s_error_names_its_own_vertex_too() -> None:
    world = World()
    gate = Gate()
    base = vertex("base")
    spec = Spec(maps=(sha("same"),), on_run=gate, fail=CrozeError("no"))
    left, right = vertex("left", base, spec=spec), vertex("right", base, spec=spec)
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        leader = tasks.create_task(_failure(build(solver, left)))
        await gate.entered.wait()
        follower = tasks.create_task(_failure(build(solver, right)))
        for _ in range(10):
            await asyncio.sleep(0)
        gate.open.set()
        assert (await leader).details == (VertexDetail(left.digest),)
        assert (await follower).details == (
            VertexDetail(left.digest),
            VertexDetail(right.digest),
        )
    assert world.ran == ["base", "left"]
