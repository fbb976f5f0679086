"""`step` as a function: what it is told, what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from croze.cachekeys.contract import KeyLink, StoredResult
from croze.cachekeys.memory import MemoryKeys
from croze.errors import CrozeError
from croze.solver.caches import CacheSource, Record
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result
from croze.solver.effects import (
    ASK_MAP,
    FOLLOW,
    LEAVE_MAP,
    NOTIFY,
    SAVE,
    SHARE,
    STOP,
    UNFOLLOW,
    Ask,
    AskContent,
    Connect,
    Effect,
    Execute,
    FindEqual,
    Forget,
    Load,
    Look,
    LookByContent,
    LookForRoots,
    Release,
    Seek,
)
from croze.solver.events import (
    Changed,
    ContentLeads,
    Event,
    Failed,
    Found,
    Happened,
    IsEqual,
    Leads,
    Loaded,
    Named,
    NotLoaded,
    Rooted,
    Saved,
    Shared,
    Wants,
)
from croze.solver.inputs import InputState
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
from croze.solver.state import EdgeState, Equals, OpState, broken_invariants
from croze.solver.step import step
from tests.solver.arithmetic import Results

T0 = datetime(2024, 5, 1, tzinfo=UTC)
RESULTS = Results()
KEYED = "keyed by content"
PREPARED = "prepared"


async def content(result: Result, ctx: OpContext) -> str:
    raise AssertionError("nothing is done here")


async def prepare(result: Result, ctx: OpContext) -> None:
    raise AssertionError("nothing is done here")


KEYINGS = {
    "": InputKeying(),
    KEYED: InputKeying(content=content),
    PREPARED: InputKeying(prepare=prepare),
}


def source(level: Level, *keys: str, **state: object) -> EdgeState:
    """An edge that is somebody's input."""
    edge = EdgeState(OpState(0), 0, level=level, keys=list(keys))
    for name, value in state.items():
        setattr(edge, name, value)
    if level is RESULT:
        edge.result = RESULTS.make(1)
    return edge


def machine(
    *sources: EdgeState, keyings: Sequence[str] = (), known: bool = True, forced: bool = False
) -> EdgeState:
    """An edge with these inputs. `known`: its op has said its cache map."""
    op = OpState(len(sources), forced)
    if known:
        named = [*keyings, *[""] * (len(sources) - len(keyings))]
        op.maps.append(CacheMap("sha256:op", tuple(KEYINGS[name] for name in named)))
        op.maps_done = True
    inputs = tuple(InputState(i, each) for i, each in enumerate(sources))
    return EdgeState(op, 0, inputs)


def record(id: str = "r1", *, own: bool = True, day: int = 1) -> Record:
    caches = CacheSource(MemoryKeys(), RESULTS)
    return Record(StoredResult(id, T0.replace(day=day)), "key", caches, own)


def said(effects: Sequence[Effect]) -> list[str]:
    """Told apart, which tuples of nothing are not."""
    return [repr(effect) for effect in effects]


def play(
    edge: EdgeState,
    *events: Event,
    leads: Mapping[str, Sequence[str]] | None = None,
    found: Sequence[Record] = (),
    equals: Equals | None = None,
) -> list[Effect]:
    """Step, with answers to questions; returns what is to be done besides."""
    done: list[Effect] = []
    told: list[Event] = list(events)
    leads = leads or {}
    while True:
        answers: list[Event] = []
        for effect in step(edge, told):
            if isinstance(effect, Look):
                targets = [target for key in effect.keys for target in leads.get(key, ())]
                answers.append(Leads(effect.input, targets))
            elif isinstance(effect, LookByContent):
                link = KeyLink(effect.input, 0, "sha256:op")
                answers.append(ContentLeads(effect.input, [(link, leads.get("content", ()))]))
            elif isinstance(effect, LookForRoots):
                answers.append(Rooted(list(leads.get("roots", ()))))
            elif isinstance(effect, Seek):
                answers.append(Found(found))
            elif isinstance(effect, FindEqual):
                answers.append(IsEqual(equals or Equals()))
            else:
                done.append(effect)
                if effect is STOP:
                    edge.op.running.discard(edge.index)
        assert broken_invariants(edge) == []
        if not answers:
            return done
        told = answers


# What is asked first


def test_who_is_wanted_asks_its_inputs_and_its_op() -> None:
    edge = machine(source(NOTHING), source(NOTHING), known=False)
    assert said(play(edge, Wants(DEFINITION_KEYS))) == said(
        [Ask(0, DEFINITION_KEYS), Ask(1, DEFINITION_KEYS), ASK_MAP]
    )
    assert play(edge) == [], "once"


