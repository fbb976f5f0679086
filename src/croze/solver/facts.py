"""Facts of an active vertex, for observers."""

from __future__ import annotations

from collections.abc import Iterator

from croze.solver.matching import WHOLE, keying_of
from croze.solver.observe import InputFacts, Outcome, VertexFacts
from croze.solver.views import VertexView


def facts_of(active: VertexView) -> VertexFacts:
    """What `active` knows."""
    maps, vertex = tuple(active.state.maps), active.vertex
    inputs = []
    for index, edge in enumerate(vertex.inputs):
        below = active.graph.actives.get(edge.vertex.digest)
        edge_below = below.edges.get(edge.index) if below is not None else None
        inputs.append(
            InputFacts(
                edge,
                keying_of(maps, index) if maps else WHOLE,
                active.state.contents.get(index, ""),
                edge_below.state.result if edge_below is not None else None,
            )
        )
    stored = tuple(dict.fromkeys(_stored(active)))
    return VertexFacts(vertex, maps, tuple(inputs), _outcome(active), active.op, stored)


def _stored(active: VertexView) -> Iterator[str]:
    keys, results = active.graph.keys, active.graph.results
    states = [edge.state for edge in active.edges.values()]
    own = (state.result.id for state in states if state.result is not None)
    yield from (id for id in own if results.exists(id))
    for state in states:
        for key in dict.fromkeys((*state.keys, *state.result_keys)):
            yield from (one.id for one in keys.results(key) if results.exists(one.id))


def _outcome(active: VertexView) -> Outcome:
    if active.state.results is not None:
        return Outcome.RAN
    if active.state.error is not None:
        return Outcome.FAILED
    if any(edge.state.result is not None for edge in active.edges.values()):
        return Outcome.CACHED
    return Outcome.RUNNING if active.started else Outcome.UNUSED
