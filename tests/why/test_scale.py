"""Explanations of builds of many steps: twice as many are twice the work, counted in calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from croze.why.explainer import ExplainedStep, Explainer
from croze.why.record import RecordedBuild, StepInput
from tests.support.work import calls_of
from tests.why.recorded import build, compare, nothing_gone, run, step


def in_a_row(size: int, first: str, *, outcome: str = "ran", inputs: int = 1) -> RecordedBuild:
    """Steps of one stage, each on the one before; `first` is what all of them rest on."""
    steps = [step(f"[a 1/{size}] RUN {first}", run(args=first), identity=first, outcome=outcome)]
    for number in range(1, size):
        text = f"[a {number + 1}/{size}] RUN {number % 7}"
        last = "ran" if number == size - 1 else outcome
        below = (StepInput(number - 1),) * inputs
        identity = f"{first} {number}"
        steps.append(step(text, run(args=f"{number}"), *below, outcome=last, identity=identity))
    return build(*steps, ref=first)


def explained(now: RecordedBuild, old: RecordedBuild) -> Sequence[ExplainedStep]:
    explainer = Explainer(now, [old], compare, nothing_gone)
    return [explainer.explain(one) for one in now.steps if one.outcome == "ran"]


def all_ran(size: int) -> Sequence[ExplainedStep]:
    return explained(in_a_row(size, "new"), in_a_row(size, "old"))


def last_ran(size: int) -> Sequence[ExplainedStep]:
    """What it rests on was found, by two ways each, and is not what it was."""
    now, old = (in_a_row(size, name, outcome="cached", inputs=2) for name in ("new", "old"))
    return explained(now, old)


@pytest.mark.parametrize("work", [all_ran, last_ran])
def test_twice_as_many_steps(work: Callable[[int], Sequence[ExplainedStep]]) -> None:
    few, many = calls_of(lambda: work(300)), calls_of(lambda: work(1200))
    assert many < few * 4 * 1.1


def test_the_reason_is_at_the_bottom() -> None:
    *_, last = last_ran(2000)
    assert [(r.kind, r.old, r.new) for r in last.reasons] == [("instruction", "RUN old", "RUN new")]
    first, second, *_ = all_ran(3)
    assert (first.reasons[0].kind, second.reasons[0].kind) == ("instruction", "parent")