def test_who_is_not_wanted_does_nothing() -> None:
    assert play(machine(source(NOTHING))) == []


def test_who_is_wanted_no_more_lets_go_and_keeps_what_it_knows() -> None:
    edge = machine(source(DEFINITION_KEYS, "a"), known=False)
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


# Records


def found_edge() -> EdgeState:
    edge = machine(source(DEFINITION_KEYS, "a"))
    done = play(
        edge, Wants(RESULT), leads={"a": ["k"]}, found=[record("old"), record("new", day=2)]
    )
    assert said([Load(record("new", day=2))]) != said(done)
    loads = [each for each in done if isinstance(each, Load)]
    assert [each.record.stored.id for each in loads] == ["new"]
    assert Ask(0, NOTHING) in done, "nothing below is needed"
    return edge


def test_what_is_loaded_is_the_result() -> None:
    edge, result = found_edge(), RESULTS.make(5)
    assert said(play(edge, Loaded(result, "k2"))) == said([STOP, NOTIFY])
    assert (edge.level, edge.result, edge.keys) == (RESULT, result, ["k", "k2"])
    assert said(step(edge, [Happened.RETIRED])) == said([Release(result)])
    assert step(edge, [Happened.RETIRED]) == [], "once"


@pytest.mark.parametrize(("gone", "forgotten"), [(True, [Forget("new")]), (False, [])])
def test_what_can_not_be_loaded_is_passed_over(gone: bool, forgotten: list[Effect]) -> None:
    edge = found_edge()
    done = play(edge, NotLoaded(gone))
    assert said([each for each in done if isinstance(each, Forget)]) == said(forgotten)
    assert [each.record.stored.id for each in done if isinstance(each, Load)] == ["old"]
    done = play(edge, NotLoaded(gone), found=[record("old"), record("new")])
    assert [each for each in done if isinstance(each, Load)] == [], "both were tried"


def test_the_daemon_s_own_records_come_first() -> None:
    edge = machine(source(DEFINITION_KEYS, "a"))
    found = [record("mine"), record("theirs", own=False, day=9)]
    done = play(edge, Wants(RESULT), leads={"a": ["k"]}, found=found)
    assert [each.record.stored.id for each in done if isinstance(each, Load)] == ["mine"]


def test_what_comes_too_late_is_given_back() -> None:
    edge, late = found_edge(), RESULTS.make(5)
    step(edge, [Happened.RETIRED])
    assert said(step(edge, [Loaded(late, "k")])) == said([Release(late)])


def test_who_is_given_up_stops_loading_and_takes_what_comes_all_the_same() -> None:
    edge, result = found_edge(), RESULTS.make(5)
    assert said(play(edge, Wants(NOTHING))) == said([STOP])
    play(edge, Loaded(result, "k"))
    assert edge.result is result


# Running


def ready_edge(*, forced_input: bool = False, index: int = 0) -> EdgeState:
    edge = machine(source(RESULT, "a", forced=forced_input))
    edge.index = index
    return edge


def test_when_all_is_there_the_op_runs() -> None:
    edge = ready_edge()
    done = play(edge, Wants(RESULT))
    signature = (frozenset({(0, "sha256:op", "", "a")}),)
    assert repr(done[-2 if done[-1] is NOTIFY else -1]) == repr(
        Execute(signature, signature, False)
    )


def test_a_forced_input_is_told_apart() -> None:
    edge = ready_edge(forced_input=True)
    (run,) = [each for each in play(edge, Wants(RESULT)) if isinstance(each, Execute)]
    assert run.forced
    assert run.identity != run.signature
    assert run.signature == (frozenset({(0, "sha256:op", "", "a")}),)


def test_what_ran_is_saved() -> None:
    edge = ready_edge()
    play(edge, Wants(RESULT))
    assert edge.op.running == {0}
    edge.op.running.clear()
    edge.op.results = [RESULTS.make(7)]
    assert said(step(edge)) == said([SAVE])
    assert said(play(edge, Saved(("s",)))) == said([Ask(0, NOTHING), NOTIFY])
    assert (edge.result, edge.result_keys, edge.keys) == (edge.op.results[0], ("s",), ["s"])
    assert edge.owned == (), "it is the vertex's"


def test_an_output_that_was_not_made_is_an_error() -> None:
    edge = ready_edge(index=2)
    edge.op.results = [RESULTS.make(7)]
    play(edge, Wants(RESULT))
    assert "need 2 index but 1 results" in str(edge.error)


