"""The solver's public face: jobs come in, edges are built, readers follow.

async with Solver(keys, results, resolve_op) as solver:
    async with solver.job("id", sessions=["s"]) as job:
        built = await job.build(Edge(vertex, 0))
        ...
        await built.release()
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from croze.cachekeys.contract import KeyStore, StoredResult
from croze.cachekeys.names import record_digest
from croze.errors import AlreadyExists, Canceled, CrozeError, UnknownJob, as_own
from croze.job_values import JobKey, JobValues
from croze.solver.caches import CacheSource
from croze.solver.calls import VertexContext
from croze.solver.chain import Chain, chain_of, stored_below
from croze.solver.contract import Edge, Op, OpContext, OpResolver, ResultStore, Vertex
from croze.solver.facts import facts_of
from croze.solver.graph import Graph
from croze.solver.observe import Observer, VertexFacts
from croze.solver.probe import Forecast, Prober, ProbeWorld
from croze.solver.report import StatusLog, VertexReporter
from croze.solver.request import EdgeRequest, SolvedResult
from croze.solver.views import EdgeView, MovingEdge, VertexView
from croze.status import ProgressGroup, StatusEvent

__all__ = ["Job", "SolvedResult", "Solver"]

T = TypeVar("T")

_TURN = 100
"""Results looked at before others get their turn on the event loop."""


class Solver:
    """One shared graph for all builds of a daemon."""

    def __init__(
        self,
        keys: KeyStore,
        results: ResultStore,
        resolve_op: OpResolver,
        *,
        linger_s: float = 10.0,
        observer: Observer | None = None,
    ) -> None:
        """`linger_s`: how long a finished job's status can still be read."""
        self._graph = Graph(keys, results, resolve_op, observer)
        self._linger_s = linger_s
        self._jobs: dict[str, Job] = {}
        self._refused: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._awaited: dict[str, set[asyncio.Future[Job | None]]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._graph.open(self._tasks)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for job in list(self._jobs.values()):
            job.discard()
        for timer in self._timers.values():
            timer.cancel()
        self._jobs.clear()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._graph.close()

    @asynccontextmanager
    async def job(self, id: str, *, sessions: Sequence[str] = ()) -> AsyncIterator[Job]:
        """One build. Leaving discards it: what only it wanted is stopped and released. Its status
        can be read for a while longer."""
        if id in self._jobs:
            raise AlreadyExists(f"job ID {id} exists")
        if id in self._refused:
            self._timers[id].cancel()
            self._forget(id)
        job = self._jobs[id] = Job(self._graph, id, sessions)
        for waiter in self._awaited.pop(id, ()):
            if not waiter.done():
                waiter.set_result(job)
        try:
            yield job
        finally:
            job.discard()
            self._forget_later(id)

    def has_job(self, id: str) -> bool:
        """Whether `find_job` answers at once."""
        return id in self._jobs

    async def find_job(self, id: str, *, wait_s: float = 6.0) -> Job | None:
        """The job with this id, which may be about to start or have just ended; None when it was
        refused meanwhile. Raises `UnknownJob` when it does not come in time."""
        if id in self._jobs or id in self._refused:
            return self._jobs.get(id)
        waiter: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        waiters = self._awaited.setdefault(id, set())
        waiters.add(waiter)
        try:
            async with asyncio.timeout(wait_s):
                return await waiter
        except TimeoutError:
            raise UnknownJob(f"no such job {id}") from None
        finally:
            waiters.discard(waiter)
            if not waiters and self._awaited.get(id) is waiters:
                del self._awaited[id]

    def refuse(self, id: str) -> None:
        """Tell those who wait for this job, now or soon, that it does not come. Nothing if it has
        come."""
        if id in self._jobs or id in self._refused:
            return
        self._refused.add(id)
        self._forget_later(id)
        for waiter in self._awaited.pop(id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def check_steps(self, check: Callable[[MovingEdge], None]) -> None:
        """Call `check` with each edge after it has moved; for tests (`validate.Validator`)."""
        self._graph.after_step = check

    def active_count(self) -> int:
        """How many vertices are held by jobs."""
        return len(self._graph.actives)

    async def forget_lost(self) -> None:
        """Results were removed: forget the keys that led to them. A key that leads nowhere would
        have inputs made one after the other, in the hope that their contents lead further."""
        results, ids = self._graph.results, self._graph.keys.result_ids()
        for start in range(0, len(ids), _TURN):
            turn = ids[start : start + _TURN]
            self._graph.forget_results([id for id in turn if not results.exists(id)])
            await asyncio.sleep(0)
        self._graph.saved()

    def _forget_later(self, id: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[id] = loop.call_later(self._linger_s, self._forget, id)

    def _forget(self, id: str) -> None:
        self._jobs.pop(id, None)
        self._refused.discard(id)
        self._timers.pop(id, None)


async def build_within(ctx: OpContext, edge: Edge) -> SolvedResult:
    """Solve another edge for an op while it executes; `ctx` is what it was called with. The result
    is the op's to release; the rest is held until its vertex is not wanted."""
    if not isinstance(ctx, VertexContext):
        raise CrozeError("nested builds need the context of a vertex")
    return await ctx.build(edge)


class Job:
    """One build's view of the solver."""

    def __init__(self, graph: Graph, id: str, sessions: Sequence[str]) -> None:
        self.id = id
        self.log = StatusLog()
        self._graph = graph
        self._sessions = tuple(sessions)
        self._values = JobValues()
        self._loaded: dict[str, VertexView] = {}
        self._attached: dict[VertexView, None] = {}
        self._requests: dict[EdgeRequest, None] = {}
        self._imported: tuple[CacheSource, ...] = ()
        self._closed = False

    # What vertices ask

    def session_ids(self) -> Iterable[str]:
        return self._sessions

    def values_of(self, key: JobKey[T]) -> Sequence[T]:
        return self._values.of(key)

    def imported(self) -> Sequence[CacheSource]:
        return self._imported

    def attach(self, vertex: VertexView) -> None:
        self._attached[vertex] = None

    # What builds do

    def set_value(self, key: JobKey[T], value: T) -> None:
        """Keep a value for the ops of what is built, and for those who watch the build."""
        self._values.set(key, value)

    def look_into(self, caches: Sequence[CacheSource]) -> None:
        """Look for results in these caches, too, from now on, in their order."""
        self._imported += tuple(c for c in caches if c not in self._imported)
        for vertex in self._attached:
            vertex.look_into(self._imported)

    async def build(self, edge: Edge) -> SolvedResult:
        """The result of `edge`, from the cache or by running what is missing. Cancelling stops, at
        once, what nothing else wants."""
        active = self._load(edge)
        request = EdgeRequest(active)
        self._requests[request] = None
        try:
            return await request.fulfil()
        finally:
            self._requests.pop(request, None)

    async def in_context(
        self,
        name: str,
        fn: Callable[[OpContext], Awaitable[T]],
        *,
        digest: str = "",
        progress_group: ProgressGroup | None = None,
    ) -> T:
        """Run `fn` as a vertex of its own in the status, such as `exporting to image`. Its digest
        is random unless given."""
        digest = digest or record_digest(secrets.token_hex(16), 0)
        vertex = Vertex(digest, None, name=name)
        context = JobContext(self, vertex, progress_group)
        context.progress.join(self.log)
        context.progress.start()
        try:
            value = await fn(context)
        except asyncio.CancelledError:
            context.progress.complete(error="context canceled")
            raise
        except Exception as err:
            context.progress.complete(error=str(as_own(err)))
            raise
        context.progress.complete()
        return value

    def chain(self, edge: Edge) -> Chain:
        """The cache records of `edge` and of all below it; only while the job is open and after
        `build`."""
        return chain_of(self._graph, edge)

    def stored(self, edge: Edge) -> Iterator[tuple[Edge, StoredResult]]:
        """What is kept of `edge` and of all below it, inputs first; only while the job is open and
        after `build`."""
        return stored_below(self._graph, edge)

    def emit(self, event: StatusEvent) -> None:
        """Put something into the status as it is (a frontend's warning)."""
        self.log.append(event)

    def events(self, *, pause_s: float = 0.0) -> AsyncIterator[Sequence[StatusEvent]]:
        """All status from the start, in batches, until the job is over. Any number of readers. See
        `StatusLog.read`."""
        return self.log.read(pause_s)

    def vertices(self, edges: Iterable[Edge]) -> Iterator[tuple[Vertex, Op | None]]:
        """The edges' vertices and all below them, once each, inputs first, with their ops where
        these were needed; for provenance. Only while the job is open and after `build`."""
        stack = [edge.vertex for edge in edges]
        seen, order = {vertex.digest for vertex in stack}, []
        while stack:
            vertex = stack.pop()
            order.append(vertex)
            for item in vertex.inputs:
                if item.vertex.digest not in seen:
                    seen.add(item.vertex.digest)
                    stack.append(item.vertex)
        for vertex in reversed(order):
            active = self._loaded.get(vertex.digest)
            yield vertex, active.op if active is not None else None

    def facts(self) -> Iterator[VertexFacts]:
        """What became of all vertices so far, inputs first. Only while the job is open."""
        return (facts_of(active) for active in tuple(self._loaded.values()))

    async def probe(self, edge: Edge, world: ProbeWorld) -> Forecast:
        """Say what building `edge` would find in the cache; nothing runs but the sources that
        `world` lets through. The forecast is the caller's to release."""
        graph = self._graph

        def context(vertex: Vertex) -> OpContext:
            return JobContext(self, vertex, None)

        caches = graph.caches.also(self._imported)
        prober = Prober(caches, graph.resolve_op, context, self.build, world)
        return await prober.probe(edge)

    def discard(self) -> None:
        """Leave the graph. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for request in list(self._requests):
            request.cancel()
        attached, self._attached = self._attached, {}
        self._graph.leave(attached, self)
        self._loaded = {}
        self._values = JobValues()  # many of them know the job
        self.log.close()

    def _load(self, edge: Edge) -> EdgeView:
        if self._closed:
            raise Canceled()
        self._graph.load(edge.vertex, self, self._loaded)
        return self._graph.edge(edge)


class JobContext:
    """The `OpContext` of work that belongs to one job only."""

    def __init__(self, job: Job, vertex: Vertex, group: ProgressGroup | None) -> None:
        self._job = job
        self.vertex = vertex
        self.progress = VertexReporter.of(vertex, group)

    def sessions(self) -> Sequence[str]:
        return tuple(self._job.session_ids())

    def job_values(self, key: JobKey[T]) -> Sequence[T]:
        return self._job.values_of(key)
