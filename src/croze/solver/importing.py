"""A result from an imported cache becomes the daemon's own.

The keys that led to it are written into the key store, down to what they begin with, so that the
next look-up is direct and needs no import. Results on the way are taken along: they are as lazy as
the one that was asked for.
"""

from __future__ import annotations

from croze.cachekeys.contract import StoredResult
from croze.cachekeys.names import is_imported, new_key, record_digest, root_key
from croze.errors import CrozeError
from croze.solver.caches import ResultRecord
from croze.solver.contract import Result
from croze.solver.inputs import all_keys, own_keys, signature_of
from croze.solver.saving import find_target, link_inputs
from croze.solver.views import EdgeView


async def adopt(edge: EdgeView, record: ResultRecord, result: Result) -> str:
    """Save `result`, which `record` of an import stands for; returns the key it now has."""
    for below in _not_own(edge):
        if below is not edge:
            key = _own_key(below)
            below.name(key)
            await _take_result(below, key)
    key = _own_key(edge) if is_imported(record.key) else record.key
    _save(edge, key, StoredResult(result.id, record.stored.created_at))
    return key


def _not_own(top: EdgeView) -> list[EdgeView]:
    """The edge `top` and those below it of which only imports have keys, inputs first."""
    order: list[EdgeView] = []
    entered: set[EdgeView] = set()
    stack = [(top, False)]
    while stack:
        edge, is_expanded = stack.pop()
        if is_expanded:
            order.append(edge)
        elif edge not in entered and (edge is top or not own_keys(edge.state)):
            entered.add(edge)
            stack.append((edge, True))
            stack.extend((source, False) for source in edge.sources)
    return order


def _own_key(edge: EdgeView) -> str:
    """A key that all inputs lead to, found or made."""
    state, graph = edge.state, edge.vertex.graph
    if not state.inputs:
        return root_key(state.op.maps[0].digest, state.index)
    signature = signature_of(state.inputs, state.op.maps)
    key = find_target(graph.keys, signature, state.index) or new_key()
    link_inputs(graph.keys, signature, state.index, key)
    _take_links(edge, key)
    graph.saved()
    return key


def _take_links(edge: EdgeView, key: str) -> None:
    """What else an import knows to lead to `edge`: content, and other keys of sources."""
    state = edge.state
    records = {record_digest(each.digest, state.index): each.digest for each in state.op.maps}
    for imported in filter(is_imported, state.keys):
        for cache in edge.vertex.caches.sources[1:]:
            for source, link in cache.keys.links_into(imported):
                if link.digest in records and not is_imported(source):
                    own = link._replace(output_index=state.index, digest=records[link.digest])
                    edge.vertex.graph.keys.add_link(source, own, key)


async def _take_result(edge: EdgeView, key: str) -> None:
    """Save what an import has for `edge`; a result that can't be had is not missed yet."""
    for imported in filter(is_imported, all_keys(edge.state)):
        for record in edge.vertex.caches.results(imported):
            try:
                result = await record.source.results.load(record.stored.id)
            except CrozeError:
                continue
            _save(edge, key, StoredResult(result.id, record.stored.created_at))
            await result.release()
            return


def _save(edge: EdgeView, key: str, stored: StoredResult) -> None:
    edge.vertex.graph.keys.add_result(key, stored)
    edge.vertex.graph.saved()
