"""Writing what was made under its cache keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.cachekeys.contract import KeyLink, KeyStore
from croze.cachekeys.names import new_key, root_key
from croze.solver.contract import Result
from croze.solver.flights import Signature

if TYPE_CHECKING:
    from croze.solver.graph import Graph
    from croze.solver.vertex import ActiveVertex


def find_target(keys: KeyStore, signature: Signature, output: int) -> str | None:
    """A key that every input leads to already."""
    common: set[str] | None = None
    for steps in signature:
        reached: set[str] = set()
        for index, digest, selector, key in steps:
            reached.update(keys.targets(key, KeyLink(index, output, digest, selector)))
        common = reached if common is None else common & reached
        if not common:
            return None
    return min(common) if common else None


def save_executed(
    graph: Graph, vertex: ActiveVertex, output: int, result: Result
) -> tuple[str, ...]:
    """Save output `output` of a vertex that ran; returns its keys."""
    if vertex.vertex.inputs:
        found = find_target(graph.keys, vertex.signature, output)
        saved: tuple[str, ...] = (found or new_key(),)
    else:
        saved = tuple(root_key(m.digest, output) for m in vertex.maps)
    stored = graph.results.save(result)
    for key in saved:
        graph.keys.add_result(key, stored)
        link_inputs(graph.keys, vertex.signature, output, key)
    graph.saved()
    return saved


def save_followed(
    graph: Graph, signature: Signature, output: int, leader_keys: tuple[str, ...]
) -> None:
    """Make the keys of an edge lead to the result that another vertex made for it."""
    for key in leader_keys:
        link_inputs(graph.keys, signature, output, key)
    graph.saved()


def link_inputs(keys: KeyStore, signature: Signature, output: int, target: str) -> None:
    """Lead every step of `signature` to `target`."""
    for steps in signature:
        for index, digest, selector, key in steps:
            if index >= 0:
                keys.add_link(key, KeyLink(index, output, digest, selector), target)
