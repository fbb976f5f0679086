"""`step` as a function: what it asks for, and how it advances."""

from __future__ import annotations

import pytest

from croze.cachekeys.contract import KeyLink
from croze.solver.effects import (
    ASK_MAP,
    LEAVE_MAP,
    NOTIFY,
    Ask,
    AskContent,
    Connect,
    Effect,
    Load,
)
from croze.solver.events import (
    Changed,
    Wants,
)
from croze.solver.inputs import all_keys
from croze.solver.levels import (
    ALL_KEYS,
    DEFINITION_KEYS,
    IDLE,
    NOTHING,
    OPEN,
    RESULT,
    RUN,
    UNMATCHED,
    Level,
    Mode,
)
from croze.solver.state import EdgeState
from croze.solver.step import step
from tests.solver.play import KEYED, PREPARED, machine, play, record, said, source

# What is asked first


def test_who_is_wanted_asks_its_inputs_and_its_op() -> None:
    edge = machine(source(NOTHING), source(NOTHING), is_known=False)
    assert said(play(edge, Wants(DEFINITION_KEYS))) == said(
        [Ask(0, DEFINITION_KEYS), Ask(1, DEFINITION_KEYS), ASK_MAP]
    )
    assert play(edge) == [], "once"


def test_who_is_not_wanted_does_nothing() -> None:
    assert play(machine(source(NOTHING))) == []


def test_who_is_wanted_no_more_lets_go_and_keeps_what_it_knows() -> None:
    edge = machine(source(DEFINITION_KEYS, "a"), is_known=False)
    play(edge, Wants(RESULT))
    assert said(play(edge, Wants(NOTHING))) == said([LEAVE_MAP, Ask(0, NOTHING)])
    edge = machine(source(DEFINITION_KEYS, "a"))
    play(edge, Wants(DEFINITION_KEYS), leads={"a": ["k"]})
    assert said(play(edge, Wants(NOTHING))) == said([Ask(0, NOTHING)])
    assert (edge.keys, edge.level) == (["k"], ALL_KEYS)


# Levels

LEVELS: list[tuple[str, list[EdgeState], list[str], dict[str, list[str]], Level]] = [
    ("an input is not known yet", [source(NOTHING)], [], {}, NOTHING),
    ("one of two", [source(DEFINITION_KEYS), source(NOTHING)], [], {}, NOTHING),
    ("definition keys", [source(DEFINITION_KEYS, "a")], [], {}, DEFINITION_KEYS),
    ("a match", [source(DEFINITION_KEYS, "a")], [], {"a": ["k"]}, ALL_KEYS),
    (
        "a match of one of two",
        [source(DEFINITION_KEYS, "a"), source(DEFINITION_KEYS, "b")],
        [],
        {"a": ["k"]},
        DEFINITION_KEYS,
    ),
    ("no match any more", [source(ALL_KEYS, "a")], [], {}, ALL_KEYS),
    ("content may match", [source(ALL_KEYS, "a")], [KEYED], {}, DEFINITION_KEYS),
    (
        "one is dead",
        [source(ALL_KEYS, "a"), source(NOTHING)],
        [],
        {},
        ALL_KEYS,
    ),
]


@pytest.mark.parametrize(
    ("sources", "keyings", "leads", "level"),
    [row[1:] for row in LEVELS],
    ids=[r[0] for r in LEVELS],
)
def test_levels(
    sources: list[EdgeState], keyings: list[str], leads: dict[str, list[str]], level: Level
) -> None:
    edge = machine(*sources, keyings=keyings)
    play(edge, Wants(DEFINITION_KEYS), leads=leads)
    assert edge.level is level


def test_forced_edges_have_no_keys_and_look_nothing_up() -> None:
    edge = machine(source(ALL_KEYS, "a"), forced=True)
    assert step(edge, [Wants(DEFINITION_KEYS)])[-1] is NOTIFY
    assert (edge.keys, edge.level) == ([], ALL_KEYS)


