"""Equal steps of different vertices: one runs, the others follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.solver.flights import Signature
from croze.solver.saving import find_target

if TYPE_CHECKING:
    from croze.solver.edge import ActiveEdge
    from croze.solver.vertex import ActiveVertex


class Follower:
    """Wants a leader's edge for an edge of another vertex."""

    __slots__ = ("_edge",)

    def __init__(self, edge: ActiveEdge) -> None:
        self._edge = edge

    def notify(self) -> None:
        self._edge.graph.wake(self._edge)


def signature_of(edge: ActiveEdge) -> Signature:
    """All that leads from the inputs to the edge's vertex, to save with."""
    if not edge.inputs:
        return (frozenset((-1, m.digest, "", "") for m in edge.vertex.maps),)
    return tuple(frozenset(item.steps()) for item in edge.inputs)


def identity_of(edge: ActiveEdge) -> Signature:
    """As the signature, but forced results of inputs only equal themselves."""
    if not edge.inputs:
        return signature_of(edge)
    return tuple(frozenset(item.identity()) for item in edge.inputs)


def running_twin(edge: ActiveEdge, identity: Signature) -> ActiveVertex | None:
    """A vertex that runs, or has run, what `edge` is about to run. A forced run doesn't take the
    result of one that was not."""
    vertex = edge.vertex
    for other in edge.graph.flights.find(identity):
        if other is vertex:
            return None
        if other.vertex.ignore_cache or not vertex.vertex.ignore_cache:
            return other
    return None


def late_key(edge: ActiveEdge, identity: Signature) -> str | None:
    """A key that another vertex has saved since `edge` looked."""
    if edge.vertex.vertex.ignore_cache or not edge.inputs:
        return None
    key = find_target(edge.graph.keys, identity, edge.index)
    return None if key in edge.keys else key
