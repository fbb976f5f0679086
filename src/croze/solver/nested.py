"""Builds inside a build: what a vertex solves while it works belongs to all who want the vertex."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from croze.job_values import JobKey
from croze.solver.caches import CacheSource
from croze.solver.contract import Edge
from croze.solver.report import EventSink
from croze.solver.request import EdgeRequest, SolvedResult
from croze.solver.views import VertexView

T = TypeVar("T")


class NestedMember:
    """Stands for a vertex where the graph expects a job. It leaves when the vertex retires."""

    def __init__(self, parent: VertexView) -> None:
        self._parent = parent
        self._loaded: dict[str, VertexView] = {}
        self._attached: dict[VertexView, None] = {}

    @property
    def log(self) -> EventSink:
        """What happens inside is told to everyone who watches the vertex, late ones too."""
        return self._parent.reporter

    def session_ids(self) -> Iterable[str]:
        return self._parent.context.sessions()

    def values_of(self, key: JobKey[T]) -> Sequence[T]:
        return self._parent.context.job_values(key)

    def imported(self) -> Sequence[CacheSource]:
        return self._parent.caches.sources[1:]

    def attach(self, vertex: VertexView) -> None:
        self._attached[vertex] = None

    def look_into(self, more: Sequence[CacheSource]) -> None:
        for vertex in self._attached:
            vertex.look_into(more)

    async def build(self, edge: Edge) -> SolvedResult:
        graph = self._parent.graph
        graph.load(edge.vertex, self, self._loaded)
        return await EdgeRequest(graph.edge(edge)).fulfil()

    def leave(self) -> None:
        """Take all that was loaded out of the graph, but for what others want, too."""
        attached, self._attached = self._attached, {}
        self._loaded = {}
        self._parent.graph.leave(attached, self)
