"""A build's status as Docker's classic builder told it: `Step n/m : …`, ` ---> …`. Pure.

Source: moby `builder/dockerfile`. Steps are told in the Dockerfile's order, whatever order they run
in. Instructions that do no work of their own take the fate of those around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from croze.api import control_pb2
from croze.dockerfile.instructions import Add, Copy, Instruction, Run, Stage, Workdir, parse_stages
from croze.dockerfile.lint import Linter
from croze.dockerfile.parser import parse
from croze.engineapi.lines import Line
from croze.errors import InvalidRequest

_NAME = re.compile(r"\[([^\]]*?)\s*(\d+)/\d+\] (.*)", re.DOTALL)
_DIGEST = re.compile(r"@sha256:([0-9a-f]{12})")
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
_STDERR = 2
_WORK = (Add, Copy, Run, Workdir)


class ClassicStep(Struct, frozen=True):
    """One instruction. `place` says which of its stage's steps in progress it is; 0 for none."""

    text: str
    stage: str
    place: int = 0
    runs: bool = False
    base: bool = False


class _Fate(Struct):
    """What the status says of a step."""

    id: str
    started: bool = False
    completed: bool = False
    cached: bool = False
    running: bool = False
    """Whether it was told that it runs."""
    log_lines: list[str] = field(default_factory=list)


def steps_of(dockerfile: bytes, target: str, labels: Sequence[str] = ()) -> list[ClassicStep]:
    """The steps of the stages that the target needs. Raises `InvalidRequest`."""
    stages, meta = parse_stages(parse(dockerfile).ast, Linter())
    needed = _needed(stages, target)
    steps = [ClassicStep(arg.original, "") for arg in meta]
    several = len(stages) > 1 or any(_external(stages))
    for number in needed:
        stage = stages[number]
        name = (stage.name or f"stage-{number}") if several else ""
        steps += _of_stage(stage, name, pulled=_is_image(stage, stages[:number]))
    if labels:
        steps.append(ClassicStep(" ".join(["LABEL", *labels]), steps[-1].stage if steps else ""))
    return steps


def _of_stage(stage: Stage, name: str, *, pulled: bool) -> Iterator[ClassicStep]:
    place = int(pulled)
    yield ClassicStep(stage.original, name, place, base=True)
    for instruction in stage.instructions:
        work = isinstance(instruction, _WORK)
        place += work
        runs = isinstance(instruction, Run)
        yield ClassicStep(instruction.original, name, place if work else 0, runs=runs)


def _is_image(stage: Stage, before: Sequence[Stage]) -> bool:
    return stage.base != "scratch" and stage.base.lower() not in {each.name for each in before}


def _needed(stages: Sequence[Stage], target: str) -> list[int]:
    """The numbers of the stages that the target is made of. A base that has variables may be any:
    all before it are taken."""
    last = _find(stages, target) if target else len(stages) - 1
    if last is None:
        raise InvalidRequest(f"failed to reach build target {target} in Dockerfile")
    waiting, needed = [last], set[int]()
    while waiting:
        number = waiting.pop()
        if number in needed or number < 0:
            continue
        needed.add(number)
        for name in _sources(stages[number]):
            other = _find(stages[:number], name)
            if other is not None:
                waiting.append(other)
            elif "$" in name:
                waiting += range(number)
    return sorted(needed)


def _find(stages: Sequence[Stage], name: str) -> int | None:
    for number in reversed(range(len(stages))):
        if stages[number].name and stages[number].name == name.lower():
            return number
    return int(name) if name.isdecimal() and int(name[:9]) < len(stages) else None


def _sources(stage: Stage) -> Iterator[str]:
    yield stage.base
    for instruction in stage.instructions:
        yield from _froms(instruction)


def _froms(instruction: Instruction) -> Iterator[str]:
    if isinstance(instruction, Copy) and instruction.from_:
        yield instruction.from_
    if isinstance(instruction, Run):
        yield from (mount.from_ for mount in instruction.mounts if mount.from_)


def _external(stages: Sequence[Stage]) -> Iterator[str]:
    """Images that files are taken from: with one of them the only stage has a name, too."""
    for number, stage in enumerate(stages):
        for instruction in stage.instructions:
            for name in _froms(instruction):
                if _find(stages[:number], name) is None:
                    yield name


