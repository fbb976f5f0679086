"""Vertices that compute with numbers: what the solver's tests run."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from croze.cachekeys.contract import KeyStore, StoredResult
from croze.errors import NotFound
from croze.solver.caches import CacheSource
from croze.solver.contract import CacheMap, Edge, InputKeying, Op, OpContext, Result, Vertex
from croze.solver.solver import Solver
from croze.solver.validate import Validator
from tests.support.memory_keys import MemoryKeys


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class World:
    """Everything outside the solver, with counters."""

    def __init__(self, keys: KeyStore | None = None, *, validate: bool = True) -> None:
        """Without `validate` steps take the time that they take in a daemon."""
        self._validate = validate
        self.keys: KeyStore = MemoryKeys() if keys is None else keys
        self.results = Results()
        self.ran: list[str] = []
        self.mapped: list[str] = []
        self.keyed: list[str] = []
        self.canceled: list[str] = []
        self.executing: set[str] = set()
        """Digests of vertices whose op runs now."""

    @asynccontextmanager
    async def solver(self) -> AsyncIterator[Solver]:
        async with Solver(self.keys, self.results, self.resolve, linger_s=0.0) as solver:
            validator = Validator()
            if self._validate:
                solver.check_steps(validator)
            yield solver
        validator.check_store(self.keys)
        assert validator.broken == [], "\n".join(validator.broken)
        assert self.executing == set()
        assert self.results.handles == 0, "handles left"
        assert solver.active_count() == 0

    def resolve(self, vertex: Vertex) -> Op:
        spec = vertex.op
        assert isinstance(spec, Spec)
        return SpecOp(self, vertex, spec)


class Number:
    """A result: an integer."""

    def __init__(self, store: Results, id: str, value: int) -> None:
        self.store = store
        self._id = id
        self.value = value
        self._released = False
        store.handles += 1

    @property
    def id(self) -> str:
        return self._id

    def clone(self) -> Number:
        assert not self._released, "use after release"
        return Number(self.store, self._id, self.value)

    async def release(self) -> None:
        assert not self._released, "released twice"
        self._released = True
        self.store.handles -= 1


class Results:
    """A `ResultStore` that can forget."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.broken: set[str] = set()
        self.unloadable: Exception | None = None
        """What every load raises."""
        self.handles = 0
        self.loaded: list[int] = []
        self._ids = itertools.count()
        self._times = itertools.count()

    def make(self, value: int) -> Number:
        return Number(self, f"r{next(self._ids)}", value)

    def save(self, result: Result) -> StoredResult:
        assert isinstance(result, Number)
        self.values[result.id] = result.value
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._times))
        return StoredResult(result.id, at)

    def exists(self, id: str) -> bool:
        return id in self.values

    async def load(self, id: str, *, uses: bool = True) -> Result:
        if self.unloadable is not None:
            raise self.unloadable
        if id not in self.values or id in self.broken:
            raise NotFound(f"{id}: not found")
        self.loaded.append(self.values[id])
        return Number(self, id, self.values[id])


Hook = Callable[[OpContext], Awaitable[None]]


@dataclass(frozen=True)
class Spec:
    """What a test vertex does: adds `add` to the sum of its inputs."""

    add: int = 0
    maps: tuple[str, ...] = ()
    """Cache map digests; by default one from the vertex's name."""
    selectors: Mapping[int, str] = field(default_factory=dict)
    content_inputs: frozenset[int] = frozenset()
    """Inputs that can be keyed by content (their number)."""
    prepared_inputs: frozenset[int] = frozenset()
    outputs: int = 1
    on_map: Hook | None = None
    on_content: Hook | None = None
    on_run: Hook | None = None
    fail: Exception | None = None
    fail_map: Exception | None = None
    fail_content: Exception | None = None


class SpecOp:
    def __init__(self, world: World, vertex: Vertex, spec: Spec) -> None:
        self._world = world
        self._vertex = vertex
        self._spec = spec

    def cache_map(
        self, ctx: OpContext, index: int
    ) -> CacheMap | Coroutine[object, object, CacheMap]:
        self._world.mapped.append(self._vertex.name)
        if self._spec.on_map is None:
            return self._cache_map(index)
        return self._slow_map(self._spec.on_map, ctx, index)

    async def _slow_map(self, on_map: Hook, ctx: OpContext, index: int) -> CacheMap:
        await on_map(ctx)
        return self._cache_map(index)

    def _cache_map(self, index: int) -> CacheMap:
        spec = self._spec
        if spec.fail_map is not None:
            raise spec.fail_map
        maps = spec.maps or (sha(f"op {self._vertex.name}"),)
        inputs = tuple(self._keying(i) for i in range(len(self._vertex.inputs)))
        return CacheMap(maps[index], inputs, done=index == len(maps) - 1)

    def _keying(self, index: int) -> InputKeying:
        spec = self._spec
        return InputKeying(
            spec.selectors.get(index, ""),
            self._content if index in spec.content_inputs else None,
            self._prepare if index in spec.prepared_inputs else None,
        )

    async def _content(self, result: Result, ctx: OpContext) -> str:
        assert isinstance(result, Number)
        self._world.keyed.append(self._vertex.name)
        if self._spec.on_content is not None:
            await self._spec.on_content(ctx)
        if self._spec.fail_content is not None:
            raise self._spec.fail_content
        return sha(f"content {result.value}")

    async def _prepare(self, result: Result, ctx: OpContext) -> None:
        ctx.progress.log(1, b"prepared")

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        self._world.ran.append(self._vertex.name)
        assert self._vertex.digest not in self._world.executing, "it runs already"
        self._world.executing.add(self._vertex.digest)
        try:
            return await self._execute(ctx, inputs)
        finally:
            self._world.executing.remove(self._vertex.digest)

    async def _execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        total = self._spec.add
        for result in inputs:
            assert isinstance(result, Number)
            total += result.value
        try:
            if self._spec.on_run is not None:
                await self._spec.on_run(ctx)
        except asyncio.CancelledError:
            self._world.canceled.append(self._vertex.name)
            raise
        if self._spec.fail is not None:
            raise self._spec.fail
        return [self._world.results.make(total + i) for i in range(self._spec.outputs)]


def vertex(
    name: str,
    *inputs: Vertex | Edge,
    spec: Spec | None = None,
    digest: str = "",
    ignore_cache: bool = False,
) -> Vertex:
    edges = tuple(i if isinstance(i, Edge) else Edge(i) for i in inputs)
    below = ",".join(f"{e.vertex.digest}:{e.index}" for e in edges)
    digest = digest or sha(f"{name}({below}){ignore_cache}")
    return Vertex(digest, spec or Spec(), edges, name, ignore_cache=ignore_cache)


async def build(
    solver: Solver,
    target: Vertex | Edge,
    job: str = "job",
    *,
    caches: Sequence[CacheSource] = (),
) -> int:
    """Build in a job of its own and return the number."""
    edge = target if isinstance(target, Edge) else Edge(target)
    async with solver.job(f"{job}-{next(_JOBS)}") as running:
        running.look_into(caches)
        built = await running.build(edge)
        try:
            assert isinstance(built.result, Number)
            return built.result.value
        finally:
            await built.release()


_JOBS = itertools.count()
