"""The solver's invariants, checked on an edge after it has moved. Their numbers are those of
`docs/solver.md`.

For tests: `Graph.after_step` calls a `Validator` when it is set. It costs several times the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakSet

from croze.cachekeys.contract import KeyStore
from croze.cachekeys.names import is_imported
from croze.solver.edge import COMPLETE, NONE, ActiveEdge
from croze.solver.vertex import ActiveVertex


@dataclass(frozen=True)
class _Seen:
    """An edge after its last step."""

    keys: tuple[str, ...] = ()
    level: int = NONE


class Validator:
    """Remembers what edges were like, to tell what may not change; `broken` is what does not
    hold."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._seen: WeakKeyDictionary[ActiveEdge, _Seen] = WeakKeyDictionary()
        self._running: WeakSet[ActiveVertex] = WeakSet()

    def __call__(self, edge: ActiveEdge) -> None:
        before = self._seen.get(edge, _Seen())
        now = _Seen(tuple(edge.keys), edge.level)
        self._seen[edge] = now
        where = f"{edge.vertex.vertex.name}[{edge.index}]"
        found = [*_changes(before, now), *_state(edge)]
        if edge.vertex.executing and edge.vertex not in self._running:
            found += _may_run(edge)
            self._running.add(edge.vertex)
        elif not edge.vertex.executing:
            self._running.discard(edge.vertex)
        self.broken += [f"{where}: {broken}" for broken in found]

    def check_store(self, keys: KeyStore) -> None:
        """When all is over."""
        self.broken += [
            f"7: the key of an import is stored: {source} -> {target}"
            for source, _, target in keys.links()
            if is_imported(source) or is_imported(target)
        ]


def _changes(before: _Seen, now: _Seen) -> list[str]:
    found = []
    if now.keys[: len(before.keys)] != before.keys:
        found.append(f"1: keys were taken away: {before.keys} -> {now.keys}")
    if now.level < before.level:
        found.append(f"2: the level fell from {before.level} to {now.level}")
    return found


def _may_run(edge: ActiveEdge) -> list[str]:
    """What speaks against the run that it has begun."""
    found = []
    if not edge.hopeless():
        found.append("5: it runs though a match is possible")
    if edge.tally.ready != len(edge.inputs):
        found.append("5: it runs before its inputs are ready")
    if edge.has_records():
        found.append("5: it runs though there is a record to load")
    return found


def _state(edge: ActiveEdge) -> list[str]:
    found = []
    top = max(edge.wanters().values(), default=NONE)
    if edge.wanted != top:
        found.append(f"3: {edge.wanted} is wanted, its wanters want {top}")
    if edge.inputs and edge.tally != edge.tally_of_inputs():
        found.append(f"4: the tally is {edge.tally}, its inputs say {edge.tally_of_inputs()}")
    if edge.vertex.vertex.ignore_cache and edge.keys:
        found.append("6: it ignores the cache and has keys")
    if edge.result is not None and (edge.level != COMPLETE or edge.error is not None):
        found.append("8: it has a result and is not complete, or has failed")
    if _leads_back(edge):
        found.append("9: it follows itself")
    return found


def _leads_back(edge: ActiveEdge) -> bool:
    met = {edge}
    leader = edge.leader
    while leader is not None:
        if leader in met:
            return True
        met.add(leader)
        leader = leader.leader
    return False
