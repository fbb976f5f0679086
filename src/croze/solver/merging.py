"""Equal steps of different vertices: one runs, the others follow it."""

from __future__ import annotations

from croze.solver.events import Failed, Shared
from croze.solver.inputs import Signature, all_keys, own_keys, signature_of
from croze.solver.saving import find_target, save_followed
from croze.solver.views import EdgeView


def running_equal(edge: EdgeView, identity: Signature) -> EdgeView | None:
    """The edge of a vertex that runs, or has run, what `edge` is about to run. A forced run doesn't
    take the result of one that was not."""
    vertex = edge.vertex
    for other in vertex.graph.in_flight.find(identity):
        if other is vertex:
            return None
        if other.state.ignore_cache or not vertex.state.ignore_cache:
            return other.edge(edge.state.index)
    return None


def late_key(edge: EdgeView, identity: Signature) -> str | None:
    """A key that another vertex has saved since `edge` looked."""
    state = edge.state
    if state.op.ignore_cache or not state.inputs:
        return None
    key = find_target(edge.vertex.graph.keys, identity, state.index)
    return None if key in state.keys else key


def share(edge: EdgeView, leader: EdgeView) -> Shared | Failed | None:
    """Take what the leader has come to; None if that has been forgotten."""
    vertex, leader_state = edge.vertex, leader.state
    if leader_state.error is not None:
        vertex.reporter.start()
        vertex.reporter.complete(error=str(leader_state.error))
        return Failed(vertex.named_error(leader_state.error))
    if leader_state.result is None:
        return None
    keys = all_keys(leader_state)
    signature = signature_of(edge.state.inputs, edge.state.op.maps)
    save_followed(vertex.graph.keys, signature, edge.state.index, own_keys(leader_state))
    vertex.graph.saved()
    vertex.reporter.start(cached=True)
    vertex.reporter.complete()
    return Shared(leader.clone_result(), keys, leader_state.forced)
