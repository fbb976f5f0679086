"""What is asked, run, loaded and looked at, in the cases that BuildKit's scheduler is known for."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from croze.cachekeys.contract import FEW
from croze.errors import CrozeError
from croze.solver.contract import Edge, OpContext, Vertex
from croze.solver.solver import Job
from tests.solver.arithmetic import Number, Spec, World, build, sha, vertex
from tests.support.memory_keys import MemoryKeys
from tests.support.waiting import PATIENCE_S

COPY = Spec(content_inputs=frozenset({0}))


def named(name: str, key: str, *inputs: Vertex | Edge, **spec: object) -> Vertex:
    """A vertex whose cache map digest is told apart from its name, and so its identity."""
    return vertex(name, *inputs, spec=Spec(maps=(sha(key),), **spec))  # type: ignore[arg-type]


async def number_of(job: Job, target: Vertex | Edge) -> int:
    built = await job.build(target if isinstance(target, Edge) else Edge(target))
    assert isinstance(built.result, Number)
    await built.release()
    return built.result.value


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# -- cancelling


async def test_cancelled_while_the_cache_map_is_asked_for() -> None:
    world, entered = World(), asyncio.Event()

    async def hang(ctx: OpContext) -> None:
        entered.set()
        await asyncio.Event().wait()

    top = vertex("top", vertex("slow", spec=Spec(on_map=hang)))
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(build(solver, top))
        await entered.wait()
        task.cancel()
    assert world.ran == []
    assert world.mapped.count("slow") == 1


async def test_a_cancelled_content_is_computed_anew_for_the_next_build() -> None:
    world, entered = World(), asyncio.Event()
    first = True

    async def hang_once(ctx: OpContext) -> None:
        nonlocal first
        if first:
            first = False
            entered.set()
            await asyncio.Event().wait()

    spec = Spec(content_inputs=frozenset({0}), on_content=hang_once)
    top = vertex("copy", vertex("base", spec=Spec(add=4)), spec=spec)
    async with world.solver() as solver, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(build(solver, top))
        await entered.wait()
        task.cancel()
        await asyncio.wait((task,))
        assert await build(solver, top) == 4
    assert world.keyed == ["copy", "copy"]


# -- side by side


async def test_inputs_run_side_by_side() -> None:
    world, met = World(), asyncio.Barrier(3)

    async def meet(ctx: OpContext) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await met.wait()

    inputs = [vertex(f"i{n}", spec=Spec(add=n, on_run=meet)) for n in range(3)]
    async with world.solver() as solver:
        assert await build(solver, vertex("top", *inputs)) == 3


# -- forced runs


async def test_a_forced_input_with_the_same_content_stops_there() -> None:
    """Its consumer, keyed by content, is found in the cache although its input ran anew."""
    world = World()
    async with world.solver() as solver:
        await build(solver, vertex("after", vertex("copy", vertex("src"), spec=COPY)))
        world.ran.clear()
        forced = vertex("src", ignore_cache=True)
        await build(solver, vertex("after", vertex("copy", forced, spec=COPY)))
    assert world.ran == ["src"]


async def test_forced_runs_of_two_jobs_are_shared_and_others_use_the_cache() -> None:
    world = World()
    async with world.solver() as solver:
        plain, forced = vertex("v"), vertex("v", ignore_cache=True)
        await build(solver, plain)
        world.ran.clear()
        async with solver.job("one") as one, solver.job("two") as two:
            await number_of(one, forced)
            await number_of(two, forced)
            assert world.ran == ["v"]
            await number_of(two, plain)
        assert world.ran == ["v"]
        await build(solver, forced)
        assert world.ran == ["v", "v"]


# -- selectors


async def test_selectors_tell_links_apart_but_not_contents() -> None:
    world = World()

    def copy(name: str, selector: str, source: Vertex) -> Vertex:
        spec = Spec(maps=(sha("copy"),), selectors={0: selector}, content_inputs=frozenset({0}))
        return vertex(name, source, spec=spec)

    base = vertex("base", spec=Spec(add=1))
    async with world.solver() as solver:
        await build(solver, copy("a", "one", base))
        world.ran.clear()
        world.keyed.clear()
        await build(solver, copy("b", "one", base))
        assert world.keyed == [], "the definition is enough"
        await build(solver, copy("c", "two", base))
        assert world.keyed == ["c"], "another selector: what is selected must be looked at"
        await build(solver, copy("d", "two", base))
        assert world.keyed == ["c"], "the content was linked to the other selector too"
    assert world.ran == []


async def test_selectors_without_content_miss() -> None:
    world = World()
    base = vertex("base")
    async with world.solver() as solver:
        for number, selector in enumerate(["one", "two", "one"]):
            spec = Spec(maps=(sha("op"),), selectors={0: selector})
            await build(solver, vertex(f"v{number}", base, spec=spec))
    assert world.ran == ["base", "v0", "v1"]


# -- content only where it matters


async def test_nothing_is_looked_at_while_another_input_may_still_decide() -> None:
    """`b` is keyed by content and matches by definition; it is not loaded to be checksummed while
    `a` is on its way, which finds the match by its own content."""
    world = World()

    def graph(source: str) -> Vertex:
        a = vertex("a", vertex(source, spec=Spec(add=3)), spec=COPY)
        b = vertex("b", spec=Spec(add=2))
        spec = Spec(content_inputs=frozenset({1}))
        return vertex("main", vertex("join", a, b, spec=spec))

    async with world.solver() as solver:
        await build(solver, graph("src"))
        for log in (world.ran, world.keyed, world.results.loaded):
            log.clear()
        assert await build(solver, graph("other")) == 5
    assert world.ran == ["other"]
    assert world.keyed == ["a"]
    assert world.results.loaded == [5]


@pytest.mark.parametrize("few", [FEW, 0])
async def test_content_that_is_known_first_need_not_be_looked_at_again(few: int) -> None:
    """Its definition leads there, too, as soon as it is known that it counts; of a crowd, this
    comes with the other input."""
    world, both = World(MemoryKeys(few)), frozenset({0, 1})

    async def wait_for_the_other(ctx: OpContext) -> None:
        while not world.keyed:
            await asyncio.sleep(0)

    def copy(name: str, *inputs: Vertex) -> Vertex:
        return named(name, "copy", *inputs, content_inputs=both)

    first = vertex("l1", spec=Spec(add=1)), vertex("r1", spec=Spec(add=2))
    late = vertex("l2", spec=Spec(add=1, on_run=wait_for_the_other))
    async with world.solver() as solver, asyncio.timeout(PATIENCE_S):
        await build(solver, copy("a", *first))
        world.keyed.clear()
        again = late, vertex("r2", spec=Spec(add=2))
        await build(solver, copy("b", *again))
        assert "b" not in world.ran
        world.keyed.clear()
        await build(solver, copy("c", *again))
        assert world.keyed == [], "the definitions are enough"
    assert "c" not in world.ran


async def test_content_is_not_looked_at_when_a_plain_input_can_not_match() -> None:
    world = World()
    spec = Spec(content_inputs=frozenset({1}))
    async with world.solver() as solver:
        made = vertex("made", vertex("base"))
        await build(solver, vertex("top", vertex("plain"), made, spec=spec))
        keyed = len(world.keyed)
        ran, loaded = list(world.ran), len(world.results.loaded)
        assert keyed == 1, "to save with"
        await build(solver, vertex("top", vertex("plain"), made, spec=spec))
        assert (world.ran, len(world.keyed)) == (ran, keyed)
        assert len(world.results.loaded) == loaded + 1


# -- several keys


async def test_any_of_several_maps_finds_the_result_of_a_source() -> None:
    world = World()
    async with world.solver() as solver:
        await build(solver, vertex("v", spec=Spec(add=7, maps=(sha("1"), sha("2"), sha("3")))))
        assert await build(solver, vertex("w", spec=Spec(add=1, maps=(sha("2"), sha("9"))))) == 7
        assert world.mapped.count("w") == 1, "the first map is enough"
        assert await build(solver, vertex("x", spec=Spec(add=1, maps=(sha("8"), sha("3"))))) == 7
        assert world.mapped.count("x") == 2
    assert world.ran == ["v"]


async def test_a_consumer_is_found_by_any_map_of_its_input() -> None:
    world = World()
    async with world.solver() as solver:
        old = vertex("old", spec=Spec(add=2, maps=(sha("1"), sha("2"))))
        await build(solver, vertex("top", old, spec=Spec(add=1)))
        world.ran.clear()
        new = vertex("new", spec=Spec(add=50, maps=(sha("5"), sha("2"))))
        assert await build(solver, vertex("top", new, spec=Spec(add=1))) == 3
    assert world.ran == []


# -- edges that turn out equal


@pytest.mark.parametrize(
    "order", list(itertools.permutations([(0, 1), (1, 0), (0, 0), (1, 1)]))[:8]
)
async def test_outputs_of_equal_vertices_never_wait_for_each_other(
    order: tuple[tuple[int, int], ...],
) -> None:
    world = World()
    bases = [vertex("a", spec=Spec(add=3)), vertex("b", spec=Spec(add=4))]
    twins = [named(name, "same", *bases, outputs=2) for name in ("left", "right")]
    top = vertex("top", *(Edge(twins[which], output) for which, output in order))
    async with world.solver() as solver, asyncio.timeout(PATIENCE_S):
        assert await build(solver, top) == 7 + 7 + 8 + 8
    assert len([name for name in world.ran if name in ("left", "right")]) == 1


async def test_three_equal_vertices_with_three_outputs() -> None:
    world = World()
    bases = [vertex(name, spec=Spec(add=3)) for name in "ab"]
    a, b, c = (named(name, "same", *bases, outputs=3) for name in ("va", "vb", "vc"))
    edges = [Edge(b, 0), Edge(a, 0), Edge(c, 1), Edge(a, 1), Edge(a, 2), Edge(b, 2)]
    async with world.solver() as solver, asyncio.timeout(PATIENCE_S):
        assert await build(solver, vertex("top", *edges)) == 2 * (6 + 7 + 8)
    assert len([name for name in world.ran if name.startswith("v")]) == 1


async def test_a_follower_s_leader_outlives_the_job_that_began_it() -> None:
    """What a finished build holds is shared by later ones, one after the other, as jobs go."""
    world = World()

    def step(number: int) -> Vertex:
        dep = named(f"dep{number}", "dep", add=1)
        return named(f"v{number}", "step", dep, add=2)

    async with world.solver() as solver:
        async with solver.job("two") as two:
            async with solver.job("one") as one:
                assert await number_of(one, step(0)) == 3
                world.results.values.clear()  # only what is held can be shared
                assert await number_of(two, step(1)) == 3
            async with solver.job("three") as three:
                assert await number_of(three, step(2)) == 3
        assert solver.active_count() == 0
    assert world.ran == ["dep0", "v0"]


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("same", [False, True])
async def test_an_input_that_is_complete_already_leads_to_the_cache(
    hold: bool, warm: bool, same: bool
) -> None:
    """Whether a shared input ran in another build, was found there, or is gone again."""
    world = World()
    base = vertex("base", spec=Spec(add=1))

    async with world.solver() as solver, solver.job("holds") as holds:
        if warm:
            await build(solver, base)
        if hold:
            await number_of(holds, base)
        await build(solver, named("step", "step", base))
        world.ran.clear()
        again = named("step" if same else "other", "step", base)
        await build(solver, again)
    assert world.ran == []


async def test_one_input_asked_for_more_than_its_twin() -> None:
    """The same edge is an input twice, and of several consumers that want different things of it:
    nobody waits for ever."""
    world = World()
    base = vertex("base", spec=Spec(add=1))
    middle = vertex("middle", base, base, spec=Spec(content_inputs=frozenset({1})))
    async with world.solver() as solver, asyncio.timeout(PATIENCE_S):
        for round in range(3):
            left = named(f"left{round}", "left", middle, content_inputs=frozenset({0}))
            right = named(f"right{round}", f"right{round}", middle, left)
            assert await build(solver, vertex("top", left, right, middle)) == 2 + 4 + 2
            if round == 1:
                world.results.values.clear()


# -- what the cache promises and has not


async def test_a_result_that_does_not_load_is_made_again() -> None:
    world = World()
    top = vertex("c", vertex("b", vertex("a", spec=Spec(add=1))))
    async with world.solver() as solver:
        await build(solver, top)
        world.ran.clear()
        world.results.unloadable = CrozeError("disk on fire")
        assert await build(solver, top) == 1
        assert world.ran == ["a", "b", "c"]
        world.results.unloadable = None
        world.ran.clear()
        assert await build(solver, top) == 1
    assert world.ran == [], "the newer results are there"


async def test_failed_content_leaves_no_handles() -> None:
    world = World()
    bad = Spec(content_inputs=frozenset({0}), fail_content=CrozeError("no"))
    async with world.solver() as solver:
        for _ in range(2):
            with pytest.raises(CrozeError, match="failed to compute cache key: no"):
                await build(solver, vertex("bad", vertex("base"), spec=bad))
        await turns()
        assert world.results.handles == 0


async def test_a_build_is_unharmed_by_the_same_vertex_failing_elsewhere() -> None:
    """The one that fails is given up by all; each may try it again."""
    world, attempts = World(), itertools.count()

    async def fail_first(ctx: OpContext) -> None:
        if next(attempts) == 0:
            raise CrozeError("first")

    top = vertex("top", vertex("shaky", spec=Spec(add=2, on_run=fail_first)))
    async with world.solver() as solver, solver.job("one") as one, solver.job("two") as two:
        with pytest.raises(CrozeError, match="first"):
            await number_of(one, top)
        assert await number_of(two, top) == 2
