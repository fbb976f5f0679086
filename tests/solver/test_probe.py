"""Dry runs and the observer, with arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from croze.solver.contract import Edge, OpContext, Vertex
from croze.solver.observe import Outcome, VertexFacts
from croze.solver.probe import ExpectedVertex
from croze.solver.solver import Solver
from tests.solver.arithmetic import Spec, World, build, sha, vertex
from tests.solver.probing import Rules, probe

CACHED, RAN, UNKNOWN = Outcome.CACHED, Outcome.RAN, Outcome.UNKNOWN


def outcomes(expected: list[ExpectedVertex]) -> dict[str, Outcome]:
    return {one.facts.vertex.name: one.outcome for one in expected}


async def test_nothing_is_known_at_first_and_nothing_runs() -> None:
    world = World()
    base = vertex("base")
    top = vertex("top", vertex("middle", base))
    async with world.solver() as solver:
        found = await probe(solver, top)
        assert outcomes(found) == {"base": RAN, "middle": RAN, "top": RAN}
        assert [v.name for v in found[2].because] == ["middle"]
        assert world.ran == []
        assert all(one.needed for one in found)


async def test_all_is_cached_after_a_build_and_only_the_target_is_needed() -> None:
    world = World()
    top = vertex("top", vertex("middle", vertex("base")))
    async with world.solver() as solver:
        await build(solver, top)
        world.ran.clear()
        found = await probe(solver, top)
        assert set(outcomes(found).values()) == {CACHED}
        assert [one.needed for one in found] == [False, False, True]
        assert world.ran == []


async def test_a_miss_makes_what_follows_run() -> None:
    world = World()
    async with world.solver() as solver:
        await build(solver, vertex("top", vertex("middle", vertex("base"))))
        found = await probe(solver, vertex("top", vertex("other", vertex("base"))))
        assert outcomes(found) == {"base": CACHED, "other": RAN, "top": RAN}
        assert found[1].because == ()
        assert [v.name for v in found[2].because] == ["other"]


def copied(number: int, run: int = 0) -> Vertex:
    """`copy` keys its input by content: a directory that holds `number`. Its own key is new with
    each `run`."""
    spec = Spec(add=number, maps=(f"random:{run}",))
    context = vertex("context", spec=spec, digest=sha(f"context {number} {run}"))
    taking = Spec(content_inputs=frozenset({1}))
    return vertex("copy", vertex("base"), context, spec=taking)


async def test_content_of_a_source_that_may_run_is_looked_at() -> None:
    world = World()
    async with world.solver() as solver:
        await build(solver, copied(5))
        rules = Rules(may_run={"context"})
        same = await probe(solver, copied(5, run=1), rules)
        assert outcomes(same)["copy"] is CACHED
        other = await probe(solver, copied(6, run=2), rules)
        assert outcomes(other)["copy"] is RAN
        assert other[-1].facts.inputs[1].content == sha("content 6")
        assert other[-1].because == ()


async def test_content_that_is_not_there_leaves_it_open() -> None:
    world = World()
    async with world.solver() as solver:
        await build(solver, copied(5))
        found = await probe(solver, copied(6, run=1))
        assert outcomes(found)["copy"] is UNKNOWN
        assert [v.name for v in found[-1].because] == ["context"]
        assert "context" not in world.ran[2:]
        after = await probe(solver, vertex("after", copied(6, run=2)))
        assert outcomes(after)["after"] is UNKNOWN
        assert [v.name for v in after[-1].because] == ["copy"]


async def test_an_open_input_does_not_matter_beside_a_dead_one() -> None:
    world = World()
    taking = Spec(content_inputs=frozenset({1}))
    async with world.solver() as solver:
        made = vertex("made", vertex("base"))
        top = vertex("top", vertex("new"), made, spec=taking)
        found = await probe(solver, top)
        assert outcomes(found)["top"] is RAN
        assert [v.name for v in found[-1].because] == ["new"]


async def test_a_result_that_is_gone_is_made_again() -> None:
    world = World()
    top = vertex("top", vertex("base"))
    async with world.solver() as solver:
        await build(solver, top)
        world.results.values = {id: v for id, v in world.results.values.items() if id == "r0"}
        found = await probe(solver, top)
        assert outcomes(found) == {"base": CACHED, "top": RAN}
        assert found[-1].because == ()


async def test_what_ignores_the_cache_runs() -> None:
    world = World()
    async with world.solver() as solver:
        await build(solver, vertex("top", vertex("base")))
        found = await probe(solver, vertex("top", vertex("base"), ignore_cache=True))
        assert outcomes(found) == {"base": CACHED, "top": RAN}


async def test_what_reads_a_forced_source_runs() -> None:
    world = World()
    async with world.solver() as solver:
        await build(solver, vertex("top", vertex("base")))
        forced = vertex("top", vertex("base", ignore_cache=True))
        assert outcomes(await probe(solver, forced)) == {"base": RAN, "top": RAN}
        world.ran.clear()
        await build(solver, forced)
        assert world.ran == ["base", "top"]


async def test_a_forecast_comes_true_on_long_chains() -> None:
    world = World()
    chain = vertex("v0")
    for number in range(1, 2000):
        chain = vertex(f"v{number}", chain)
    async with world.solver() as solver:
        assert set(outcomes(await probe(solver, chain)).values()) == {RAN}


class Listener:
    def __init__(self) -> None:
        self.heard: list[VertexFacts] = []
        self.gone: list[str] = []

    def missed(self, facts: VertexFacts, ctx: OpContext) -> None:
        assert ctx.vertex is facts.vertex
        self.heard.append(facts)

    def lost(self, results: Sequence[str]) -> None:
        self.gone += results


async def test_the_observer_hears_of_misses_and_the_job_of_all() -> None:
    world, listener = World(), Listener()
    async with Solver(world.keys, world.results, world.resolve, observer=listener) as solver:
        await build(solver, copied(5))
        assert [f.vertex.name for f in listener.heard] == ["base", "context", "copy"]
        copy = listener.heard[-1]
        assert copy.inputs[1].content == sha("content 5")
        assert all(item.result is not None for item in copy.inputs)
        listener.heard.clear()
        async with solver.job("again") as job:
            built = await job.build(Edge(copied(5, run=1)))
            found = {f.vertex.name: f.outcome for f in job.facts()}
            await built.release()
        assert found == {"base": Outcome.UNUSED, "context": RAN, "copy": CACHED}
        assert [f.vertex.name for f in listener.heard] == ["context"]


async def test_the_observer_hears_what_is_lost_and_the_job_what_is_stored() -> None:
    world, listener = World(), Listener()
    async with Solver(world.keys, world.results, world.resolve, observer=listener) as solver:
        for number in range(2):
            async with solver.job(f"job {number}") as job:
                await (await job.build(Edge(copied(5)))).release()
                stored = {f.vertex.name: f.stored for f in job.facts()}
        assert all(len(found) == 1 for found in stored.values()), "found or not needed"
        (gone,) = stored["copy"]
        del world.results.values[gone]
        await solver.forget_lost()
        assert listener.gone == [gone]
        (gone,) = stored["base"]
        del world.results.values[gone]
        await build(solver, copied(5))
        assert gone in listener.gone, "what is found to be gone is told, too"
