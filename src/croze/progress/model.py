"""What is known of a build while its status comes in: vertices, their progress and their logs.

Source of the rules: BuildKit `util/progress/progressui/display.go`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct, field

from croze.gotypes.moments import nanoseconds
from croze.progress.intervals import Interval, merge

if TYPE_CHECKING:
    from croze.api import control_pb2

CANCELED = "context canceled"
TAIL_LINES = 10
"""How much of a failed step's log the plain display repeats."""
SCREEN_LINES = 6
"""How much of a running step's log the interactive display shows."""
KEPT_LINES = 1000
"""How much of a step's log it keeps, to print if the step fails."""


class ProgressBar(Struct):
    """A progress bar of a vertex."""

    id: str
    current: int = 0
    total: int = 0
    timestamp: int = 0
    started: int | None = None
    completed: int | None = None


class ShownVertex(Struct):
    """A vertex, or a group of them that shows as one."""

    digest: str
    name: str = ""
    cached: bool = False
    error: str = ""
    hidden: bool = False
    index: int = 0
    """Its number in the plain display, from 1; 0 until it is first printed."""
    statuses: list[ProgressBar] = field(default_factory=list)
    """The statuses that have started, in that order."""
    by_id: dict[str, ProgressBar] = field(default_factory=dict)
    changed_statuses: set[str] = field(default_factory=set)
    logs: list[bytes] = field(default_factory=list)
    """Lines that are not printed yet, each with its time."""
    logs_partial: bool = False
    """The last line has no end yet."""
    logs_offset: int = 0
    """How much of the first line is printed."""
    tail: deque[bytes | None] = field(default_factory=lambda: deque([None] * TAIL_LINES))
    """A ring of the lines printed last; the first is the next to be overwritten."""
    screen: Screen | None = None
    warnings: list[control_pb2.VertexWarning] = field(default_factory=list)
    warnings_printed: int = 0
    intervals: dict[int, Interval] = field(default_factory=dict)
    merged: list[Interval] = field(default_factory=list)
    count: int = 0
    """Events since it was last shown, and since when."""
    counted_since: float = 0.0
    seen: tuple[object, ...] | None = None

    @property
    def started(self) -> bool:
        return bool(self.merged)

    @property
    def completed(self) -> bool:
        return bool(self.merged) and self.merged[-1].stop is not None

    @property
    def logged(self) -> int:
        """How many bytes the vertex's screen has been written, if it has one."""
        return self.screen.written if self.screen else 0

    @property
    def canceled(self) -> bool:
        return self.error.endswith(CANCELED)

    @property
    def failed(self) -> bool:
        return bool(self.error) and not self.canceled

    def note(self) -> None:
        if self.count == 0:
            self.counted_since = time.monotonic()
        self.count += 1

    def ran(self, start: int, stop: int | None) -> None:
        self.intervals[start] = Interval(start, stop)
        self.merged = merge(self.intervals.values())

    def seconds(self, now: int) -> float:
        """How long it has run at `now`, which is in nanoseconds; times that overlap count once."""
        return sum(interval.seconds(now) for interval in self.merged)


class VertexGroup(Struct):
    """Vertices that show as one."""

    shown: ShownVertex
    members: dict[str, control_pb2.Vertex] = field(default_factory=dict)

    def refresh(self) -> bool:
        """Take over from the members; whether anything is different."""
        before = (self.shown.cached, self.shown.error, self.shown.hidden, len(self.shown.merged))
        runs = dict(self.shown.intervals)
        self.shown.cached = all(member.cached for member in self.members.values())
        for member in self.members.values():
            if member.HasField("started"):
                start, stop = _span(member)
                self.shown.intervals[start] = Interval(start, stop)
                self.shown.hidden = self.shown.hidden and member.progressGroup.weak
            if member.error:
                self.shown.hidden = False
                self.shown.error = self.shown.error or member.error
        self.shown.merged = merge(self.shown.intervals.values())
        after = (self.shown.cached, self.shown.error, self.shown.hidden, len(self.shown.merged))
        return before != after or runs != self.shown.intervals


def _span(vertex: control_pb2.Vertex) -> tuple[int, int | None]:
    stop = nanoseconds(vertex.completed) if vertex.HasField("completed") else None
    return nanoseconds(vertex.started), stop


