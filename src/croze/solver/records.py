"""Results that a cache claims to have for an edge."""

from __future__ import annotations

from collections.abc import Iterable

from croze.solver.caches import ResultRecord
from croze.solver.contract import Result
from croze.solver.importing import adopt
from croze.solver.views import EdgeView


def seek(edge: EdgeView, keys: Iterable[str]) -> list[ResultRecord]:
    """What there is under `keys` that is not known yet; the key store forgets what is gone."""
    graph = edge.vertex.graph
    records: dict[str, ResultRecord] = {}
    earlier_ids = edge.state.tried | {each.stored.id for each in edge.state.records}
    for key in keys:
        for record in edge.vertex.caches.results(key):
            id = record.stored.id
            if id in earlier_ids or id in records:
                continue
            if record.source.results.exists(id):
                records[id] = record
            elif record.own:
                graph.forget_results([id])
    return list(records.values())


async def load(edge: EdgeView, record: ResultRecord) -> tuple[Result, str]:
    """The result, and the key that it has in the daemon's own cache."""
    result = await record.source.results.load(record.stored.id)
    # Not before: one that can't be had is passed over, and what comes then is what is told.
    reporter = edge.vertex.reporter
    reporter.start(cached=True)
    try:
        key = record.key if record.own else await adopt(edge, record, result)
    except BaseException:
        await result.release()
        raise
    reporter.complete()
    return result, key
