"""The graph of all vertices that any job wants now, and the loop that moves its edges."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from croze.cachekeys.contract import KeyStore
from croze.errors import CrozeError
from croze.solver.caches import Caches, CacheSource
from croze.solver.contract import Edge, OpResolver, Result, ResultStore, Vertex
from croze.solver.edge import ActiveEdge
from croze.solver.in_flight import InFlight
from croze.solver.observe import Observer
from croze.solver.vertex import ActiveVertex
from croze.solver.views import GraphMember, MovingEdge, VertexView

T = TypeVar("T")

log = logging.getLogger(__name__)

_SLICE_S = 0.01
"""How long edges may move before the event loop gets a turn."""
_FLUSH_AFTER_S = 0.25


class Graph:
    """Shared by all jobs of a solver. Not safe outside the event loop's thread."""

    def __init__(
        self,
        keys: KeyStore,
        results: ResultStore,
        resolve_op: OpResolver,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self.keys = keys
        self.results = results
        self.local = CacheSource(keys, results)
        self.caches = Caches((self.local,))
        self.resolve_op = resolve_op
        self.in_flight: InFlight[VertexView] = InFlight()
        self.actives: dict[str, ActiveVertex] = {}
        self.after_step: Callable[[MovingEdge], None] | None = None
        """For tests: `validate.Validator`."""
        self._tasks: asyncio.TaskGroup | None = None
        self._queue: deque[MovingEdge] = deque()
        self._scheduled = False
        self._flush_timer: asyncio.TimerHandle | None = None

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Have all work done as tasks of `tasks`, from now on."""
        self._tasks = tasks

    def close(self) -> None:
        """Write what the key store has gathered. What runs is for `tasks` to end."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        self.keys.flush()

    def spawn(self, work: Coroutine[Any, Any, T], /) -> asyncio.Task[T]:
        """Start work that belongs to no caller: it goes on until the solver ends."""
        assert self._tasks is not None, "the solver is not open"
        return self._tasks.create_task(work)

    def edge(self, edge: Edge) -> ActiveEdge:
        """The edge of a vertex that a job has loaded."""
        return self.actives[edge.vertex.digest].edge(edge.index)

    def load(self, vertex: Vertex, job: GraphMember, loaded: dict[str, VertexView]) -> None:
        """Make `vertex` and all below it part of `job`, inputs first. `loaded` is what the job has
        loaded so far."""
        stack: list[tuple[Vertex, bool]] = [(vertex, False)]
        while stack:
            current, inputs_done = stack.pop()
            if current.digest in loaded:
                continue
            if inputs_done:
                loaded[current.digest] = self._join(current, job)
                continue
            stack.append((current, True))
            stack.extend((e.vertex, False) for e in reversed(current.inputs))

    def _join(self, vertex: Vertex, job: GraphMember) -> ActiveVertex:
        active = self.actives.get(vertex.digest)
        if active is None:
            active = self.actives[vertex.digest] = ActiveVertex(self, vertex)
        else:
            active.forgive()
        active.relax(vertex.limits)
        active.join(job)
        return active

    def hold(self, vertex: VertexView, job: GraphMember) -> None:
        """Make `vertex`, which leads one of the job's own, part of `job`, and with it all below:
        it may have to begin again when the build that began it has left."""
        vertex.join(job)
        stack = list(vertex.vertex.inputs)
        while stack:
            below = self.actives[stack.pop().vertex.digest]
            if job not in below.jobs:
                below.hold(job)
                stack.extend(below.vertex.inputs)

    def leave(self, vertices: Iterable[VertexView], job: GraphMember) -> None:
        """Take `job` off; what no other job wants is stopped and released."""
        orphans: list[Result] = []
        for vertex in vertices:
            if vertex.leave(job):
                self.actives.pop(vertex.vertex.digest, None)
                orphans.extend(vertex.retire())
        self.release(orphans)

    def release(self, results: Sequence[Result]) -> None:
        """Release handles on results, soon: whoever calls this may be in the middle of a step."""
        if results:
            self.spawn(_release_all(results))

    def wake(self, edge: MovingEdge) -> None:
        """Have the edge moved with the others that wait, after what runs now."""
        if not edge.queued:
            edge.queued = True
            self._queue.append(edge)
            self._schedule()

    def saved(self) -> None:
        """Something was written to the key store: make it durable before long."""
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(_FLUSH_AFTER_S, self._flush)

    def forget_results(self, ids: Sequence[str]) -> None:
        """Results are gone: so are the keys that only led to them."""
        for id in ids:
            self.keys.release_result(id)
        if ids and self.observer is not None:
            self.observer.lost(ids)

    def _flush(self) -> None:
        self._flush_timer = None
        try:
            self.keys.flush()
        except CrozeError as err:
            log.warning("cache keys are not saved yet: %s", err)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._move)

    def _move(self) -> None:
        self._scheduled = False
        until = time.perf_counter() + _SLICE_S
        queue = self._queue
        while queue:
            edge = queue.popleft()
            edge.queued = False
            edge.move()
            if self.after_step is not None:
                self.after_step(edge)
            if time.perf_counter() > until:
                break
        if queue:
            self._schedule()


async def _release_all(results: Iterable[Result]) -> None:
    for result in results:
        await result.release()