# Digging

MODES: list[tuple[str, list[EdgeState], list[str], dict[str, list[str]], Mode, list[Effect]]] = [
    ("no match yet", [source(DEFINITION_KEYS, "a")], [], {}, UNMATCHED, [Ask(0, ALL_KEYS)]),
    (
        "one matches, the other is asked",
        [source(DEFINITION_KEYS, "a"), source(DEFINITION_KEYS, "b")],
        [],
        {"a": ["k"]},
        UNMATCHED,
        [Ask(1, ALL_KEYS)],
    ),
    (
        "nothing in common: all are asked",
        [source(DEFINITION_KEYS, "a"), source(DEFINITION_KEYS, "b")],
        [],
        {"a": ["k"], "b": ["l"]},
        OPEN,
        [Ask(0, ALL_KEYS), Ask(1, ALL_KEYS)],
    ),
    (
        "content is all that is left",
        [source(ALL_KEYS, "a")],
        [KEYED],
        {},
        UNMATCHED,
        [Ask(0, RESULT)],
    ),
    (
        "content can be looked at",
        [source(RESULT, "a")],
        [KEYED],
        {},
        UNMATCHED,
        [Ask(0, RESULT), AskContent(0)],
    ),
    ("hopeless: results", [source(ALL_KEYS, "a")], [], {}, RUN, [Ask(0, RESULT)]),
    (
        "hopeless: results, and content to save with",
        [source(ALL_KEYS, "a"), source(RESULT, "b")],
        ["", KEYED],
        {},
        RUN,
        [Ask(0, RESULT), Ask(1, RESULT), AskContent(1)],
    ),
    (
        "hopeless: results, brought in",
        [source(RESULT, "a")],
        [PREPARED],
        {},
        RUN,
        [Ask(0, RESULT), AskContent(0)],
    ),
    ("an input is not known", [source(NOTHING)], [], {}, IDLE, []),
]


@pytest.mark.parametrize(
    ("sources", "keyings", "leads", "mode", "effects"),
    [row[1:] for row in MODES],
    ids=[row[0] for row in MODES],
)
def test_what_is_dug_for(
    sources: list[EdgeState],
    keyings: list[str],
    leads: dict[str, list[str]],
    mode: Mode,
    effects: list[Effect],
) -> None:
    edge = machine(*sources, keyings=keyings)
    done = play(edge, Wants(RESULT), leads=leads)
    first = [Ask(i, DEFINITION_KEYS) for i in range(len(sources))]
    assert said([each for each in done if each is not NOTIFY]) == said([*first, *effects])
    assert edge.mode is mode


def test_who_wants_keys_only_digs_for_nothing() -> None:
    edge = machine(source(DEFINITION_KEYS, "a"))
    done = play(edge, Wants(DEFINITION_KEYS))
    assert said(done) == said([Ask(0, DEFINITION_KEYS), NOTIFY])
    assert edge.mode is IDLE


# Content


def test_content_that_leads_to_a_key_connects_the_definition() -> None:
    edge = machine(source(RESULT, "a", "imported:x"), keyings=[KEYED])
    play(edge, Wants(RESULT))
    edge.op.contents[0] = "sha256:content"
    done = play(edge, Changed(0), leads={"content": ["k", "imported:y"]}, found=[record()])
    assert said(done[:1]) == said([Connect(KeyLink(0, 0, "sha256:op"), ["a"], ["k"])])
    assert edge.keys == ["k", "imported:y"]
    assert isinstance(done[-2], Load) or isinstance(done[-1], Load)


def test_keys_of_a_result_come_first_and_once() -> None:
    """Those that lead to it alone are not enough: others may have been found beside them."""
    assert all_keys(source(NOTHING, "a", "b")) == ("a", "b")
    assert all_keys(source(RESULT, "a", result_keys=("b", "a"))) == ("b", "a")
    assert all_keys(source(RESULT, "a", "c", result_keys=("b", "a"))) == ("b", "a", "c")
