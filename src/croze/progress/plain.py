"""The plain display: lines of text, the steps taking turns. Not for machines.

Source of the format: BuildKit `util/progress/progressui/printer.go`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO

from croze.files.terminals import for_terminals
from croze.gotypes.strings import from_bytes
from croze.progress import warnings
from croze.progress.limit import Limiter
from croze.progress.model import ProgressBar, ShownVertex, Trace
from croze.progress.size import format_progress

if TYPE_CHECKING:
    from croze.api import control_pb2

ANTI_FLICKER_S = 5.0
MAX_DELAY_S = 10.0
MIN_STATUS_NS = 5_000_000_000
MIN_STATUS_PART = 0.05
NAME_LENGTH = 72


class PlainDisplay:
    """Prints lines as things happen. `desc` is printed first, as step 0."""

    def __init__(self, out: BinaryIO, desc: str = "") -> None:
        self._out = for_terminals(out)
        self._desc = desc
        self._trace = Trace()
        self._limiter = Limiter()
        self._is_closed = False
        self._current = ""
        self._last: dict[str, tuple[int, int]] = {}
        self._first = True
        self._next_index = 0
        self._names_cut = os.environ.get("PROGRESS_NO_TRUNC") == "0"
        self.warnings = warnings.Warnings()

    def update(self, status: control_pb2.StatusResponse) -> None:
        self._trace.update(status)
        self.warnings.add(status.warnings)
        if self._limiter.allow():
            self.refresh()

    def refresh(self) -> None:
        self._print()
        self._out.flush()

    def close(self) -> None:
        """Print what is left, and the logs of what failed."""
        if self._is_closed:
            return
        self._is_closed = True
        self.refresh()
        print_failed_logs(self._trace, self._out)
        self._out.flush()

    # -- whose turn it is --

    def _print(self) -> None:
        completed, rest = self._changed()
        current = self._current
        if current in completed:
            self._print_vertex(current)
        for digest in completed:
            if digest != current:
                self._print_vertex(digest)
        if not rest:
            self._print_open(current)
            return
        if current in rest:
            self._print_vertex(current)
        following = self._next_turn(current, completed, rest)
        if following:
            self._print_vertex(following)

    def _changed(self) -> tuple[list[str], list[str]]:
        """Changed vertices: the completed ones as they ended, and the others."""
        updated = [
            self._trace.by_digest[d] for d in self._trace.updates if d in self._trace.by_digest
        ]
        shown = [vertex for vertex in updated if not vertex.hidden]
        completed = [vertex for vertex in shown if vertex.completed]
        completed.sort(key=lambda vertex: vertex.merged[-1].stop or 0)
        return [v.digest for v in completed], [v.digest for v in shown if not v.completed]

    def _print_open(self, current: str) -> None:
        """Nothing new that runs: show something that does, unless one is shown."""
        if current and _is_open(self._trace.by_digest[current]):
            return
        running = next(iter(self._trace.running), "")
        if running:
            self._print_vertex(running)

    def _next_turn(self, current: str, completed: list[str], rest: list[str]) -> str:
        """Who is shown instead of the current vertex, if anybody is."""
        now = time.monotonic()
        waiting: dict[str, float] = {}
        speed: dict[str, float] = {}
        for digest in dict.fromkeys([*rest, *([current] if current else [])]):
            vertex = self._trace.by_digest[digest]
            if vertex.counted_since:
                waiting[digest] = now - vertex.counted_since
                speed[digest] = vertex.count / max(waiting[digest], 1e-9)
        if not speed:
            return ""
        late = [d for d in speed if waiting[d] > MAX_DELAY_S and d != current]
        fastest = late[-1] if late else max(speed, key=lambda d: speed[d])
        if not current or current in completed:
            return fastest
        if late:
            return late[0]
        share = speed.get(current, 0.0) / (sum(speed.values()) or 1.0)
        patience = ANTI_FLICKER_S / (1.0 - share) if share < 1.0 else float("inf")
        return fastest if patience < waiting.get(current, 0.0) else ""

    # -- one vertex --

    def _line(self, text: str) -> None:
        self._out.write(text.encode(errors="surrogateescape") + b"\n")

    def _print_vertex(self, digest: str) -> None:
        vertex = self._trace.by_digest[digest]
        if not vertex.index:
            self._next_index += 1
            vertex.index = self._next_index
        if digest != self._current:
            self._switch_to(vertex)
        is_open = self._print_statuses(vertex)
        for warning in vertex.warnings[vertex.warnings_printed :]:
            self._line(f"#{vertex.index} WARN: {from_bytes(warning.short)}")
        vertex.warnings_printed = len(vertex.warnings)
        self._print_logs(vertex)
        self._current = digest
        if vertex.completed and not is_open:
            self._current = ""
            vertex.count = 0
            self._print_end(vertex)
        self._trace.updates.pop(digest, None)

    def _switch_to(self, vertex: ShownVertex) -> None:
        if self._current:
            old = self._trace.by_digest[self._current]
            if old.logs_partial:
                self._line("")
            old.logs_offset = 0
            old.count = 0
            self._line(f"#{old.index} ...")
        if not self._first:
            self._line("")
        elif self._desc:
            self._line(f"#0 {self._desc}\n")
        self._first = False
        name = vertex.name
        if self._names_cut and len(name) > NAME_LENGTH:
            name = name[:NAME_LENGTH] + "..."
        self._line(f"#{vertex.index} {name}")

    def _print_statuses(self, vertex: ShownVertex) -> bool:
        """Whether one of those printed goes on."""
        is_open = False
        for status in vertex.statuses:
            if status.id in vertex.changed_statuses and self._worth_printing(status):
                self._last[status.id] = (status.current, status.timestamp)
                self._line(f"#{vertex.index} {_describe(status)}")
                is_open = is_open or status.completed is None
        vertex.changed_statuses.clear()
        return is_open

    def _worth_printing(self, status: ProgressBar) -> bool:
        """The first and the last of each, and between them only what moves."""
        last = self._last.get(status.id)
        if last is None or status.completed is not None:
            return True
        part = (status.current - last[0]) / status.total if status.total else 0.0
        return part >= MIN_STATUS_PART or status.timestamp - last[1] >= MIN_STATUS_NS

    def _print_logs(self, vertex: ShownVertex) -> None:
        prefix = b"#%d " % vertex.index
        for number, line in enumerate(vertex.logs):
            is_last = number == len(vertex.logs) - 1
            if number == 0 and vertex.logs_offset:
                line = line[vertex.logs_offset :]
                self._out.write(line)
            else:
                self._out.write(prefix + line)
            if not is_last or not vertex.logs_partial:
                self._out.write(b"\n")
            vertex.tail[0] = line
            if not vertex.logs_partial:
                vertex.tail.rotate(-1)
        if vertex.logs and vertex.logs_partial:
            vertex.logs = vertex.logs[-1:]
            vertex.logs_offset = len(vertex.logs[0])
        else:
            vertex.logs = []
            vertex.logs_offset = 0

    def _print_end(self, vertex: ShownVertex) -> None:
        if vertex.logs_partial:
            self._line("")
        if vertex.canceled:
            text = "CANCELED"
        elif vertex.error:
            text = f"ERROR: {vertex.error}"
        elif vertex.cached:
            text = "CACHED"
        else:
            text = f"DONE {vertex.seconds(0):.1f}s"
        self._line(f"#{vertex.index} {text}")


def _is_open(vertex: ShownVertex) -> bool:
    return vertex.started and not vertex.completed


def _describe(status: ProgressBar) -> str:
    text = status.id
    size = format_progress(status.current, status.total)
    if size:
        text += f" {size}"
    if status.started is not None:
        end = status.timestamp if status.completed is None else status.completed
        elapsed_s = (end - status.started) / 1e9
        if elapsed_s > 0.01:
            text += f" {elapsed_s:.1f}s"
    return text if status.completed is None else text + " done"


def print_failed_logs(trace: Trace, out: BinaryIO) -> None:
    """The log of each failed step once more, at the end where it is seen."""
    for vertex in trace.vertices:
        if vertex.failed:
            lines = [b"------", f" > {vertex.name}:".encode(errors="surrogateescape")]
            # the interactive display has printed none of them, the plain one all
            lines += vertex.logs
            lines += [line for line in vertex.tail if line is not None]
            out.write(b"\n".join([*lines, b"------", b""]))