class StepLines:
    """Takes status messages, gives lines."""

    def __init__(self, steps: Sequence[ClassicStep], *, rm: bool = True) -> None:
        self._steps = list(steps)
        self._rm = rm
        self._places = {(s.stage, s.place): n for n, s in enumerate(steps) if s.place}
        self._fates: dict[int, _Fate] = {}
        self._vertices: dict[str, int] = {}
        self._head = 0
        self._announced = -1

    def feed(self, status: control_pb2.StatusResponse) -> list[Line]:
        """Take in a message of status; the lines that there are to tell now."""
        for vertex in status.vertexes:
            self._vertex(vertex)
        for log in status.logs:
            if (fate := self._fates.get(self._vertices.get(log.vertex, -1))) is not None:
                text = log.msg.decode(errors="replace")
                fate.log_lines.append(f"{_RED}{text}{_PLAIN}" if log.stream == _STDERR else text)
        return [{"stream": text} for text in self._tell(over=False)]

    def end(self) -> list[Line]:
        """The lines that are left when the build has been done: what has not been told was not
        needed, or makes no step."""
        return [{"stream": text} for text in self._tell(over=True)]

    def _vertex(self, vertex: control_pb2.Vertex) -> None:
        if vertex.digest not in self._vertices:
            number = self._number(vertex.name)
            if number is None:
                return
            self._vertices[vertex.digest] = number
            pinned = _DIGEST.search(vertex.name) if self._steps[number].base else None
            id = pinned[1] if pinned else vertex.digest.partition(":")[2][:12]
            self._fates.setdefault(number, _Fate(id))
        fate = self._fates[self._vertices[vertex.digest]]
        fate.started |= vertex.HasField("started")
        fate.completed |= vertex.HasField("completed") and not vertex.error
        fate.cached |= vertex.cached

    def _number(self, name: str) -> int | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        words = [word for word in match[1].split() if "/" not in word]
        return self._places.get((words[-1] if words else "", int(match[2])))

    def _tell(self, *, over: bool) -> Iterator[str]:
        while self._head < len(self._steps):
            fate = self._fates.get(self._head)
            step = self._steps[self._head]
            if self._announced < self._head:
                self._announced = self._head
                yield f"Step {self._head + 1}/{len(self._steps)} : {step.text}"
                yield "\n"
            if fate is None:
                if not over and (step.place or self._judged(self._head) is None):
                    return
                if step.base:
                    yield " ---> \n"
                elif self._judged(self._head):
                    yield " ---> Using cache\n"
            else:
                yield from self._progress(fate, step)
                if not fate.completed:
                    return
                yield from self._done(fate, step)
            self._head += 1

    def _progress(self, fate: _Fate, step: ClassicStep) -> Iterator[str]:
        """What a step that has work says on its way."""
        if step.runs and fate.started and not (fate.cached or fate.running):
            fate.running = True
            yield f" ---> Running in {fate.id}\n"
        yield from fate.log_lines
        fate.log_lines.clear()

    def _done(self, fate: _Fate, step: ClassicStep) -> Iterator[str]:
        if fate.cached and not step.base:
            yield " ---> Using cache\n"
        elif step.runs and self._rm:
            yield f"Removing intermediate container {fate.id}\n"
        yield f" ---> {fate.id}\n"

    def _judged(self, number: int) -> bool | None:
        """Whether an instruction without work was cached: as the next one with work in its stage,
        or else the last one. None as long as that is not known."""
        step = self._steps[number]
        if step.base or (not step.stage and self._before_stages(number)):
            return False
        mates = [n for n, s in enumerate(self._steps) if s.stage == step.stage and s.place]
        mates = [n for n in mates if not self._steps[n].base]
        after = [n for n in mates if n > number]
        decisive = after[0] if after else mates[-1] if mates else None
        if decisive is None:
            return False
        fate = self._fates.get(decisive)
        return fate.cached if fate is not None and (fate.completed or fate.started) else None

    def _before_stages(self, number: int) -> bool:
        return not any(step.base for step in self._steps[: number + 1])
