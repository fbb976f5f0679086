"""The table of a plan."""

from __future__ import annotations

from croze.why.plan import CACHED, RUN, Planned, PlannedSteps, as_text


def test_steps_of_several_platforms_are_told_apart() -> None:
    steps = (
        Planned("[base 2/2] RUN x", CACHED, 3, "linux/amd64"),
        Planned("[base 2/2] RUN x", RUN, 3, "linux/arm64"),
        Planned("[linux/arm64 base 1/2] COPY a b", CACHED, 2, "linux/arm64"),
        Planned("[other 1/1] RUN y", CACHED, 5, "linux/amd64"),
    )
    table = as_text(PlannedSteps(steps))
    assert [line.partition("  ")[0] for line in table.splitlines()[1:5]] == [
        "[linux/amd64 base 2/2] RUN x",
        "[linux/arm64 base 2/2] RUN x",
        "[linux/arm64 base 1/2] COPY a b",
        "[other 1/1] RUN y",
    ]
