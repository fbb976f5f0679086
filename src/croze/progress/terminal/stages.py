"""The steps of a build by the stage that their names put them in.

A step's name is `[STAGE N/M] text`, `[internal] text`, or text alone; with several platforms or
targets these stand before the stage (BuildKit `frontend/dockerfile/dockerfile2llb`, buildx
`util/progress`). Steps without a stage are stages of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from croze.progress.intervals import Interval, merge
from croze.progress.model import ShownVertex

_PLACE = re.compile(r"\d+/\d+")
NAMELESS = "steps"
"""The name of the only stage of a Dockerfile, whose steps are `[N/M] text`."""


class StageStep(Struct, frozen=True):
    """A vertex as a line below its stage."""

    vertex: ShownVertex
    label: str


class StageProgress(Struct):
    """Steps of the same stage, in the order in which they began."""

    name: str
    steps: list[StageStep] = field(default_factory=list)
    waiting: int = 0
    """Steps that have not begun."""

    @property
    def alone(self) -> bool:
        """Whether it is one step that needs no heading."""
        return len(self.steps) == 1 and not self.waiting

    @property
    def running(self) -> list[StageStep]:
        return [step for step in self.steps if not step.vertex.completed]

    @property
    def ended(self) -> list[StageStep]:
        return [step for step in self.steps if step.vertex.completed]

    @property
    def failed(self) -> bool:
        return any(step.vertex.failed for step in self.steps)

    @property
    def canceled(self) -> bool:
        return any(step.vertex.canceled for step in self.steps)

    @property
    def cached(self) -> int:
        return sum(step.vertex.cached for step in self.steps)

    @property
    def intervals(self) -> Sequence[Interval]:
        """The times in which at least one of the steps ran."""
        return merge(interval for step in self.steps for interval in step.vertex.merged)


def by_stage(
    started: Iterable[ShownVertex], vertices: Iterable[ShownVertex]
) -> list[StageProgress]:
    """The stages of which a step has begun, in the order of their first steps."""
    stages: dict[str, StageProgress] = {}
    for vertex in started:
        name, label = placed(vertex.name)
        key = name or f"\0{vertex.digest}"
        stages.setdefault(key, StageProgress(name)).steps.append(StageStep(vertex, label))
    for vertex in vertices:
        stage = stages.get(placed(vertex.name)[0])
        if stage is not None and not vertex.started:
            stage.waiting += 1
    return list(stages.values())


def placed(name: str) -> tuple[str, str]:
    """The stage a step's name puts it in, empty if none, and what is left of the name."""
    head, bracket, text = name.partition("] ")
    if not (bracket and head.startswith("[") and "]" not in head):
        return "", name
    words = head[1:].rsplit(maxsplit=1)
    if not (words and _PLACE.fullmatch(words[-1]) and head.endswith(words[-1])):
        return head[1:].strip(), text
    stage = words[0].strip() if len(words) > 1 else ""
    return stage or NAMELESS, f"{words[-1]} {text}"
