"""Caches that builds import, and what exporters make of the records of a build."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from croze.errors import NotFound
from croze.remotecache import config as configs
from croze.remotecache.chains import Chains, PendingRecord, ResultLayers
from croze.remotecache.keys import ImportedKeys
from croze.solver.caches import CacheSource
from croze.solver.chain import Chain
from croze.solver.contract import Edge, OpContext, Result, Vertex
from croze.solver.solver import Solver
from tests.solver.arithmetic import Number, Spec, World, sha, vertex
from tests.solver.shapes import crowd
from tests.support.work import calls_of

IMAGE = (sha("manifest"), sha("layers"))
COPY = Spec(add=100, content_inputs=frozenset({1}), selectors={1: sha("path")})


def steps(context: str = "ctx", *, top: str = "run", number: int = 3) -> Vertex:
    """FROM, COPY, RUN; what the context is called differs with each build, as a session does."""
    image = vertex("from", spec=Spec(add=1, maps=IMAGE))
    sent = vertex(context, spec=Spec(add=number, maps=(f"random:{context}",)))
    copied = vertex("copy", image, sent, spec=COPY)
    return vertex(top, copied, spec=Spec(add=1000))


@dataclass
class Lent:
    """A `ResultLoader` whose results are blobs called by their numbers."""

    world: World
    keys: ImportedKeys
    config: configs.CacheConfig
    loaded: list[int] = field(default_factory=list)
    broken: bool = False

    def exists(self, id: str) -> bool:
        return id in self.keys.found

    async def load(self, id: str) -> Result:
        if self.broken:
            raise NotFound("the registry is gone")
        top = self.keys.found[id].layers[-1]
        value = int(self.config.layers[top].blob)
        self.loaded.append(value)
        result = self.world.results.make(value)
        self.world.results.values[result.id] = value
        return result


def config_of(world: World, chain: Chain, *, only_top: bool = False) -> configs.CacheConfig:
    """The chain as a config whose layers are called by the numbers of their results."""
    chains, items = Chains(), list[PendingRecord]()
    for place, record in enumerate(chain.records):
        result = None
        if record.result is not None and (not only_top or place in chain.top):
            number = str(world.results.values[record.result.id])
            result = ResultLayers((number,), record.result.created_at)
        inputs = [[(items[e.record], e.selector) for e in links] for links in record.inputs]
        items.append(chains.add(record.digest, inputs, result))
    return configs.parse(configs.marshal(chains.config()))


async def exported(target: Vertex, *, only_top: bool = False) -> configs.CacheConfig:
    """What a build on another daemon exports."""
    world = World()
    async with world.solver() as solver, solver.job("first") as job:
        built = await job.build(Edge(target))
        chain = job.chain(Edge(target))
        await built.release()
    return config_of(world, chain, only_top=only_top)


def imported(world: World, config: configs.CacheConfig) -> tuple[CacheSource, Lent]:
    keys = ImportedKeys(config, frozenset(layer.blob for layer in config.layers), sha("cache"))
    lent = Lent(world, keys, config)
    return CacheSource(keys, lent), lent


async def build(solver: Solver, target: Vertex, *caches: CacheSource, job: str = "job") -> int:
    async with solver.job(job) as running:
        running.look_into(caches)
        built = await running.build(Edge(target))
        assert isinstance(built.result, Number)
        value = built.result.value
        await built.release()
        return value


async def test_an_imported_cache_has_all_steps_but_the_context() -> None:
    source, lent = imported(world := World(), await exported(steps("ctx1")))
    async with world.solver() as solver:
        assert await build(solver, steps("ctx2"), source) == 1104
    assert world.ran == ["ctx2"]
    assert lent.loaded[0] == 1104


async def test_what_was_imported_is_found_without_the_import() -> None:
    source, _ = imported(world := World(), await exported(steps("ctx1")))
    async with world.solver() as solver:
        await build(solver, steps("ctx2"), source, job="one")
        world.ran.clear()
        world.keyed.clear()
        assert await build(solver, steps("ctx2"), job="two") == 1104
        assert (world.ran, world.keyed) == ([], []), "the definition leads to it"
        assert await build(solver, steps("ctx3", top="another"), job="three") == 1104
    assert world.ran == ["ctx3", "another"], "the step below was taken along"


async def test_steps_without_results_lead_on() -> None:
    source, lent = imported(world := World(), await exported(steps("ctx1"), only_top=True))
    async with world.solver() as solver:
        assert await build(solver, steps("ctx2"), source) == 1104
    assert (world.ran, lent.loaded) == (["ctx2"], [1104])


async def test_other_content_misses() -> None:
    source, lent = imported(world := World(), await exported(steps("ctx1")))
    async with world.solver() as solver:
        assert await build(solver, steps("ctx2", number=4), source) == 1105
    assert sorted(world.ran) == ["copy", "ctx2", "from", "run"]
    assert lent.loaded == []


async def test_results_that_can_not_be_had_are_made() -> None:
    source, lent = imported(world := World(), await exported(steps("ctx1")))
    lent.broken = True
    async with world.solver() as solver:
        assert await build(solver, steps("ctx2"), source) == 1104
    assert sorted(world.ran) == ["copy", "ctx2", "from", "run"]


async def test_a_build_without_imports_does_not_look_into_those_of_another() -> None:
    source, _ = imported(world := World(), await exported(steps("ctx1")))
    async with world.solver() as solver, solver.job("other") as other:
        other.look_into([source])
        assert await build(solver, steps("ctx2"), job="plain") == 1104
    assert sorted(world.ran) == ["copy", "ctx2", "from", "run"]


async def test_a_cache_that_comes_late_is_looked_into() -> None:
    """Another build has the vertices already, and looked for them where it may."""
    source, lent = imported(world := World(), await exported(steps("ctx1")))
    running = asyncio.Event()

    async def wait(_: OpContext) -> None:
        running.set()
        await asyncio.Event().wait()

    def blocked() -> Vertex:
        image = vertex("from", spec=Spec(add=1, maps=IMAGE, on_run=wait))
        return vertex("run", vertex("copy", image, sent, spec=COPY), spec=Spec(add=1000))

    sent = vertex("ctx2", spec=Spec(add=3, maps=("random:ctx2",)))
    async with world.solver() as solver, solver.job("first") as first, asyncio.TaskGroup() as group:
        task = group.create_task(first.build(Edge(blocked())))
        await running.wait()
        assert await build(solver, blocked(), source, job="second") == 1104
        await (await task).release()
    assert (sorted(world.ran), lent.loaded[0]) == (["ctx2", "from"], 1104)
    assert world.canceled == ["from"]


async def test_the_local_result_comes_before_an_imported_one() -> None:
    source, lent = imported(world := World(), await exported(steps("ctx1")))
    async with world.solver() as solver:
        await build(solver, steps("ctx1"), job="one")
        assert await build(solver, steps("ctx1"), source, job="two") == 1104
    assert lent.loaded == []


async def test_an_export_after_an_import_is_the_same() -> None:
    first = await exported(steps("ctx1"))
    source, _ = imported(world := World(), first)
    async with world.solver() as solver, solver.job("job") as job:
        job.look_into([source])
        built = await job.build(Edge(steps("ctx2")))
        again = config_of(world, job.chain(Edge(steps("ctx2"))))
        await built.release()
    assert configs.marshal(again) == configs.marshal(first)


async def test_an_export_from_memory_is_the_same() -> None:
    """Nothing is made, not even content is looked at: the key store knows it."""
    world, target = World(), steps("ctx1")
    async with world.solver() as solver:
        await build(solver, target, job="one")
        world.keyed.clear()
        async with solver.job("two") as job:
            built = await job.build(Edge(target))
            again = config_of(world, job.chain(Edge(target)))
            await built.release()
    assert world.keyed == []
    assert configs.marshal(again) == configs.marshal(await exported(target))


async def test_what_must_not_be_exported_has_no_result() -> None:
    image = vertex("from", spec=Spec(add=1))
    hidden = Vertex(sha("hidden"), Spec(), (Edge(image),), "hidden", export_cache=False)
    config = await exported(vertex("top", hidden))
    assert [len(r.layers) for r in config.records if r.inputs] in ([0, 1], [1, 0])


async def test_what_is_of_one_session_is_not_exported() -> None:
    secret = vertex("session", spec=Spec(add=1, maps=("random:abc",)))
    world, target = World(), vertex("top", secret)
    async with world.solver() as solver, solver.job("job") as job:
        built = await job.build(Edge(target))
        chain = job.chain(Edge(target))
        await built.release()
    assert (chain.records, chain.top) == ((), ())


def test_records_that_say_the_same_become_one() -> None:
    chains = Chains()
    older, newer = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)
    one, other = chains.add("sha256:a", [], None), chains.add("sha256:b", [], None)
    first = chains.add("sha256:top", [[(one, "")]], ResultLayers(("x", "y"), older))
    again = chains.add("sha256:top", [[(one, ""), (other, "")]], ResultLayers(("x",), newer))
    assert first is again
    config = chains.config()
    assert [r.digest for r in config.records] == ["sha256:a", "sha256:b", "sha256:top"]
    assert [each.link for each in config.records[2].inputs[0]] == [0, 1]
    assert [layer.blob for layer in config.layers] == ["x"], "the newest result"


def test_steps_on_one_base_cost_what_they_are() -> None:
    """One key of the import leads to all of them, and each asks what it leads to; then they become
    the daemon's own. In calls of functions."""

    async def run(size: int, source: CacheSource, world: World) -> None:
        async with world.solver() as solver:
            await build(solver, crowd(size), source)
        assert world.ran == []

    def calls(size: int) -> int:
        config = asyncio.run(exported(crowd(size)), debug=False)
        source, _ = imported(world := World(validate=False), config)
        return calls_of(lambda: asyncio.run(run(size, source, world), debug=False))

    calls(100)
    assert calls(1200) < calls(300) * 4 * 1.1


async def test_a_step_that_was_found_exports_no_more_than_when_it_ran() -> None:
    """Without a selector its content can't be told from the keys of this daemon alone."""
    world, made = World(), vertex("make", vertex("from"))
    target = vertex("top", vertex("base"), made, spec=Spec(content_inputs=frozenset({1})))
    digests: list[set[str]] = []
    async with world.solver() as solver:
        for name in ("runs", "is found"):
            async with solver.job(name) as job:
                await (await job.build(Edge(target))).release()
                digests.append({record.digest for record in job.chain(Edge(target)).records})
    assert world.ran.count("top") == 1
    assert digests[1] <= digests[0]
