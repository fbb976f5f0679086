"""Many builds at once: what is shared, what stops, what fails, what is seen."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from croze.errors import Canceled, CrozeError, NotFound
from croze.job_values import JobKey
from croze.solver.contract import Edge, Op, OpContext, Vertex
from croze.solver.solver import build_within
from croze.solver.views import MovingEdge
from croze.status import VertexLog, VertexState
from tests.solver.arithmetic import Hook, Number, Spec, World, build, sha, vertex
from tests.solver.watching import Gate, all_events, states
from tests.support.waiting import PATIENCE_S


async def test_two_builds_share_one_execution_and_its_log() -> None:
    world = World()
    gate = Gate()

    async def work(ctx: OpContext) -> None:
        ctx.progress.log(1, b"early")
        await gate(ctx)
        ctx.progress.log(1, b"late")

    top = vertex("top", vertex("slow", spec=Spec(add=2, on_run=work)))
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(build(solver, top))
        await gate.entered.wait()
        async with solver.job("second") as second:
            waiting = tasks.create_task(second.build(Edge(top)))
            await asyncio.sleep(0)
            gate.open.set()
            built = await waiting
            await built.release()
        assert await first == 2
        logs = [e.data for e in await all_events(second) if isinstance(e, VertexLog)]
    assert world.ran == ["slow", "top"]
    assert logs == [b"early", b"late"]


async def test_equal_keys_of_different_vertices_run_once() -> None:
    world = World()
    gate = Gate()
    base = vertex("base", spec=Spec(add=1))
    spec = Spec(add=1, maps=(sha("same"),), on_run=gate)
    left, right = vertex("left", base, spec=spec), vertex("right", base, spec=spec)
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        top = tasks.create_task(build(solver, vertex("top", left, right)))
        await gate.entered.wait()
        other = tasks.create_task(build(solver, right))
        gate.open.set()
        assert await top == 4
        assert await other == 2
    assert len([name for name in world.ran if name in ("left", "right")]) == 1


async def test_a_source_saved_while_another_is_mapped_is_the_same_to_whoever_follows() -> None:
    """It has two maps, and each of its results is found by one of them."""
    world = World()
    mapping, running = Gate(), Gate()
    maps, asked = (sha("definition"), sha("content")), 0

    async def slow_map(ctx: OpContext) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            await mapping(ctx)

    def source(name: str, on_map: Hook | None = None) -> Vertex:
        return vertex(name, spec=Spec(add=1, maps=maps, on_map=on_map))

    step = Spec(add=1, maps=(sha("step"),), on_run=running)
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        late = tasks.create_task(build(solver, vertex("late", source("slow", slow_map), spec=step)))
        await mapping.entered.wait()
        assert await build(solver, source("quick")) == 1
        first = tasks.create_task(build(solver, vertex("first", source("again"), spec=step)))
        await running.entered.wait()
        mapping.open.set()
        for _ in range(20):
            await asyncio.sleep(0)
        running.open.set()
        assert (await first, await late) == (2, 2)
    assert world.ran == ["quick", "first"]


async def test_a_follower_outlives_the_job_it_follows() -> None:
    world = World()
    gate = Gate()
    spec = Spec(add=1, maps=(sha("same"),), on_run=gate)
    base = vertex("base")
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        leader = tasks.create_task(build(solver, vertex("left", base, spec=spec)))
        await gate.entered.wait()
        ready = asyncio.Event()

        async def mapped(ctx: OpContext) -> None:
            ready.set()

        twin = Spec(add=1, maps=(sha("same"),), on_run=gate, on_map=mapped)
        follower = tasks.create_task(build(solver, vertex("right", base, spec=twin)))
        await ready.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        leader.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        gate.open.set()
        assert await follower == 1
    assert world.ran == ["base", "left"]


def _twins(run: Hook) -> tuple[Vertex, Vertex, Vertex]:
    """A source, and two equal steps, each on a source that is equal to that one."""
    source, step = Spec(add=1, maps=(sha("source"),)), Spec(add=1, maps=(sha("step"),), on_run=run)
    left, right = (vertex(f"step {n}", vertex(f"source {n}", spec=source), spec=step) for n in "ab")
    return vertex("source", spec=source), left, right


async def test_what_is_being_stopped_begins_again_for_a_follower() -> None:
    """Although the build that it was begun for has left by then, with what it was made of."""
    world, stopping, begun = World(), Gate(), asyncio.Event()

    async def run(ctx: OpContext) -> None:
        if begun.is_set():
            return
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await stopping(ctx)

    source, left, right = _twins(run)
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        await build(solver, source)
        async with solver.job("stopped") as job:
            stopped = tasks.create_task(job.build(Edge(left)))
            await begun.wait()
            stopped.cancel()
            await stopping.entered.wait()
            follower = tasks.create_task(build(solver, right))
            for _ in range(20):
                await asyncio.sleep(0)
        stopping.open.set()
        assert await follower == 2
    assert world.ran == ["source", "step a", "step a"]


async def test_a_follower_has_the_result_of_what_was_left_before_it_ran() -> None:
    async def run(ctx: OpContext) -> None:
        """At once."""

    world = World()
    source, left, right = _twins(run)
    async with world.solver() as solver, asyncio.TaskGroup() as tasks, solver.job("gone") as job:
        await build(solver, source)

        def leave(edge: MovingEdge) -> None:
            if edge.leader is not None:
                job.discard()

        solver.check_steps(leave)
        gone = tasks.create_task(_canceled(job.build(Edge(left))))
        follower = tasks.create_task(build(solver, right))
        assert await gone
        assert await follower == 2
    assert world.ran == ["source", "step a"]


async def _canceled(building: Awaitable[object]) -> bool:
    with pytest.raises(Canceled):
        await building
    return True


async def test_status_waits_for_the_job_and_replays() -> None:
    world = World()
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        early = tasks.create_task(solver.find_job("j"))
        await asyncio.sleep(0)
        top = vertex("c", vertex("b", vertex("a", spec=Spec(add=1))))
        await build(solver, top)
        async with solver.job("j") as job:
            assert await early is job
            await (await job.build(Edge(top))).release()
        readers = [await all_events(job), await all_events(job)]
        assert readers[0] == readers[1]
        with pytest.raises(NotFound, match="no such job nobody"):
            await solver.find_job("nobody", wait_s=0)
        asyncio.get_running_loop().call_soon(solver.refuse, "refused")
        for _ in range(2):
            assert await solver.find_job("refused", wait_s=1000) is None
        async with solver.job("refused") as job:
            assert await solver.find_job("refused", wait_s=1000) is job
    finals = {e.name: e for e in readers[0] if isinstance(e, VertexState)}
    assert [finals[n].cached for n in "abc"] == [False, True, True]
    assert all(finals[n].completed for n in "abc")
    order = [e.name for e in readers[0] if isinstance(e, VertexState) and e.completed]
    assert order[-2:] == ["b", "c"] or order[-3:] == ["b", "c", "c"]


async def test_work_in_context_of_a_job() -> None:
    world, number = World(), JobKey[int]("number")

    async def export(ctx: OpContext) -> str:
        ctx.progress.status("layer", current=1, total=2)
        assert ctx.sessions() == ("s1",)
        assert ctx.job_values(number) == (5,)
        return "done"

    async with world.solver() as solver:
        async with solver.job("j", sessions=["s1"]) as job:
            job.set_value(number, 5)
            assert await job.in_context("exporting to image", export) == "done"
        events = await all_events(job)
    last = states(events, "exporting to image")[-1]
    assert last.completed is not None
    assert not last.error


async def test_a_vertex_sees_the_sessions_of_all_its_builds() -> None:
    world = World()
    gate = Gate()
    seen: list[tuple[str, ...]] = []

    async def look(ctx: OpContext) -> None:
        await gate(ctx)
        seen.append(tuple(ctx.sessions()))

    a = vertex("a", spec=Spec(on_run=look))
    async with (
        world.solver() as solver,
        asyncio.TaskGroup() as tasks,
        solver.job("1", sessions=["s1"]) as one,
        solver.job("2", sessions=["s2"]) as two,
    ):
        first = tasks.create_task(one.build(Edge(a)))
        await gate.entered.wait()
        second = tasks.create_task(two.build(Edge(a)))
        await asyncio.sleep(0)
        gate.open.set()
        await (await first).release()
        await (await second).release()
    assert seen == [("s1", "s2")]


async def test_several_outputs_run_once() -> None:
    world = World()
    both = vertex("both", spec=Spec(add=10, outputs=2))
    top = vertex("top", Edge(both, 0), Edge(both, 1))
    async with world.solver() as solver:
        assert await build(solver, top) == 21
        assert world.ran == ["both", "top"]
        assert await build(solver, Edge(both, 1)) == 11
        with pytest.raises(CrozeError, match="need 2 index but 2 results"):
            await build(solver, Edge(both, 2))


async def test_prepare_shows_on_the_input() -> None:
    world = World()
    base = vertex("base")
    top = vertex("top", base, spec=Spec(prepared_inputs=frozenset({0})))
    async with world.solver() as solver:
        async with solver.job("j") as job:
            await (await job.build(Edge(top))).release()
        logs = [e for e in await all_events(job) if isinstance(e, VertexLog)]
    assert [(e.vertex, e.data) for e in logs] == [(base.digest, b"prepared")]


async def test_a_hundred_jobs_share_and_leave_nothing() -> None:
    world = World()
    common = vertex("common", spec=Spec(add=1))
    for i in range(20):
        common = vertex(f"common{i}", common)
    graphs = [common] * 20
    for i in range(20):
        for step in range(20):
            graphs[i] = vertex(f"own{i}.{step}", graphs[i])
    async with world.solver() as solver:
        async with asyncio.TaskGroup() as tasks:
            builds = [tasks.create_task(build(solver, graphs[i % 20])) for i in range(100)]
        assert [b.result() for b in builds] == [1] * 100
        assert solver.active_count() == 0
    assert sorted(world.ran) == sorted(set(world.ran))
    assert len(world.ran) == 21 + 20 * 20
    builds.clear()
    gc.collect()
    mine = [o for o in gc.get_objects() if isinstance(o, Number) and o.store is world.results]
    assert not mine


async def test_a_step_may_build_something_inside() -> None:
    world = World()
    gate = Gate()
    inner = vertex("inner", vertex("deep", spec=Spec(add=1, on_run=gate)), spec=Spec(add=1))
    found: list[int] = []
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:

        async def nest(ctx: OpContext) -> None:
            built = await build_within(ctx, Edge(inner))
            assert isinstance(built.result, Number)
            found.append(built.result.value)
            await built.release()

        outer = vertex("outer", spec=Spec(add=5, on_run=nest))
        gone = tasks.create_task(build(solver, outer))
        await gate.entered.wait()
        async with solver.job("late", sessions=["s"]) as late:
            waiting = tasks.create_task(late.build(Edge(outer)))
            await asyncio.sleep(0)
            gone.cancel()
            gate.open.set()
            await (await waiting).release()
            assert solver.active_count() == 3
        events = await all_events(late)
    assert found == [2]
    assert world.ran == ["outer", "deep", "inner"]
    assert states(events, "deep")[-1].completed is not None


async def test_after_a_prune_stages_run_side_by_side() -> None:
    """As `FROM a`, then `COPY --from=b`, then `COPY --from=c`: once all is gone, the contents of b
    can't lead to anything, so nobody waits for b before c is begun."""
    world = World()
    met = asyncio.Barrier(2)
    together: list[bool] = []

    async def meet(ctx: OpContext) -> None:
        if together:
            async with asyncio.timeout(PATIENCE_S):
                await met.wait()

    a = vertex("a", spec=Spec(add=1))
    b = vertex("b", spec=Spec(add=2, on_run=meet))
    c = vertex("c", spec=Spec(add=3, on_run=meet))
    copied = Spec(content_inputs=frozenset({1}))
    top = vertex("top", vertex("copied", a, b, spec=copied), c, spec=copied)
    async with world.solver() as solver:
        assert await build(solver, top, "first") == 6
        world.results.values.clear()
        await solver.forget_lost()
        assert world.keys.result_ids() == ()
        together.append(True)
        assert await build(solver, top, "second") == 6


@dataclass(frozen=True)
class Memory:
    size: int

    def relaxed(self, other: object) -> Memory:
        return Memory(max(self.size, other.size)) if isinstance(other, Memory) else self


async def test_a_shared_step_has_what_the_most_generous_build_gives_it() -> None:
    world = World()
    limits: list[object] = []
    gate = Gate()

    class Watching(World):
        def resolve(self, vertex: Vertex) -> Op:
            limits.append(vertex.limits)
            return world.resolve(vertex)

    watching = Watching()
    watching.results = world.results
    base = vertex("base", spec=Spec(add=1, on_run=gate))
    step = vertex("step", base, spec=Spec(add=1, on_run=gate))
    async with watching.solver() as solver, solver.job("a") as a, solver.job("b") as b:
        wanted = [replace(step, limits=Memory(size)) for size in (2, 3)]
        async with asyncio.TaskGroup() as tasks:
            builds = [
                tasks.create_task(job.build(Edge(v))) for job, v in zip((a, b), wanted, strict=True)
            ]
            gate.open.set()
        for made in builds:
            await made.result().release()
    assert Memory(3) in limits
    assert world.ran == ["base", "step"]
