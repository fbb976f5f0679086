"""What the solver tells of how it decided: for those who explain to people why a step ran.

The solver only says what it saw; it keeps nothing and compares nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct

from croze.solver.contract import CacheMap, Edge, InputKeying, Op, OpContext, Result, Vertex

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


class InputFacts(Struct, frozen=True):
    """One input of a vertex. `content` is the digest of what of it counts, empty where that was
    not asked. `result` is the solver's own handle, if there is one: not to be kept or released."""

    edge: Edge
    keying: InputKeying = _ALL
    content: str = ""
    result: Result | None = None


class VertexFacts(Struct, frozen=True):
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
