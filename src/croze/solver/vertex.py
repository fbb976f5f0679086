"""A vertex that is wanted by some job: its op, what the op said, and what it made."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial

from msgspec.structs import replace

from croze.errors import CrozeError, VertexDetail, as_own
from croze.solver.caches import CacheSource
from croze.solver.calls import VertexContext, content_key, outputs
from croze.solver.contract import CacheMap, Edge, Limits, Op, Result, Vertex
from croze.solver.edge import ActiveEdge
from croze.solver.effects import Execute
from croze.solver.events import Changed, Event, Happened
from croze.solver.facts import facts_of
from croze.solver.inputs import Signature
from croze.solver.nested import NestedMember
from croze.solver.report import VertexReporter
from croze.solver.request import SolvedResult
from croze.solver.saving import save_executed
from croze.solver.state import OpState
from croze.solver.views import GraphMember, GraphView
from croze.solver.work import Failure, Work


class ActiveVertex:
    """Shared by all jobs that want the vertex. Every piece of work of the op happens here, at most
    once at a time; edges ask for it and are woken when something is known."""

    __slots__ = (
        "__weakref__",
        "_content_works",
        "_exec_work",
        "_identity",
        "_map_call",
        "_map_work",
        "_signature",
        "caches",
        "edges",
        "graph",
        "jobs",
        "nested",
        "op",
        "reporter",
        "started",
        "state",
        "vertex",
    )

    def __init__(self, graph: GraphView, vertex: Vertex) -> None:
        self.graph = graph
        self.vertex = vertex
        self.state = OpState(len(vertex.inputs), vertex.ignore_cache)
        self.reporter = VertexReporter.of(vertex)
        self.jobs: dict[GraphMember, None] = {}
        self.edges: dict[int, ActiveEdge] = {}
        self.caches = graph.caches
        """The daemon's own cache, and what has been imported by any job that has ever joined."""
        self.op: Op | None = None
        self.started = False
        self.nested: NestedMember | None = None
        self._signature: Signature = ()
        self._identity: Signature = ()
        self._map_work: Work[CacheMap] | None = None
        self._map_call: Coroutine[object, object, CacheMap] | None = None
        """Not begun yet."""
        self._exec_work: Work[Sequence[Result]] | None = None
        self._content_works: dict[int, Work[str]] = {}

    @property
    def context(self) -> VertexContext:
        return VertexContext(self, self._build)

    def edge(self, index: int) -> ActiveEdge:
        """See `VertexView.edge`."""
        edge = self.edges.get(index)
        if edge is None:
            edge = self.edges[index] = ActiveEdge(self, index)
        return edge

    # Jobs

    def relax(self, limits: Limits | None) -> None:
        """Widen the limits of the op, which has not been made yet, by those of a build that
        joins."""
        own = self.vertex.limits
        if limits is None or limits is own:
            return
        self.vertex = replace(self.vertex, limits=own.relaxed(limits) if own else limits)

    def join(self, job: GraphMember) -> None:
        """Add a job: its log gets what has happened so far, and what happens from now on."""
        self.reporter.join(job.log)
        self.hold(job)

    def hold(self, job: GraphMember) -> None:
        """Add a job as `join` does, but tell its log nothing."""
        if job in self.jobs:
            return
        self.jobs[job] = None
        imported = job.imported()
        if imported:
            self.look_into(imported)
        job.attach(self)
        for edge in self.edges.values():
            edge.joined(job)

    def look_into(self, more: Sequence[CacheSource]) -> None:
        """Look into more caches; the edges hear of it, and so do builds inside the vertex."""
        caches = self.caches.also(more)
        if caches is self.caches:
            return
        self.caches = caches
        self._tell_all(Happened.CACHES_GREW)
        if self.nested is not None:
            self.nested.look_into(more)

    def leave(self, job: GraphMember) -> bool:
        """Remove a job. True if no other job wants the vertex."""
        self.jobs.pop(job, None)
        self.reporter.leave(job.log)
        return not self.jobs

    def retire(self) -> list[Result]:
        """Stop everything; returns the results that are nobody's now. It lets go of all that knows
        it, so that nothing of a build is left to Python's collector."""
        if self._map_work is not None:
            self._map_work.cancel()
        if self._exec_work is not None:
            self._exec_work.cancel()
        for work in self._content_works.values():
            work.cancel()
        orphans = list(self.state.results or ())
        for edge in self.edges.values():
            orphans.extend(edge.retire())
        if self.nested is not None:
            self.nested.leave()
        self._leave_in_flight()
        self._map_work = self._exec_work = self.nested = None
        self._content_works.clear()
        self.edges.clear()
        return orphans

    def forgive(self) -> None:
        """Forget errors, so that a job that loads the vertex now gets another try."""
        edges = tuple(self.edges.values())
        if self.state.error is not None:
            for edge in edges:
                edge.move()  # all see it first, and let go of what has failed
            self.state.error = None
        if any(edge.state.error for edge in edges):
            for edge in edges:
                edge.move(Happened.FORGIVEN)  # before anybody asks what it has come to

    # Cache maps

    def ask_map(self, index: int) -> bool:
        """Ask the op for its next cache map for an edge. True if the op could say it at once; else
        the edges are woken when it is there."""
        if self._map_work is None:
            if self.vertex.inputs and self._ask_map_at_once(index):
                return True
            self._map_work = Work(
                self.graph.spawn, self._ask_map, self._got_map, self._close_map_call
            )
        self._map_work.want(index)
        return False

    def leave_map(self, index: int) -> None:
        """An edge waits for the cache map no more; when none does, the asking ends."""
        if self._map_work is not None:
            self._map_work.drop(index)

    def _ask_map_at_once(self, index: int) -> bool:
        """Whether the op knows its cache map without a look at anything, as most do."""
        try:
            cache_map = self._call_op()
        except Exception as err:
            self._fail(self._no_map(err))
        else:
            if not isinstance(cache_map, CacheMap):
                self._map_call = cache_map
                return False
            self._add_map(cache_map)
        for edge in self.edges.values():
            if edge.state.index != index:
                self.graph.wake(edge)
        return True

    def _call_op(self) -> CacheMap | Coroutine[object, object, CacheMap]:
        if self.op is None:
            self.op = self.graph.resolve_op(self.vertex)
        return self.op.cache_map(self.context, len(self.state.maps))

    async def _ask_map(self) -> CacheMap:
        is_source = not self.vertex.inputs
        if is_source:
            self.reporter.start()
        try:
            call, self._map_call = self._map_call or self._call_op(), None
            cache_map = call if isinstance(call, CacheMap) else await call
        except Exception as err:
            raise self._no_map(err) from err
        except BaseException:
            if is_source:
                self.reporter.complete(error="context canceled")
            raise
        if is_source:
            self.reporter.complete()
        return cache_map

    def _no_map(self, err: Exception) -> CrozeError:
        if self.vertex.inputs:
            self.reporter.start()
        self.reporter.complete(error=str(as_own(err)))
        failure = self.named_error(err, "failed to load cache key")
        failure.__cause__ = err
        return failure

    def _close_map_call(self) -> None:
        """Nobody wants the cache map any more."""
        if self._map_call is not None:
            self._map_call.close()
            self._map_call = None

    def _got_map(self, outcome: CacheMap | Failure) -> None:
        if isinstance(outcome, Failure):
            self._fail(outcome.error)
        else:
            self._add_map(outcome)
        self._wake_all()

    def _add_map(self, cache_map: CacheMap) -> None:
        self.state.maps.append(cache_map)
        self.state.maps_done = cache_map.done

    # Content of inputs

    def ask_content(self, input: int, index: int) -> None:
        work = self._content_works.get(input)
        if work is None:
            work = self._content_works[input] = Work(
                self.graph.spawn,
                partial(content_key, self, input),
                partial(self._got_content, input),
            )
        work.want(index)

    def stop(self, index: int) -> None:
        """An edge wants neither execution nor contents any more; what nobody wants is cancelled."""
        if self._exec_work is not None:
            self._exec_work.drop(index)
        self.state.running.discard(index)
        for work in self._content_works.values():
            work.drop(index)

    def _got_content(self, input: int, outcome: str | Failure) -> None:
        if isinstance(outcome, Failure):
            self._fail(outcome.error)
        else:
            self.state.contents[input] = outcome
        self._tell_all(Changed(input))

    # Execution

    def execute(self, run: Execute, index: int) -> None:
        """Run the op for an edge, with the keys that the edge has found for it; once for all
        edges."""
        if self._exec_work is None:
            self._exec_work = Work(
                self.graph.spawn,
                self._execute,
                self._executed,
                self._leave_in_flight,
                self.state.running,
            )
        if not self._exec_work.running:
            self._signature = run.signature
            self._identity = run.identity
            self.state.forced = run.forced
            self.graph.in_flight.add(self, run.identity)
            self._exec_work.want(index)
            if self.graph.observer is not None:
                self.graph.observer.missed(facts_of(self), self.context)
        self._exec_work.want(index)

    @property
    def executing(self) -> bool:
        return self._exec_work is not None and self._exec_work.running

    def run_also_for(self, index: int) -> None:
        if self._exec_work is not None and self._exec_work.running:
            self._exec_work.want(index)

    def save(self, index: int) -> tuple[str, ...]:
        """Write an output's result under its cache keys; the keys."""
        results, graph = self.state.results, self.graph
        assert results is not None
        saved = save_executed(
            graph.keys, graph.results, self.state, self._signature, index, results[index]
        )
        graph.saved()
        return saved

    async def _execute(self) -> Sequence[Result]:
        self.started = True
        return await outputs(self)

    def _executed(self, outcome: Sequence[Result] | Failure) -> None:
        if isinstance(outcome, Failure):
            self._leave_in_flight()
            self._fail(outcome.error)
        elif self.jobs:
            self.state.results = outcome
        else:
            self._leave_in_flight()
            self.graph.release(outcome)
        self._wake_all()

    def _leave_in_flight(self) -> None:
        if self._identity:
            self.graph.in_flight.remove(self, self._identity)
            self._identity = ()

    async def _build(self, edge: Edge) -> SolvedResult:
        if self.nested is None:
            self.nested = NestedMember(self)
        return await self.nested.build(edge)

    # Errors

    def named_error(self, err: Exception, prefix: str = "") -> CrozeError:
        named = as_own(err)
        if prefix:
            named = named.wrap(prefix)
        return named.with_detail(VertexDetail(self.vertex.llb_digest or self.vertex.digest))

    def _fail(self, err: Exception) -> None:
        self.state.error = err if isinstance(err, CrozeError) else self.named_error(err)

    def _wake_all(self) -> None:
        for edge in self.edges.values():
            self.graph.wake(edge)

    def _tell_all(self, event: Event) -> None:
        for edge in self.edges.values():
            edge.tell(event)
