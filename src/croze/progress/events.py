"""A build's progress as values for programs: what the displays draw, one change at a time.

events = Events()
for status in recorded.read(file):
    for event in events.take(status):
        ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from croze.progress.model import ShownVertex, Trace
from croze.progress.terminal.stages import placed

if TYPE_CHECKING:
    from croze.api import control_pb2


class Step(Struct, frozen=True):
    """One step of a build. `name` is as the displays have it (`[build 2/4] RUN make`), `stage` the
    stage in it (`build`), empty for a step of none. `digest` tells steps of the same name apart."""

    digest: str
    name: str
    stage: str


class StepStarted(Struct, frozen=True):
    """A step runs, or is being looked up in the cache; one may start more than once."""

    step: Step


class StepDone(Struct, frozen=True):
    """A step has ended. `error` is empty if it succeeded; `cached`: there was nothing to do."""

    step: Step
    seconds: float
    cached: bool
    error: str

    @property
    def canceled(self) -> bool:
        """Whether the step was stopped rather than failed."""
        return self.error.endswith("context canceled")


class StepLog(Struct, frozen=True):
    """Output of a step, as it came: any bytes, not cut at line ends. `stream` is 1 for standard
    output, 2 for standard error."""

    step: Step
    data: bytes
    stream: int

    @property
    def text(self) -> str:
        """The output as UTF-8 text; other bytes become U+FFFD."""
        return self.data.decode(errors="replace")


class StepProgress(Struct, frozen=True):
    """What a step counts, such as the bytes of a layer: `total` is 0 if it is not known."""

    step: Step
    id: str
    current: int
    total: int
    done: bool


class BuildWarning(Struct, frozen=True):
    """What a linter or a frontend has to say. `line` of `file` is 0 if it is about none."""

    message: str
    detail: tuple[str, ...]
    url: str
    file: str
    line: int


Event: TypeAlias = StepStarted | StepDone | StepLog | StepProgress | BuildWarning
"""What going through a `Build` yields."""


class Events:
    """Turns status into events. `trace` is what is known so far."""

    def __init__(self) -> None:
        self.trace = Trace(screens=True)
        self._told: dict[int, tuple[int, bool]] = {}
        self._warned: set[BuildWarning] = set()

    def take(self, status: control_pb2.StatusResponse) -> Iterator[Event]:
        """What is new with a piece of status, in its order."""
        self.trace.update(status)
        for digest in dict.fromkeys(vertex.digest for vertex in status.vertexes):
            yield from self._changes(self.trace.by_digest[digest])
        for state in status.statuses:
            vertex = self._shown(state.vertex)
            if vertex is not None:
                is_completed = state.HasField("completed")
                yield StepProgress(
                    _step(vertex), state.ID, state.current, state.total, is_completed
                )
        for log in status.logs:
            vertex = self._shown(log.vertex)
            if vertex is not None and log.msg:
                yield StepLog(_step(vertex), log.msg, log.stream)
        for warning in map(_warning, status.warnings):
            if warning not in self._warned:
                self._warned.add(warning)
                yield warning

    def _shown(self, digest: str) -> ShownVertex | None:
        vertex = self.trace.by_digest.get(digest)
        return None if vertex is None or vertex.hidden else vertex

    def _changes(self, vertex: ShownVertex) -> Iterator[Event]:
        """Runs that have begun since it was last told of, and the end of the last."""
        if vertex.hidden or not vertex.started:
            return
        runs, completed = self._told.get(id(vertex), (0, False))
        if len(vertex.merged) > runs:
            yield StepStarted(_step(vertex))
            completed = False
        if vertex.completed and not completed:
            seconds = vertex.seconds(0)
            yield StepDone(_step(vertex), seconds, vertex.cached, vertex.error)
        self._told[id(vertex)] = (len(vertex.merged), vertex.completed)


def _step(vertex: ShownVertex) -> Step:
    return Step(vertex.digest, vertex.name, placed(vertex.name)[0])


def _warning(warning: control_pb2.VertexWarning) -> BuildWarning:
    return BuildWarning(
        warning.short.decode(errors="replace"),
        tuple(line.decode(errors="replace") for line in warning.detail),
        warning.url,
        warning.info.filename,
        warning.ranges[0].start.line if warning.ranges else 0,
    )