def test_a_key_that_was_saved_meanwhile_is_loaded() -> None:
    edge = ready_edge()
    done = play(edge, Wants(RESULT), equals=Equals(key="late"), found=[record()])
    assert not [each for each in done if isinstance(each, Execute)]
    assert [each for each in done if isinstance(each, Load)]
    edge = ready_edge()
    done = play(edge, Wants(RESULT), equals=Equals(key="late"))
    assert [each for each in done if isinstance(each, Execute)], "there was nothing under it"
    assert edge.keys == ["late"]


def test_who_does_the_same_is_followed() -> None:
    edge, leader = ready_edge(), source(NOTHING)
    done = play(edge, Wants(RESULT), equals=Equals(leader))
    assert said([each for each in done if each is FOLLOW]) == said([FOLLOW])
    assert play(edge) == [], "it waits"
    leader.result = RESULTS.make(3)
    assert said(step(edge)) == said([SHARE])
    mine = RESULTS.make(3)
    done = play(edge, Shared(mine, ["k"], forced=True))
    assert said(done) == said([UNFOLLOW, Ask(0, NOTHING), NOTIFY])
    assert (edge.forced, edge.owned, edge.leader) == (True, (mine,), None)


def test_who_is_given_up_leaves_its_leader() -> None:
    edge = ready_edge()
    play(edge, Wants(RESULT), equals=Equals(source(NOTHING)))
    assert said(play(edge, Wants(NOTHING))) == said([UNFOLLOW, Ask(0, NOTHING)])


def test_the_op_runs_for_whom_it_runs() -> None:
    edge = ready_edge()
    play(edge, Wants(RESULT))
    assert play(edge, Changed(0)) == []
    assert said(play(edge, Wants(NOTHING))) == said([STOP, Ask(0, NOTHING)])


def test_less_is_wanted() -> None:
    edge = ready_edge()
    play(edge, Wants(RESULT))
    assert said(play(edge, Wants(DEFINITION_KEYS))) == said([STOP, Ask(0, DEFINITION_KEYS)])


# Failing


@pytest.mark.parametrize("known", [False, True])
def test_an_input_that_fails_fails_the_edge(known: bool) -> None:
    edge = machine(source(NOTHING, error=CrozeError("no")), known=known)
    done = play(edge, Wants(RESULT))
    assert str(edge.error) == "no"
    assert done[-1] is NOTIFY
    assert play(edge) == [], "that is all"


def test_all_inputs_are_looked_at_again_after_a_failure() -> None:
    bad, good = source(DEFINITION_KEYS, "a", error=CrozeError("no")), source(NOTHING)
    edge = machine(bad, good)
    play(edge, Wants(DEFINITION_KEYS))
    good.keys, good.level = ["b"], DEFINITION_KEYS
    play(edge, Changed(1))
    bad.error = None
    play(edge, Happened.FORGIVEN, leads={"a": ["k"], "b": ["k"]})
    assert (edge.keys, edge.level, edge.error) == (["k"], ALL_KEYS, None)


def test_what_fails_outside_is_the_edge_s_error() -> None:
    edge = ready_edge()
    edge.op.results = [RESULTS.make(7)]
    assert SAVE in step(edge, [Wants(RESULT)])
    play(edge, Failed(CrozeError("disk full")))
    assert str(edge.error) == "disk full"
    edge = found_edge()
    play(edge, Loaded(RESULTS.make(5), "k"))
    play(edge, Failed(CrozeError("later")))
    assert edge.error is None, "who has a result has not failed"


def test_an_op_s_error_is_its_edges() -> None:
    edge = machine(source(NOTHING))
    edge.op.error = CrozeError("bad map")
    play(edge, Wants(DEFINITION_KEYS))
    assert edge.error is edge.op.error


# More caches


def test_more_caches_are_looked_into_with_all_that_is_known() -> None:
    edge = machine(source(DEFINITION_KEYS, "a"))
    play(edge, Wants(RESULT))
    done = play(edge, Happened.CACHES_GREW, leads={"a": ["imported:k"]}, found=[record(own=False)])
    assert edge.keys == ["imported:k"]
    assert [each for each in done if isinstance(each, Load)]


def test_a_source_that_runs_tells_of_keys_in_more_caches() -> None:
    edge = machine()
    play(edge, Wants(RESULT))
    edge.op.running.add(0)
    done = play(edge, Happened.CACHES_GREW, leads={"roots": ["root"]})
    assert edge.keys == ["root"]
    assert said(done) == said([NOTIFY])


def test_an_import_s_edge_gets_a_name_quietly() -> None:
    edge = machine(source(DEFINITION_KEYS, "a"))
    play(edge, Wants(DEFINITION_KEYS), leads={"a": ["imported:k"]})
    assert play(edge, Named("own")) == []
    assert edge.keys == ["imported:k", "own"]
