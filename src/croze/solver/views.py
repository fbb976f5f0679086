"""What the parts of the graph may know of each other: jobs, the graph, its vertices and edges.

These are the shells: they hold `state` and do what `step` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from croze.cachekeys.contract import KeyStore
from croze.errors import CrozeError
from croze.job_values import JobKey
from croze.solver.caches import Caches, CacheSource
from croze.solver.contract import (
    Edge,
    Op,
    OpContext,
    OpResolver,
    Result,
    ResultStore,
    Vertex,
)
from croze.solver.effects import Execute
from croze.solver.in_flight import InFlight
from croze.solver.levels import Level
from croze.solver.observe import Observer
from croze.solver.report import EventSink, VertexReporter
from croze.solver.state import EdgeState, OpState

T = TypeVar("T")


class Wanter(Protocol):
    """Someone who wants an edge at some level."""

    def notify(self) -> None:
        """The edge has changed. Must not call back into it."""


class GraphMember(Protocol):
    """A job, or a vertex that builds something inside a job, as the graph sees it."""

    @property
    def log(self) -> EventSink:
        """Where the vertices that are its own report to."""

    def session_ids(self) -> Iterable[str]:
        """Ids of the sessions of the builds behind it."""

    def values_of(self, key: JobKey[T]) -> Sequence[T]:
        """What it carries under `key`; see `OpContext.job_values`."""

    def imported(self) -> Sequence[CacheSource]:
        """Caches to look into besides the daemon's own."""

    def attach(self, vertex: VertexView) -> None:
        """Remember to leave `vertex` when the job ends."""


class EdgeView(Protocol):
    """One output of a vertex."""

    @property
    def state(self) -> EdgeState:
        """The state, to be read; `step` alone changes it."""

    @property
    def vertex(self) -> VertexView:
        """The vertex that it is an output of."""

    @property
    def edge(self) -> Edge:
        """The edge as definitions have it: a vertex and an output index."""

    @property
    def sources(self) -> Sequence[EdgeView]:
        """The edges that are its inputs; none before it is first wanted."""

    @property
    def finished(self) -> bool:
        """Whether it has a result or an error."""

    @property
    def leader(self) -> EdgeView | None:
        """The edge of another vertex that it takes its result from."""

    def want(self, who: Wanter, level: Level) -> None:
        """Note that `who` wants this edge at `level` from now on; NOTHING to leave."""

    def name(self, key: str) -> None:
        """Give the edge one more key, by which it is known in the daemon's own cache."""

    def clone_result(self) -> Result:
        """A handle on its result, the caller's to release. There must be a result."""


class MovingEdge(EdgeView, Protocol):
    """An edge as the graph sees it, which moves it."""

    queued: bool

    def move(self) -> None:
        """Do what is to be done next."""

    def wanters(self) -> Mapping[Wanter, Level]:
        """Who wants the edge, each at which level."""


class VertexView(Protocol):
    """A vertex that some job wants."""

    @property
    def state(self) -> OpState:
        """The state, to be read."""

    @property
    def graph(self) -> GraphView:
        """The graph that it is part of."""

    @property
    def vertex(self) -> Vertex:
        """The vertex as definitions have it."""

    @property
    def jobs(self) -> Mapping[GraphMember, None]:
        """The jobs that want it, in the order in which they joined (a set)."""

    @property
    def edges(self) -> Mapping[int, EdgeView]:
        """The edges that were ever asked for, by output index."""

    @property
    def caches(self) -> Caches:
        """Where its results are looked for: the daemon's own cache, and what its jobs import."""

    @property
    def context(self) -> OpContext:
        """What the op is given to work with."""

    @property
    def reporter(self) -> VertexReporter:
        """Where its progress goes."""

    @property
    def op(self) -> Op | None:
        """The op; None before it is first needed."""

    @property
    def started(self) -> bool:
        """Whether the op ever began to run, to whatever end."""

    @property
    def executing(self) -> bool:
        """Whether the op is running now."""

    def edge(self, index: int) -> EdgeView:
        """The edge of that output, made when it is first asked for."""

    def join(self, job: GraphMember) -> None:
        """Add a job, and tell its log what has happened so far."""

    def hold(self, job: GraphMember) -> None:
        """Be the job's, too, which is told nothing."""

    def leave(self, job: GraphMember) -> bool:
        """True when nobody is left."""

    def retire(self) -> list[Result]:
        """Stop everything; returns the results that are nobody's now."""

    def look_into(self, more: Sequence[CacheSource]) -> None:
        """Look for results in these caches, too."""

    def named_error(self, err: Exception, prefix: str = "") -> CrozeError:
        """The error as one that names this vertex."""

    # What its edges have it do; each names itself by its index.

    def ask_map(self, index: int) -> bool:
        """Whether it is there at once, or an error; else the edges are woken when it is."""

    def leave_map(self, index: int) -> None:
        """Note that this edge does not wait for the cache map any more."""

    def ask_content(self, input: int, index: int) -> None:
        """Compute the content key of an input, whose result is there. The edges are told
        `Changed(input)` when it is known."""

    def execute(self, run: Execute, index: int) -> None:
        """Run the op, unless it is running already; the edges are woken when it ends."""

    def run_also_for(self, index: int) -> None:
        """Let a running execution go on for this edge too."""

    def stop(self, index: int) -> None:
        """That edge needs neither contents nor a run any more."""

    def save(self, index: int) -> tuple[str, ...]:
        """Save what the op made of that edge; returns its keys."""


class GraphView(Protocol):
    """What all jobs share."""

    @property
    def keys(self) -> KeyStore:
        """The daemon's own cache keys."""

    @property
    def results(self) -> ResultStore:
        """The results that these keys name."""

    @property
    def local(self) -> CacheSource:
        """The daemon's own cache: its keys, and the results that they name."""

    @property
    def caches(self) -> Caches:
        """The caches that a vertex looks into before its builds name others: the daemon's own."""

    @property
    def in_flight(self) -> InFlight[VertexView]:
        """The vertices whose ops are running, by what identifies the run."""

    @property
    def observer(self) -> Observer | None:
        """Who watches what misses the cache, and what is lost."""

    @property
    def resolve_op(self) -> OpResolver:
        """How a vertex gets its op."""

    @property
    def actives(self) -> Mapping[str, VertexView]:
        """All vertices that any job wants, by digest."""

    def edge(self, edge: Edge) -> EdgeView:
        """The edge of a vertex that some job has loaded."""

    def load(self, vertex: Vertex, job: GraphMember, loaded: dict[str, VertexView]) -> None:
        """Make `vertex` and all below it part of `job`, inputs first. `loaded` is what the job has
        loaded so far, by digest; it grows."""

    def hold(self, vertex: VertexView, job: GraphMember) -> None:
        """Make a vertex that leads one of the job's own part of it, with all below."""

    def leave(self, vertices: Iterable[VertexView], job: GraphMember) -> None:
        """Take `job` off these vertices; what no other job wants is stopped and released."""

    def wake(self, edge: MovingEdge) -> None:
        """Let `edge` move, soon."""

    def spawn(self, work: Coroutine[Any, Any, T], /) -> asyncio.Task[T]:
        """Start work that the solver awaits before it closes."""

    def release(self, results: Sequence[Result]) -> None:
        """Release results in the background."""

    def saved(self) -> None:
        """Something was written to the key store: make it durable before long."""

    def forget_results(self, ids: Sequence[str]) -> None:
        """Results are gone: forget them, and the keys that only led to them."""
