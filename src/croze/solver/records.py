"""Results that the cache claims to have for an edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from croze.errors import NotFound
from croze.solver.contract import Result, StoredResult

if TYPE_CHECKING:
    from croze.solver.graph import Graph
    from croze.solver.report import VertexReporter


@dataclass(frozen=True)
class Record:
    """A result that the cache claims to have under `key`."""

    stored: StoredResult
    key: str


class Records:
    """Those that were not tried yet; false when there are none."""

    __slots__ = ("_found", "_graph", "_reporter", "_tried")

    def __init__(self, graph: Graph, reporter: VertexReporter) -> None:
        self._graph = graph
        self._reporter = reporter
        self._found: tuple[Record, ...] = ()
        self._tried: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._found)

    def seek(self, keys: Iterable[str]) -> None:
        """Look what there is under `keys`; the key store forgets what is gone."""
        store, results = self._graph.keys, self._graph.results
        for key in keys:
            for stored in store.results(key):
                if not results.exists(stored.id):
                    store.release_result(stored.id)
                elif stored.id not in self._tried:
                    self._found += (Record(stored, key),)

    async def load_best(self) -> tuple[Result, Record]:
        """The newest result; it counts as tried from now on."""
        record = max(self._found, key=lambda r: (r.stored.created_at, r.stored.id))
        self._tried |= {record.stored.id}
        self._reporter.start(cached=True)
        result = await self._graph.results.load(record.stored.id)
        self._reporter.complete()
        return result, record

    def drop_tried(self, error: Exception) -> None:
        """Loading failed: leave that result alone, and forget it if it is gone."""
        failed = [r for r in self._found if r.stored.id in self._tried]
        self._found = tuple(r for r in self._found if r.stored.id not in self._tried)
        if isinstance(error, NotFound):
            for record in failed:
                self._graph.keys.release_result(record.stored.id)
