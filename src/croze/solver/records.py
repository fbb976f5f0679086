"""Results that the cache claims to have for an edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from croze.cachekeys.contract import StoredResult
from croze.errors import NotFound
from croze.solver.adopting import adopt
from croze.solver.caches import CacheSource
from croze.solver.contract import Result

if TYPE_CHECKING:
    from croze.solver.edge import ActiveEdge


@dataclass(frozen=True)
class Record:
    """A result that a cache claims to have under `key`."""

    stored: StoredResult
    key: str
    source: CacheSource
    own: bool
    """Of the daemon's cache, not of an imported one."""


class Records:
    """Those that were not tried yet; false when there are none."""

    __slots__ = ("_edge", "_found", "_tried")

    def __init__(self, edge: ActiveEdge) -> None:
        self._edge = edge
        self._found: dict[str, Record] = {}
        self._tried: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._found)

    def seek(self, keys: Iterable[str]) -> None:
        """Look what there is under `keys`; the key store forgets what is gone."""
        local = self._edge.graph.local
        for key in keys:
            for source, stored in self._edge.vertex.caches.results(key):
                if stored.id in self._tried or stored.id in self._found:
                    continue
                if source.results.exists(stored.id):
                    self._found[stored.id] = Record(stored, key, source, source is local)
                elif source is local:
                    self._edge.graph.forget_results([stored.id])

    async def load_best(self) -> tuple[Result, str]:
        """The newest result, our own before imported ones, and the key that it has. It counts as
        tried from now on."""
        best = max(self._found.values(), key=_worth)
        self._tried |= {best.stored.id}
        result = await best.source.results.load(best.stored.id)
        # Not before: one that can't be had is passed over, and what comes then is what is told.
        reporter = self._edge.vertex.reporter
        reporter.start(cached=True)
        try:
            key = best.key if best.own else await adopt(self._edge, best, result)
        except BaseException:
            await result.release()
            raise
        reporter.complete()
        return result, key

    def drop_tried(self, error: Exception) -> None:
        """Loading failed: leave that result alone, and forget it if it is gone."""
        failed = [r for id, r in self._found.items() if id in self._tried]
        self._found = {id: r for id, r in self._found.items() if id not in self._tried}
        if isinstance(error, NotFound):
            for record in failed:
                if record.own:
                    self._edge.graph.forget_results([record.stored.id])


def _worth(record: Record) -> tuple[bool, datetime, str]:
    return record.own, record.stored.created_at, record.stored.id
