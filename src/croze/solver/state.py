"""The state of an edge, and of the op that the edges of a vertex share. `step` changes the first.

Nothing here does anything: no clock, no store, no event loop. Results are handles that are carried
along and never looked into.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from croze.errors import CrozeError
from croze.solver.caches import ResultRecord
from croze.solver.contract import CacheMap, Result
from croze.solver.inputs import InputState, Signature
from croze.solver.levels import IDLE, NOTHING, RESULT, Level, Mode, Tally, tally_of
from croze.solver.matching import is_hopeless


class OpState(Struct, eq=False):
    """What the op of a vertex has said and made so far: all edges of the vertex see the same."""

    inputs: int
    ignore_cache: bool = False
    maps: list[CacheMap] = field(default_factory=list)
    maps_done: bool = False
    contents: dict[int, str] = field(default_factory=dict)
    """The contents of inputs, by index; empty for one that has nothing to go by."""
    running: set[object] = field(default_factory=set)
    """Edges for which the op runs."""
    results: Sequence[Result] | None = None
    """What it made, by output."""
    forced: bool = False
    """`results` rest on a forced run."""
    error: CrozeError | None = None


class Leader(Protocol):
    """An edge of another vertex that does the same."""

    @property
    def finished(self) -> bool:
        """Whether it has a result or an error."""


class EdgeState(Struct, eq=False, weakref=True):
    """One output of a vertex that somebody wants, or wanted."""

    op: OpState
    index: int
    inputs: tuple[InputState, ...] = ()
    wanted: Level = NOTHING
    level: Level = NOTHING
    keys: list[str] = field(default_factory=list)
    """Keys under which consumers may be found in the cache; only grows."""
    result: Result | None = None
    result_keys: tuple[str, ...] = ()
    """Keys of `result`; unlike `keys` also those of a forced run."""
    forced: bool = False
    """The result was made on purpose although the cache may have one, or rests on such a result.
    Nobody finds anything by the keys of the first; by those of the others they do, as in BuildKit:
    only what reads a forced result itself runs again for sure."""
    error: CrozeError | None = None
    retired: bool = False
    """No build has the vertex any more: this is the end."""

    # What goes on
    mode: Mode = IDLE
    active: bool = False
    """Its inputs were asked."""
    maps_asked: int = 0
    """How many cache maps were asked for, since it last let go; none: 0."""
    contents_asked: int = 0
    """How many inputs it was asked for the content of."""
    loading: ResultRecord | None = None
    leader: Leader | None = None
    """It takes the result of this one."""
    owned: tuple[Result, ...] = ()
    """Handles to be released at the end."""

    # What was seen
    was_wanted: Level = NOTHING
    maps_seen: int = 0
    keys_sought: int = 0
    """How many of `keys` were looked for results under."""
    records: tuple[ResultRecord, ...] = ()
    """Results in caches that were not tried."""
    tried: frozenset[str] = frozenset()
    changed: list[InputState] = field(default_factory=list)
    """Inputs to look at."""
    touched: list[InputState] = field(default_factory=list)
    """Inputs that were looked at, and not asked for more since."""
    hits: dict[str, int] | None = None
    """How many inputs lead to which key, where there are several."""
    crowded: tuple[InputState, ...] = ()
    """Inputs that lead to more keys than are listed."""
    matched_late: list[tuple[InputState, str]] = field(default_factory=list)
    """What another input has come to lead to, of a crowd that an input's content leads to."""
    tally: Tally = field(default_factory=Tally)
    identity: Signature = ()
    """What it is about to run as, while it is asked whether something else does the same."""
    news: bool = False
    """There is something to tell those who want it."""

    @property
    def finished(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def hopeless(self) -> bool:
        """See `matching.is_hopeless`."""
        return is_hopeless(self.tally, len(self.inputs), self.op.ignore_cache)


class Equals(NamedTuple):
    """Why an op need not run, after all: an equal vertex runs or has run, or another build has
    saved a key meanwhile."""

    leader: Leader | None = None
    key: str | None = None


def broken_invariants(edge: EdgeState) -> list[str]:
    """The broken invariants that an edge shows by itself, by their numbers in `docs/solver.md`;
    none, unless the solver is wrong."""
    broken = []
    tally = tally_of(item.flags for item in edge.inputs)
    if edge.inputs and edge.tally != tally:
        broken.append(f"4: the tally is {edge.tally}, its inputs say {tally}")
    if edge.op.ignore_cache and edge.keys:
        broken.append("6: it ignores the cache and has keys")
    if edge.result is not None and (edge.level is not RESULT or edge.error is not None):
        broken.append("8: it has a result and is not complete, or has failed")
    if len({id(each) for each in edge.owned}) != len(edge.owned):
        broken.append("8: it owns a handle twice")
    if edge.retired and (edge.result is not None or edge.owned):
        broken.append("8: it is retired and holds on to a result")
    if (edge.retired or edge.finished or not edge.wanted) and _is_busy(edge):
        broken.append("10: it has things done that are of no use to anybody")
    return broken


def _is_busy(edge: EdgeState) -> bool:
    is_asking = any(item.asked for item in edge.inputs) or edge.maps_asked or edge.contents_asked
    works = edge.loading is not None or edge.index in edge.op.running
    return bool(is_asking) or works or edge.leader is not None
