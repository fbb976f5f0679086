"""What one build runs, loads and leaves alone."""

from __future__ import annotations

from tests.solver.arithmetic import Spec, World, build, sha, vertex


async def test_runs_inputs_first_and_adds_up() -> None:
    world = World()
    a = vertex("a", spec=Spec(add=1))
    b = vertex("b", spec=Spec(add=2))
    c = vertex("c", a, b, spec=Spec(add=10))
    async with world.solver() as solver:
        assert await build(solver, c) == 13
    assert sorted(world.ran[:2]) == ["a", "b"]
    assert world.ran[2] == "c"


async def test_second_build_loads_only_the_top() -> None:
    world = World()
    top = vertex("c", vertex("b", vertex("a", spec=Spec(add=1))))
    async with world.solver() as solver:
        await build(solver, top)
        world.ran.clear()
        assert await build(solver, top) == 1
    assert world.ran == []
    assert world.results.loaded == [1]


async def test_new_step_on_top_loads_only_its_input() -> None:
    world = World()
    old = vertex("b", vertex("a", spec=Spec(add=1)), spec=Spec(add=5))
    new = vertex("c", old, spec=Spec(add=7))
    async with world.solver() as solver:
        await build(solver, old)
        world.ran.clear()
        assert await build(solver, new) == 13
    assert world.ran == ["c"]
    assert world.results.loaded == [6]


async def test_content_key_finds_what_definition_misses() -> None:
    world = World()
    copy = Spec(add=100, content_inputs=frozenset({0}))
    first = vertex("run", vertex("copy", vertex("ctx1", spec=Spec(add=3)), spec=copy))
    second = vertex("run", vertex("copy", vertex("ctx2", spec=Spec(add=3)), spec=copy))
    async with world.solver() as solver:
        await build(solver, first)
        world.ran.clear()
        assert await build(solver, second) == 103
        assert world.ran == ["ctx2"]
        assert world.results.loaded == [103]
        world.keyed.clear()
        world.ran.clear()
        assert await build(solver, second) == 103
    assert world.ran == []
    assert world.keyed == [], "content is linked to the definition: no second look"


async def test_changed_content_runs_again() -> None:
    world = World()
    copy = Spec(content_inputs=frozenset({0}))
    async with world.solver() as solver:
        await build(solver, vertex("copy", vertex("ctx1", spec=Spec(add=3)), spec=copy))
        world.ran.clear()
        assert await build(solver, vertex("copy", vertex("ctx2", spec=Spec(add=4)), spec=copy)) == 4
    assert world.ran == ["ctx2", "copy"]


async def test_second_cache_map_is_asked_only_on_a_miss() -> None:
    world = World()
    old = vertex("image1", spec=Spec(add=1, maps=(sha("manifest 1"), sha("chain"))))
    new = vertex("image2", spec=Spec(add=1, maps=(sha("manifest 2"), sha("chain"))))
    async with world.solver() as solver:
        await build(solver, vertex("run", old))
        assert world.mapped.count("image1") == 2
        world.ran.clear()
        await build(solver, vertex("run", old))
        assert world.mapped.count("image1") == 3
        await build(solver, vertex("run", new))
        assert world.mapped.count("image2") == 2
    assert world.ran == []


async def test_pruned_results_fall_back_to_running() -> None:
    world = World()
    top = vertex("c", vertex("b", vertex("a", spec=Spec(add=1))))
    async with world.solver() as solver:
        await build(solver, top)
        world.ran.clear()
        world.results.broken.update(["r2"])
        assert await build(solver, top) == 1
        assert world.ran == ["c"]
        world.ran.clear()
        world.results.values.clear()
        assert await build(solver, top) == 1
    assert world.ran == ["a", "b", "c"]


async def test_ignore_cache_runs_and_writes() -> None:
    world = World()
    a = vertex("a", spec=Spec(add=1))
    async with world.solver() as solver:
        await build(solver, vertex("c", vertex("b", a)))
        world.ran.clear()
        forced = vertex("b", a, ignore_cache=True)
        await build(solver, vertex("c", forced))
        assert world.ran == ["b", "c"]
        world.ran.clear()
        await build(solver, vertex("c", vertex("b", a)))
    assert world.ran == []
    assert world.results.loaded == [1, 1]


async def test_what_reads_a_forced_result_runs() -> None:
    """And nothing above it, which goes by the keys of what has run: as in BuildKit."""
    world = World()
    a = vertex("a", spec=Spec(add=1))
    async with world.solver() as solver:
        await build(solver, vertex("d", vertex("c", vertex("b", a))))
        world.ran.clear()
        forced = vertex("b", a, ignore_cache=True)
        await build(solver, vertex("d", vertex("c", forced)))
    assert world.ran == ["b", "c"]