class Trace:
    """Everything a display may show."""

    def __init__(self, *, screens: bool = False) -> None:
        self.by_digest: dict[str, ShownVertex] = {}
        self.vertices: list[ShownVertex] = []
        """The vertices that have started, in that order."""
        self.running: dict[str, ShownVertex] = {}
        """The vertices that have started and not ended."""
        self.updates: dict[str, None] = {}
        """What has changed since it was last printed."""
        self.groups: dict[str, VertexGroup] = {}
        self.start: int | None = None
        self.clock_offset = 0
        """How far this clock is ahead of the daemon's."""
        self._screens = screens

    def now(self) -> int:
        """The time by the daemon's clock."""
        return time.time_ns() - self.clock_offset

    def shown(self) -> list[ShownVertex]:
        """All vertices that count: groups once, hidden ones not."""
        distinct = {id(v): v for v in self.by_digest.values() if not v.hidden}
        return list(distinct.values())

    def update(self, status: control_pb2.StatusResponse) -> None:
        touched: dict[str, None] = {}
        for vertex in status.vertexes:
            if vertex.HasField("progressGroup"):
                touched[self._add_member(vertex)] = None
            else:
                self._add_vertex(vertex)
        for id in touched:
            self._refresh_group(self.groups[id])
        for state in status.statuses:
            self._add_status(state)
        for warning in status.warnings:
            self._add_warning(warning)
        for log in status.logs:
            self._add_log(log)

    def _touch(self, vertex: ShownVertex) -> None:
        self.updates[vertex.digest] = None
        vertex.note()

    def _note_running(self, vertex: ShownVertex) -> None:
        if vertex.started and not vertex.completed:
            self.running[vertex.digest] = vertex
        else:
            self.running.pop(vertex.digest, None)

    def _new(self, digest: str, name: str, *, hidden: bool = False) -> ShownVertex:
        screen = Screen() if self._screens else None
        return ShownVertex(digest, name, hidden=hidden, screen=screen)

    def _begin(self, vertex: ShownVertex) -> None:
        if self.start is None:
            self.start = vertex.merged[0].start
            self.clock_offset = time.time_ns() - self.start
        self.vertices.append(vertex)

    def _add_vertex(self, message: control_pb2.Vertex) -> None:
        vertex = self.by_digest.get(message.digest)
        if vertex is None:
            vertex = self.by_digest[message.digest] = self._new(message.digest, message.name)
        if not message.HasField("started"):
            # A vertex that has started may be announced again by a second load of the graph.
            if not vertex.started:
                vertex.name, vertex.error = message.name, message.error
            return
        was_started = vertex.started
        vertex.name = message.name
        vertex.cached, vertex.error = message.cached, message.error
        start, stop = _span(message)
        vertex.ran(start, stop)
        self._note_running(vertex)
        seen = (message.name, start, stop, message.cached, message.error)
        if seen != vertex.seen:
            vertex.seen = seen
            self._touch(vertex)
        if not was_started:
            self._begin(vertex)

    def _add_member(self, message: control_pb2.Vertex) -> str:
        about = message.progressGroup
        group = self.groups.get(about.id)
        if group is None:
            shown = self._new(about.id, about.name, hidden=True)
            group = self.groups[about.id] = VertexGroup(shown)
            self.by_digest[about.id] = shown
        group.members[message.digest] = message
        self.by_digest[message.digest] = group.shown
        return about.id

    def _refresh_group(self, group: VertexGroup) -> None:
        was_hidden = group.shown.hidden
        changed = group.refresh()
        if group.shown.hidden:
            return
        self._note_running(group.shown)
        if was_hidden:
            self._begin(group.shown)
        if changed:
            self._touch(group.shown)

    def _add_status(self, message: control_pb2.VertexStatus) -> None:
        vertex = self.by_digest.get(message.vertex)
        if vertex is None:
            return
        status = vertex.by_id.setdefault(message.ID, ProgressBar(message.ID))
        started = nanoseconds(message.started) if message.HasField("started") else None
        if started is not None and status.started is None:
            vertex.statuses.append(status)
        status.current, status.total = message.current, message.total
        status.timestamp = nanoseconds(message.timestamp)
        status.started = started
        status.completed = nanoseconds(message.completed) if message.HasField("completed") else None
        vertex.changed_statuses.add(message.ID)
        self._touch(vertex)

    def _add_warning(self, message: control_pb2.VertexWarning) -> None:
        vertex = self.by_digest.get(message.vertex)
        if vertex is not None:
            vertex.warnings.append(message)
            vertex.note()

    def _add_log(self, message: control_pb2.VertexLog) -> None:
        vertex = self.by_digest.get(message.vertex)
        if vertex is None:
            return
        if vertex.screen is not None:
            vertex.screen.write(message.msg)
        elapsed_s = 0.0
        if vertex.merged:
            elapsed_s = (nanoseconds(message.timestamp) - vertex.merged[-1].start) / 1e9
        lines = message.msg.split(b"\n")
        complete = message.msg.endswith(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines):
            if number == 0 and vertex.logs_partial and vertex.logs:
                vertex.logs[-1] += line
            else:
                vertex.logs.append(_stamp(elapsed_s) + line)
        vertex.logs_partial = not complete
        if self._screens and len(vertex.logs) > 2 * KEPT_LINES:
            del vertex.logs[:-KEPT_LINES]
        self._touch(vertex)


def _stamp(elapsed_s: float) -> bytes:
    digits = 3 if elapsed_s < 10 else 2 if elapsed_s < 100 else 1
    return b"%.*f " % (digits, elapsed_s)


class Screen:
    """The last lines a step has written, as a small terminal would show them."""

    def __init__(self) -> None:
        self.written = 0
        self._lines: deque[str] = deque([""], maxlen=SCREEN_LINES * 20)

    def write(self, data: bytes) -> None:
        self.written += len(data)
        text = _without_escapes(data.decode(errors="replace"))
        for part in text.replace("\r\n", "\n").split("\n"):
            self._lines[-1] = _overwritten(self._lines[-1] + part)
            self._lines.append("")
        self._lines.pop()

    def lines(self, count: int) -> list[str]:
        """The last lines that are not empty, `count` at most."""
        lines = (line.rstrip("\r").replace("\t", "    ") for line in self._lines)
        return [line for line in lines if line.strip()][-count:]


def _overwritten(line: str) -> str:
    """What is left of a line in which carriage returns begin anew; one at its end waits."""
    waiting = "\r" if line.endswith("\r") else ""
    return line.rstrip("\r").rpartition("\r")[2] + waiting


def _without_escapes(text: str) -> str:
    """Text without ANSI sequences and other control characters but line ends."""
    import re

    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])", "", text)
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text)
