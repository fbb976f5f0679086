"""A result from an imported cache becomes the daemon's own.

The keys that led to it are written into the key store, down to what they begin with, so that the
next look-up is direct and needs no import. Results on the way are taken along: they are as lazy as
the one that was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.cachekeys.contract import StoredResult
from croze.cachekeys.names import is_imported, new_key, record_digest, root_key
from croze.errors import CrozeError
from croze.solver.contract import Result
from croze.solver.saving import find_target, link_inputs
from croze.solver.twins import signature_of

if TYPE_CHECKING:
    from croze.solver.edge import ActiveEdge
    from croze.solver.records import Record


async def adopt(edge: ActiveEdge, record: Record, result: Result) -> str:
    """Save `result`, which `record` of an import stands for; returns the key it now has."""
    for below in _not_own(edge):
        if below is not edge:
            key = _own_key(below)
            below.keys.append(key)
            await _take_result(below, key)
    key = _own_key(edge) if is_imported(record.key) else record.key
    _save(edge, key, StoredResult(result.id, record.stored.created_at))
    return key


def own_keys(edge: ActiveEdge) -> list[str]:
    """Those that the daemon's key store knows."""
    return [key for key in edge.all_keys() if not is_imported(key)]


def _not_own(top: ActiveEdge) -> list[ActiveEdge]:
    """`top` and the edges below it of which only imports have keys, inputs first."""
    order: list[ActiveEdge] = []
    entered: set[ActiveEdge] = set()
    stack = [(top, False)]
    while stack:
        edge, done = stack.pop()
        if done:
            order.append(edge)
        elif edge not in entered and (edge is top or not own_keys(edge)):
            entered.add(edge)
            stack.append((edge, True))
            stack.extend((item.edge, False) for item in edge.inputs)
    return order


def _own_key(edge: ActiveEdge) -> str:
    """A key that all inputs lead to, found or made."""
    if not edge.inputs:
        return root_key(edge.vertex.maps[0].digest, edge.index)
    signature = signature_of(edge)
    key = find_target(edge.graph.keys, signature, edge.index) or new_key()
    link_inputs(edge.graph.keys, signature, edge.index, key)
    _take_links(edge, key)
    edge.graph.saved()
    return key


def _take_links(edge: ActiveEdge, key: str) -> None:
    """What else an import knows to lead to `edge`: content, and other keys of sources."""
    records = {record_digest(m.digest, edge.index): m.digest for m in edge.vertex.maps}
    for imported in filter(is_imported, edge.keys):
        for cache in edge.vertex.caches.sources[1:]:
            for source, link in cache.keys.links_into(imported):
                if link.digest in records and not is_imported(source):
                    own = link._replace(output_index=edge.index, digest=records[link.digest])
                    edge.graph.keys.add_link(source, own, key)


async def _take_result(edge: ActiveEdge, key: str) -> None:
    """Save what an import has for `edge`; a result that can't be had is not missed yet."""
    for imported in filter(is_imported, edge.all_keys()):
        for source, stored in edge.vertex.caches.results(imported):
            try:
                result = await source.results.load(stored.id)
            except CrozeError:
                continue
            _save(edge, key, StoredResult(result.id, stored.created_at))
            await result.release()
            return


def _save(edge: ActiveEdge, key: str, stored: StoredResult) -> None:
    edge.graph.keys.add_result(key, stored)
    edge.graph.saved()
