"""The solver's invariants, checked on an edge after it has moved. Their numbers are those of
`docs/solver.md`.

For tests: `Graph.after_step` calls a `Validator` when it is set. It costs several times the step.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakSet

from msgspec import Struct

from croze.cachekeys.contract import KeyStore
from croze.cachekeys.names import is_imported
from croze.solver.levels import NOTHING, Level
from croze.solver.state import EdgeState, broken_invariants
from croze.solver.views import MovingEdge, VertexView


class _LastStep(Struct, frozen=True):
    """An edge after its last step."""

    keys: tuple[str, ...] = ()
    level: Level = NOTHING


class EdgeMemory:
    """Remembers what edges were like, to tell what may not change."""

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[EdgeState, _LastStep] = WeakKeyDictionary()

    def broken_by(self, edge: EdgeState) -> list[str]:
        """What does not hold of the edge now, that has moved."""
        before = self._seen.get(edge, _LastStep())
        now = self._seen[edge] = _LastStep(tuple(edge.keys), edge.level)
        return [*_changes(before, now), *broken_invariants(edge)]


class Validator:
    """Checks edges of a graph; `broken` is what does not hold."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._progress = EdgeMemory()
        self._running: WeakSet[VertexView] = WeakSet()

    def __call__(self, edge: MovingEdge) -> None:
        where = f"{edge.vertex.vertex.name}[{edge.state.index}]"
        problems = [*self._progress.broken_by(edge.state), *_around(edge)]
        if edge.vertex.executing and edge.vertex not in self._running:
            problems += may_not_run(edge.state)
            self._running.add(edge.vertex)
        elif not edge.vertex.executing:
            self._running.discard(edge.vertex)
        self.broken += [f"{where}: {broken}" for broken in problems]

    def check_store(self, keys: KeyStore) -> None:
        """What no step shows: call it when all builds have ended."""
        self.broken += stored_imports(keys)


def stored_imports(keys: KeyStore) -> list[str]:
    """What breaks invariant 7: links of the store from or to the key of an imported cache."""
    return [
        f"7: the key of an import is stored: {source} -> {target}"
        for source, _, target in keys.links()
        if is_imported(source) or is_imported(target)
    ]


def may_not_run(edge: EdgeState) -> list[str]:
    """What speaks against the run that it has begun."""
    reasons = []
    if not edge.hopeless:
        reasons.append("5: it runs though a match is possible")
    if edge.tally.ready != len(edge.inputs):
        reasons.append("5: it runs before its inputs are ready")
    if edge.records:
        reasons.append("5: it runs though there is a record to load")
    return reasons


def _changes(before: _LastStep, now: _LastStep) -> list[str]:
    changes = []
    if now.keys[: len(before.keys)] != before.keys:
        changes.append(f"1: keys were taken away: {before.keys} -> {now.keys}")
    if now.level < before.level:
        changes.append(f"2: the level fell from {before.level} to {now.level}")
    return changes


def _around(edge: MovingEdge) -> list[str]:
    problems = []
    most = max(edge.wanters().values(), default=NOTHING)
    if edge.state.wanted != most and not edge.state.retired:
        problems.append(f"3: {edge.state.wanted} is wanted, its wanters want {most}")
    if _leads_back(edge):
        problems.append("9: it follows itself")
    if _lacks_inputs(edge.vertex):
        problems.append("11: a build has it and not what is below it")
    return problems


def _lacks_inputs(vertex: VertexView) -> bool:
    actives = vertex.graph.actives
    inputs = [actives.get(item.vertex.digest) for item in vertex.vertex.inputs]
    return any(below is None or job not in below.jobs for job in vertex.jobs for below in inputs)


def _leads_back(edge: MovingEdge) -> bool:
    met: set[object] = {edge.state}
    leader = edge.leader
    while leader is not None:
        if leader.state in met:
            return True
        met.add(leader.state)
        leader = leader.leader
    return False
