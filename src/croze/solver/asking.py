"""Which levels and contents an edge asks its inputs for: no more than it takes to know whether it
must run (`levels.Mode`)."""

from __future__ import annotations

from croze.solver.effects import Ask, AskContent, Effect
from croze.solver.inputs import InputState
from croze.solver.levels import ALL_KEYS, IDLE, OPEN, RESULT, RUN, UNMATCHED, Level, Mode
from croze.solver.state import EdgeState


def ask_inputs(edge: EdgeState, effects: list[Effect], *, hopeless: bool) -> bool:
    """Ask inputs for what is needed next. True when they have brought everything and the op is to
    run."""
    mode = _choose_mode(edge, hopeless=hopeless)
    touched, edge.touched = edge.touched, []
    if mode is not edge.mode:
        edge.mode = mode
        touched = list(edge.inputs)
    if mode is IDLE:
        return False
    for item in touched:
        _ask_for_more(edge, item, mode, effects)
    return mode is RUN and edge.tally.ready == len(edge.inputs)


def ask(item: InputState, level: Level, effects: list[Effect]) -> None:
    """Want the input at no less than `level`."""
    if level > item.asked:
        item.asked = level
        effects.append(Ask(item.index, level))


def lower_wishes(edge: EdgeState, level: Level, effects: list[Effect]) -> None:
    """Want no input at more than `level` from now on."""
    for item in edge.inputs:
        if level < item.asked:
            item.asked = level
            effects.append(Ask(item.index, level))


def _choose_mode(edge: EdgeState, *, hopeless: bool) -> Mode:
    if edge.wanted < ALL_KEYS or not edge.op.maps_done:
        return IDLE
    if hopeless:
        return RUN if edge.wanted is RESULT else IDLE
    if edge.tally.defined < len(edge.inputs) or edge.level >= edge.wanted:
        return IDLE
    return UNMATCHED if edge.tally.unmatched else OPEN


def _ask_for_more(edge: EdgeState, item: InputState, mode: Mode, effects: list[Effect]) -> None:
    """Ask one input for the next level, and for its content where that counts."""
    if mode is RUN:
        ask(item, RESULT, effects)
        _ask_content(edge, item, effects)
    elif mode is OPEN or not (item.matches or item.crowds):
        if item.source.level < ALL_KEYS:
            ask(item, ALL_KEYS, effects)
        elif item.keying.content is not None:
            ask(item, RESULT, effects)
            _ask_content(edge, item, effects)


def _ask_content(edge: EdgeState, item: InputState, effects: list[Effect]) -> None:
    if item.content_known or item.source.level is not RESULT:
        return
    if item.content_asked:
        return
    if item.keying.content is not None or item.keying.prepare is not None:
        item.content_asked = True
        edge.contents_asked += 1
        effects.append(AskContent(item.index))
