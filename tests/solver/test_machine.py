"""Machines in any order of events: no invariant breaks, nothing hangs, nothing is left behind."""

from __future__ import annotations

from random import Random

import pytest

from croze.solver.levels import Level
from tests.solver.arithmetic import Number
from tests.solver.machines import Build, Simulation
from tests.solver.nodes import Node
from tests.solver.plans import FIRST, FUZZ

SEEDS = FUZZ * 1000


def any_plan(die: Random) -> list[Node]:
    plan: list[Node] = []
    trouble = die.choice([0.0, 0.0, 0.1])
    for number in range(die.randint(1, 7)):
        count = die.randint(0, min(number, 3))
        inputs = tuple((die.randrange(number), die.choice([0, 0, 1])) for _ in range(count))
        add = die.randint(0, 2)
        name = "twin" if die.random() < 0.5 else f"v{number}"
        some = frozenset(i for i in range(count) if die.random() < 0.4)
        plan.append(
            Node(
                inputs,
                add,
                f"{name}+{add}/{count}",
                maps=die.choice([1, 1, 2]),
                by_content=some,
                prepared=frozenset(i for i in range(count) if die.random() < 0.2),
                forced=die.random() < 0.2,
                fails=trouble,
            )
        )
    return plan


def any_top(die: Random, plan: list[Node]) -> tuple[int, int]:
    return max(die.randrange(len(plan)), die.randrange(len(plan))), die.choice([0, 0, 1])


def live(seed: int) -> Simulation:
    """A life of a few builds, some given up."""
    die = Random(seed)
    plan = any_plan(die)
    graph, builds = Simulation(plan, die), list[Build]()
    for _ in range(die.randint(1, 6)):
        builds.append(graph.begin(any_top(die, plan)))
        for _ in range(die.choice([0, 3, 10, 40, 400])):
            graph.move_one()
            end_finished(graph, builds)
            if builds and graph.chance(0.02):
                graph.leave(builds.pop(die.randrange(len(builds))))
        if graph.chance(0.3):
            graph.lose_something()
    for _ in range(10_000):
        if not graph.move_one():
            break
        end_finished(graph, builds)
    assert builds == [], f"these hang: {[build.top for build in builds]}"
    while graph.move_one():
        pass
    return graph


def end_finished(graph: Simulation, builds: list[Build]) -> None:
    for build in list(builds):
        assert build.edge is not None
        state = build.edge.state
        if state.finished:
            builds.remove(build)
            if state.result is not None:
                assert isinstance(state.result, Number)
                assert state.result.value == graph.value(*build.top)
            else:
                assert any(node.fails for node in graph.plan)
            graph.leave(build)


@pytest.mark.timeout(120 * FUZZ)
def test_any_order_of_events() -> None:
    ran = 0
    for seed in range(FIRST, FIRST + SEEDS):
        try:
            graph = live(seed)
            assert graph.broken == []
            assert graph.results.handles == 0, "handles left"
            assert graph.vertices == {}
            assert len(graph.in_flight) == 0
        except Exception as err:
            raise AssertionError(f"CROZE_SEED={seed}: {err}") from err
        ran += len(graph.ran)
    assert ran > SEEDS, "the lives are worth living"


def test_a_quiet_build_reaches_its_result() -> None:
    graph = Simulation([Node(add=1), Node(((0, 0),), 2, "two")], Random(1))
    build = graph.begin((1, 0))
    while graph.move_one():
        pass
    assert build.edge is not None
    assert build.edge.state.level is Level.RESULT
    assert graph.ran == [0, 1]
