"""A vertex that is wanted by some job: its op, what the op said, and what it made."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from croze.errors import CrozeError, VertexDetail
from croze.job_values import JobKey
from croze.solver.caches import CacheSource
from croze.solver.contract import CacheMap, Edge, InputKeying, Limits, Op, Result, Vertex
from croze.solver.edge import ActiveEdge
from croze.solver.flights import Signature
from croze.solver.graph import Graph, Member
from croze.solver.nested import NestedMember
from croze.solver.observe import facts_of
from croze.solver.report import VertexReporter
from croze.solver.request import SolvedResult
from croze.solver.work import Failure, Work

T = TypeVar("T")

_ALL = InputKeying()


class ActiveVertex:
    """Shared by all jobs that want the vertex. Every piece of work of the op happens here, at most
    once at a time; edges ask for it and are woken when something is known."""

    __slots__ = (
        "__weakref__",
        "_content_works",
        "_exec_work",
        "_identity",
        "caches",
        "contents",
        "context",
        "edges",
        "error",
        "forced",
        "graph",
        "jobs",
        "map_work",
        "maps",
        "maps_done",
        "nested",
        "op",
        "reporter",
        "results",
        "signature",
        "started",
        "vertex",
    )

    def __init__(self, graph: Graph, vertex: Vertex) -> None:
        self.graph = graph
        self.vertex = vertex
        self.reporter = VertexReporter.of(vertex)
        self.context = VertexContext(self)
        self.jobs: dict[Member, None] = {}
        self.edges: dict[int, ActiveEdge] = {}
        self.caches = graph.caches
        """Those of all jobs that want the vertex, or wanted it."""
        self.op: Op | None = None
        self.error: CrozeError | None = None
        self.maps: list[CacheMap] = []
        self.maps_done = False
        self.contents: dict[int, str] = {}
        self.results: Sequence[Result] | None = None
        self.signature: Signature = ()
        self.forced = vertex.ignore_cache
        """Whether `results` rest on a forced run."""
        self.started = False
        """Whether the op ever began to run, to whatever end."""
        self._identity: Signature = ()
        self.map_work = Work(graph.spawn, self._ask_map, self._got_map)
        self.nested: NestedMember | None = None
        self._exec_work: Work[Sequence[Result]] | None = None
        self._content_works: dict[int, Work[str]] = {}

    def edge(self, index: int) -> ActiveEdge:
        edge = self.edges.get(index)
        if edge is None:
            edge = self.edges[index] = ActiveEdge(self, index)
        return edge

    def keying(self, index: int) -> InputKeying:
        inputs = self.maps[0].inputs
        return inputs[index] if index < len(inputs) else _ALL

    # Jobs

    def relax(self, limits: Limits | None) -> None:
        """Let the op, once it is made, have what a build that joins would give it."""
        own = self.vertex.limits
        if limits is None or limits is own:
            return
        self.vertex = replace(self.vertex, limits=own.relaxed(limits) if own else limits)

    def join(self, job: Member) -> None:
        if job in self.jobs:
            return
        if self.error is not None or any(e.error for e in self.edges.values()):
            self._forget_errors()
        self.jobs[job] = None
        self.look_into(job.imported())
        job.attach(self)
        self.reporter.join(job.log)
        for edge in self.edges.values():
            edge.joined(job)

    def look_into(self, more: Sequence[CacheSource]) -> None:
        """Look for results in these caches, too."""
        caches = self.caches.also(more)
        if caches is self.caches:
            return
        self.caches = caches
        for edge in self.edges.values():
            edge.look_again()
        if self.nested is not None:
            self.nested.look_into(more)

    def leave(self, job: Member) -> bool:
        """True when nobody is left."""
        self.jobs.pop(job, None)
        self.reporter.leave(job.log)
        return not self.jobs

    def retire(self) -> list[Result]:
        """Stop everything; returns the results that are nobody's now."""
        self.map_work.cancel()
        if self._exec_work is not None:
            self._exec_work.cancel()
        for work in self._content_works.values():
            work.cancel()
        orphans = list(self.results or ())
        for edge in self.edges.values():
            orphans.extend(edge.retire())
        if self.nested is not None:
            self.nested.leave()
        self._ground()
        return orphans

    def _forget_errors(self) -> None:
        self.error = None
        for edge in self.edges.values():
            edge.forget_error()

    # Cache maps

    async def _ask_map(self) -> CacheMap:
        is_source = not self.vertex.inputs
        if is_source:
            self.reporter.start()
        try:
            if self.op is None:
                self.op = self.graph.resolve_op(self.vertex)
            found = await self.op.cache_map(self.context, len(self.maps))
        except Exception as err:
            if not is_source:
                self.reporter.start()
            self.reporter.complete(error=str(err))
            raise self.blame(err, "failed to load cache key") from err
        except BaseException:
            if is_source:
                self.reporter.complete(error="context canceled")
            raise
        if is_source:
            self.reporter.complete()
        return found

    def _got_map(self, outcome: CacheMap | Failure) -> None:
        if isinstance(outcome, Failure):
            self._fail(outcome.error)
        else:
            self.maps.append(outcome)
            self.maps_done = outcome.done
        self._wake_all()

    # Content of inputs

    def want_content(self, index: int, edge: ActiveEdge) -> None:
        work = self._content_works.get(index)
        if work is None:
            work = self._content_works[index] = Work(
                self.graph.spawn, self._content_start(index), self._content_done(index)
            )
        work.want(edge)

    def drop_work(self, edge: ActiveEdge) -> None:
        """`edge` needs neither the result nor the content of an input any more."""
        if self._exec_work is not None:
            self._exec_work.drop(edge)
        for work in self._content_works.values():
            work.drop(edge)

    def _content_start(self, index: int) -> Callable[[], Coroutine[Any, Any, str]]:
        return lambda: self._content(index)

    def _content_done(self, index: int) -> Callable[[str | Failure], None]:
        return lambda outcome: self._got_content(index, outcome)

    async def _content(self, index: int) -> str:
        keying = self.keying(index)
        source = self.graph.edge(self.vertex.inputs[index])
        result = source.clone_result()
        try:
            if keying.prepare is not None:
                await keying.prepare(result, source.vertex.context)
            if keying.content is None:
                return ""
            return await keying.content(result, self.context)
        except Exception as err:
            self.reporter.start()
            self.reporter.complete(error=str(err))
            raise self.blame(err, "failed to compute cache key") from err
        finally:
            await result.release()

    def _got_content(self, index: int, outcome: str | Failure) -> None:
        if isinstance(outcome, Failure):
            self._fail(outcome.error)
        else:
            self.contents[index] = outcome
        for edge in self.edges.values():
            edge.content_known(index)
        self._wake_all()

    # Execution

    def execute(self, edge: ActiveEdge, identity: Signature, signature: Signature) -> None:
        """Run the op for `edge`; its inputs are complete."""
        if self._exec_work is None:
            self._exec_work = Work(self.graph.spawn, self._execute, self._executed, self._ground)
        if not self._exec_work.running:
            self.signature = signature
            self._identity = identity
            self.forced = self.vertex.ignore_cache or any(i.edge.forced for i in edge.inputs)
            self.graph.flights.add(self, identity)
            self._exec_work.want(edge)
            if self.graph.observer is not None:
                self.graph.observer.missed(facts_of(self), self.context)
        self._exec_work.want(edge)

    def runs_for(self, edge: ActiveEdge) -> bool:
        return self._exec_work is not None and edge in self._exec_work.users

    @property
    def executing(self) -> bool:
        return self._exec_work is not None and self._exec_work.running

    def run_also_for(self, edge: ActiveEdge) -> None:
        """Let a running execution go on for `edge` too."""
        if self._exec_work is not None and self._exec_work.running:
            self._exec_work.want(edge)

    async def _execute(self) -> Sequence[Result]:
        assert self.op is not None
        self.started = True
        inputs = [self.graph.edge(e).clone_result() for e in self.vertex.inputs]
        self.reporter.start()
        try:
            results = await self.op.execute(self.context, inputs)
        except Exception as err:
            self.reporter.complete(error=str(err))
            raise self.blame(err) from err
        except BaseException:
            self.reporter.complete(error="context canceled")
            raise
        finally:
            for result in inputs:
                await result.release()
        self.reporter.complete()
        return results

    def _executed(self, outcome: Sequence[Result] | Failure) -> None:
        if isinstance(outcome, Failure):
            self._ground()
            self._fail(outcome.error)
        elif self.jobs:
            self.results = outcome
        else:
            self._ground()
            self.graph.release(outcome)
        self._wake_all()

    def _ground(self) -> None:
        self.graph.flights.remove(self, self._identity)
        self._identity = ()

    # Errors

    def blame(self, err: Exception, prefix: str = "") -> CrozeError:
        """`err` as an error that names this vertex."""
        named = err if isinstance(err, CrozeError) else CrozeError(str(err) or type(err).__name__)
        if prefix:
            named = named.wrap(prefix)
        return named.with_detail(VertexDetail(self.vertex.llb_digest or self.vertex.digest))

    def _fail(self, err: Exception) -> None:
        self.error = err if isinstance(err, CrozeError) else self.blame(err)

    def _wake_all(self) -> None:
        for edge in self.edges.values():
            self.graph.wake(edge)


class VertexContext:
    """What the op sees of the jobs that want it: an `OpContext`."""

    __slots__ = ("_active", "progress", "vertex")

    def __init__(self, active: ActiveVertex) -> None:
        self._active = active
        self.vertex = active.vertex
        self.progress = active.reporter

    def sessions(self) -> Sequence[str]:
        ids = (id for job in self._active.jobs for id in job.session_ids())
        return tuple(dict.fromkeys(ids))

    def job_values(self, key: JobKey[T]) -> Sequence[T]:
        return tuple(value for job in self._active.jobs for value in job.values_of(key))

    async def build(self, edge: Edge) -> SolvedResult:
        """Solve another edge for everyone who wants this vertex."""
        if self._active.nested is None:
            self._active.nested = NestedMember(self._active)
        return await self._active.nested.build(edge)
