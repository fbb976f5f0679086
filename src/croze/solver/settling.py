"""How an edge comes to rest: with a result, with an error, or because nobody wants it."""

from __future__ import annotations

from croze.errors import CrozeError
from croze.solver.asking import lower_wishes
from croze.solver.contract import Result
from croze.solver.effects import LEAVE_MAP, STOP, UNFOLLOW, Effect
from croze.solver.inputs import InputState
from croze.solver.levels import DEFINITION_KEYS, IDLE, NOTHING, RESULT, Level
from croze.solver.state import EdgeState


def add_key(edge: EdgeState, key: str) -> None:
    """Note one more key of the edge, which those who want it are told of."""
    if key not in edge.keys:
        edge.keys.append(key)
        edge.news = True


def set_level(edge: EdgeState, level: Level) -> None:
    """Note that the edge has come to `level`; it never falls."""
    if level > edge.level:
        edge.level = level
        edge.news = True


def mark(edge: EdgeState, item: InputState) -> None:
    """Have the input looked at in this step or the next."""
    if not item.changed:
        item.changed = True
        edge.changed.append(item)


def finish(edge: EdgeState, result: Result, keys: tuple[str, ...], effects: list[Effect]) -> None:
    """Complete the edge with a result that is cached under `keys`."""
    edge.result = result
    edge.result_keys = keys
    if not edge.op.ignore_cache:
        for key in keys:
            add_key(edge, key)
    set_level(edge, RESULT)
    _let_go(edge, effects)


def fail(edge: EdgeState, error: CrozeError, effects: list[Effect]) -> None:
    """End the edge with an error, unless it has its result already."""
    if edge.result is None:
        edge.error = error
        edge.news = True
    _let_go(edge, effects)


def relax(edge: EdgeState, effects: list[Effect]) -> None:
    """Stop what only the old wish needed: less is wanted than before."""
    _stop(edge, effects)
    edge.mode = IDLE
    lower_wishes(edge, DEFINITION_KEYS, effects)


def rest(edge: EdgeState, effects: list[Effect]) -> None:
    """Nobody wants it: it keeps what it knows."""
    edge.was_wanted = NOTHING
    _let_go(edge, effects)


def _let_go(edge: EdgeState, effects: list[Effect]) -> None:
    """Give up everything that the edge has asked for: cache maps, inputs, work."""
    _stop(edge, effects)
    if edge.maps_asked:
        if edge.maps_asked > len(edge.op.maps):
            effects.append(LEAVE_MAP)
        edge.maps_asked = 0
    edge.mode = IDLE
    edge.active = False
    lower_wishes(edge, NOTHING, effects)


def _stop(edge: EdgeState, effects: list[Effect]) -> None:
    """Stop contents, the loading of a record, a run, and following another vertex."""
    if edge.contents_asked or edge.loading is not None or edge.index in edge.op.running:
        if edge.contents_asked:
            edge.contents_asked = 0
            for item in edge.inputs:
                item.content_asked = False
        edge.loading = None
        effects.append(STOP)
    if edge.leader is not None:
        edge.leader = None
        effects.append(UNFOLLOW)
