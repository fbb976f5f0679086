"""`step` as a function: records, runs, failures; how an edge comes to its end."""

from __future__ import annotations

import pytest

from croze.cachekeys.contract import KeyLink
from croze.errors import CrozeError
from croze.solver.effects import (
    FOLLOW,
    NOTIFY,
    SAVE,
    SHARE,
    STOP,
    UNFOLLOW,
    Ask,
    Effect,
    Execute,
    Forget,
    Load,
    Release,
)
from croze.solver.events import (
    Changed,
    Failed,
    Happened,
    Loaded,
    Named,
    NotLoaded,
    Saved,
    Shared,
    Wants,
)
from croze.solver.levels import (
    ALL_KEYS,
    DEFINITION_KEYS,
    NOTHING,
    RESULT,
)
from croze.solver.state import EdgeState, Equals
from croze.solver.step import step
from tests.solver.play import RESULTS, machine, play, record, said, source

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
    signature = (frozenset({(KeyLink(0, 0, "sha256:op"), "a")}),)
    assert repr(done[-2 if done[-1] is NOTIFY else -1]) == repr(
        Execute(signature, signature, False)
    )


def test_a_forced_input_is_told_apart() -> None:
    edge = ready_edge(forced_input=True)
    (run,) = [each for each in play(edge, Wants(RESULT)) if isinstance(each, Execute)]
    assert run.forced
    assert run.identity != run.signature
    assert run.signature == (frozenset({(KeyLink(0, 0, "sha256:op"), "a")}),)


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


@pytest.mark.parametrize("is_known", [False, True])
def test_an_input_that_fails_fails_the_edge(is_known: bool) -> None:
    edge = machine(source(NOTHING, error=CrozeError("no")), is_known=is_known)
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
