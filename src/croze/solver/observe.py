"""What the solver tells of how it decided: for those who explain to people why a step ran.

The solver only says what it saw; it keeps nothing and compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from croze.solver.contract import CacheMap, Edge, InputKeying, Op, OpContext, Result, Vertex

if TYPE_CHECKING:
    from croze.solver.vertex import ActiveVertex

_ALL = InputKeying()


class Outcome(Enum):
    """What became of a vertex."""

    CACHED = "cached"
    """Its result came from the cache."""
    RAN = "ran"
    """The cache had nothing, or was not to be asked: the op ran, or runs."""
    FAILED = "failed"
    RUNNING = "running"
    """Its op runs. Of a build that has ended: it was stopped before it was done."""
    UNUSED = "unused"
    """Nobody needed its result: what stands on it was found, or the build ended before."""
    UNKNOWN = "unknown"
    """Only in forecasts: it hangs on the content of something that is not there yet."""


@dataclass(frozen=True)
class InputFacts:
    """One input of a vertex. `content` is the digest of what of it counts, empty where that was
    not asked. `result` is the solver's own handle, if there is one: not to be kept or released."""

    edge: Edge
    keying: InputKeying = _ALL
    content: str = ""
    result: Result | None = None


@dataclass(frozen=True)
class VertexFacts:
    """What is known of a vertex now. No cache maps: they were never asked for; nor was the op."""

    vertex: Vertex
    maps: tuple[CacheMap, ...]
    inputs: tuple[InputFacts, ...]
    outcome: Outcome
    op: Op | None = None
    stored: tuple[str, ...] = ()
    """Ids of the results that the daemon's cache has for it now, its own first."""


class Observer(Protocol):
    """Hears of every miss."""

    def missed(self, facts: VertexFacts, ctx: OpContext) -> None:
        """The cache had nothing for a vertex whose inputs are all there: its op starts now. Called
        in the event loop; must be quick and must not raise."""

    def lost(self, results: Sequence[str]) -> None:
        """The cache has forgotten results, by id: they were removed. Likewise."""


def facts_of(active: ActiveVertex) -> VertexFacts:
    """What `active` knows."""
    maps, vertex = tuple(active.maps), active.vertex
    inputs = []
    for index, edge in enumerate(vertex.inputs):
        below = active.graph.actives.get(edge.vertex.digest)
        made = below.edges.get(edge.index) if below is not None else None
        inputs.append(
            InputFacts(
                edge,
                active.keying(index) if maps else _ALL,
                active.contents.get(index, ""),
                made.result if made is not None else None,
            )
        )
    return VertexFacts(
        vertex,
        maps,
        tuple(inputs),
        _outcome(active),
        active.op,
        tuple(dict.fromkeys(_stored(active))),
    )


def _stored(active: ActiveVertex) -> Iterator[str]:
    keys, results = active.graph.keys, active.graph.results
    own = (edge.result.id for edge in active.edges.values() if edge.result is not None)
    yield from (id for id in own if results.exists(id))
    for edge in active.edges.values():
        for key in dict.fromkeys((*edge.keys, *edge.result_keys)):
            yield from (one.id for one in keys.results(key) if results.exists(one.id))


def _outcome(active: ActiveVertex) -> Outcome:
    if active.results is not None:
        return Outcome.RAN
    if active.error is not None:
        return Outcome.FAILED
    if any(edge.result is not None for edge in active.edges.values()):
        return Outcome.CACHED
    return Outcome.RUNNING if active.started else Outcome.UNUSED
