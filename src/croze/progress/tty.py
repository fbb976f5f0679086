"""The interactive display: a list of steps, drawn over itself.

Source of the format: BuildKit `util/progress/progressui/display.go`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from croze.progress import warnings
from croze.progress.intervals import Interval
from croze.progress.limit import Limiter
from croze.progress.model import SCREEN_LINES, Trace, Vertex
from croze.progress.plain import print_failed_logs
from croze.progress.size import format_progress

if TYPE_CHECKING:
    from croze.api import control_pb2

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
FAINT, RESET = "\x1b[2m", "\x1b[0m"
PADDING = 10

_COLORS = {
    name: f"\x1b[{base + number}m"
    for base, prefix in ((30, ""), (90, "light-"))
    for number, color in enumerate(
        ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
    )
    for name in (prefix + color,)
} | {"default": "\x1b[39m"}


def palette() -> dict[str, str]:
    """Colors of what has ended: `run`, `cancel`, `error`, `warning`. None with `NO_COLOR`."""
    if os.environ.get("NO_COLOR"):
        return {}
    found = {
        "run": _COLORS["blue"],
        "cancel": _COLORS["yellow"],
        "warning": _COLORS["yellow"],
        "error": _COLORS["red"],
    }
    for pair in os.environ.get("BUILDKIT_COLORS", "").split(":"):
        key, _, value = pair.partition("=")
        color = _COLORS.get(value.lower()) or _rgb(value)
        if key.lower() in found and color:
            found[key.lower()] = color
    return found


def _rgb(text: str) -> str:
    parts = text.strip('"').split(",")
    if len(parts) == 3 and all(p.isdecimal() and int(p) < 256 for p in parts):
        return f"\x1b[38;2;{';'.join(parts)}m"
    return ""


@dataclass
class Job:
    """A line of the list."""

    name: str
    intervals: Sequence[Interval]
    status: str = ""
    completed: bool = False
    color: str = "run"
    vertex: Vertex | None = None
    log: list[str] = field(default_factory=list)

    @property
    def logged(self) -> int:
        screen = self.vertex.screen if self.vertex else None
        return screen.written if screen else 0


class TtyDisplay:
    """`desc` stands at the right of the first line; `phase` at its left."""

    def __init__(self, out: BinaryIO, desc: str = "", phase: str = "Building") -> None:
        self._out = out
        self._desc = desc
        self._phase = phase
        self._trace = Trace(screens=True)
        self._limiter = Limiter()
        self._colors = palette()
        self._line_count = 0
        self._drawn = False
        self._started = time.monotonic()
        self.warnings = warnings.Warnings()

    def update(self, status: control_pb2.StatusResponse) -> None:
        self._trace.update(status)
        self.warnings.add(status.warnings)
        if self._limiter.allow():
            self.refresh()

    def refresh(self) -> None:
        self._draw(last=False)

    def close(self) -> None:
        """Draw everything once more, then the logs of what failed."""
        self._draw(last=True)
        print_failed_logs(self._trace, self._out)
        self._out.flush()

    def _draw(self, *, last: bool) -> None:
        width, height = _terminal_size(self._out)
        jobs = [job for vertex in self._trace.vertices for job in _jobs(vertex)]
        jobs = _fit(jobs, width, height, everything=last)
        lines = [self._header(width, last=last)]
        for job in jobs:
            lines += self._lines(job, width)
        up = self._line_count + 1 if self._drawn else 0
        blank = max(self._line_count - (len(lines) - 1), 0)
        text = (f"\x1b[{up}A" if up else "") + "\r" + HIDE + "".join(f"{line}\n" for line in lines)
        if blank:
            text += (" " * width + "\n") * blank + f"\x1b[{blank}A\r"
        self._out.write((text + SHOW).encode(errors="replace"))
        self._out.flush()
        self._line_count = len(lines) - 1
        self._drawn = True

    def _header(self, width: int, *, last: bool) -> str:
        shown = self._trace.shown()
        done = sum(vertex.completed for vertex in shown)
        word = "FINISHED" if last and done and done == len(shown) else ""
        elapsed_s = time.monotonic() - self._started
        text = f"[+] {self._phase} {elapsed_s:.1f}s ({done}/{len(shown)}) {word}"
        return _align(text, self._desc, width - 1 if self._desc else width)[:width]

    def _lines(self, job: Job, width: int) -> list[str]:
        if not job.intervals:
            return []
        elapsed_s = sum(i.seconds(self._trace.now()) for i in job.intervals)
        timer = f" {elapsed_s if elapsed_s >= 0.05 else 0:.1f}s"
        left = width - len(" => ") - len(timer) - 2
        status = job.status if job.status and left + len(job.status) > 20 else ""
        if status:
            left -= len(status) + 1
        if left < 12:
            return []
        line = _align(" => " + job.name[:left] + (f" {status}" if status else ""), timer, width - 1)
        color = self._colors.get(job.color) if job.completed else None
        if color:
            line = f"{color}{line}{RESET}"
        return [line, *(f"{FAINT} => => # {text}{RESET}" for text in job.log)]


def _terminal_size(out: BinaryIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return 80, 10
    return (size.columns, size.lines) if size.columns and size.lines else (80, 10)


def _align(left: str, right: str, width: int) -> str:
    return f"{left:<{max(width - len(right) - 1, 0)}} {right}"


def _jobs(vertex: Vertex) -> list[Job]:
    """The lines of a vertex: itself, its progress bars, its warnings."""
    name = vertex.name.replace("\t", " ")
    color = "run"
    if vertex.canceled:
        name, color = f"CANCELED {name}", "cancel"
    elif vertex.error:
        name, color = f"ERROR {name}", "error"
    if vertex.cached:
        name = f"CACHED {name}"
    jobs = [Job(name, vertex.merged, "", vertex.completed, color, vertex)]
    for status in vertex.statuses:
        jobs.append(
            Job(
                f"=> {status.id}",
                [Interval(status.started or status.timestamp, status.completed)],
                format_progress(status.current, status.total),
                status.completed is not None,
            )
        )
    for warning in vertex.warnings:
        text = f"WARN: {warning.short.decode(errors='replace')}"
        jobs.append(Job(text, vertex.merged[-1:], "", False, "cancel"))
    return jobs


def _fit(jobs: list[Job], width: int, height: int, *, everything: bool) -> list[Job]:
    """What the screen has room for, with logs of what runs where there is room left."""
    running = sum(not job.completed for job in jobs)
    log_lines = max(SCREEN_LINES, min(_log_lines(), height - SCREEN_LINES - 1))
    free = height - 2 - running
    hidden = 0
    candidates = [job for job in jobs if job.logged and not job.completed]
    for job in sorted(candidates, key=lambda job: job.logged, reverse=True):
        if free <= log_lines + 3 or job.vertex is None or job.vertex.screen is None:
            break
        job.log = job.vertex.screen.lines(log_lines, width - PADDING)
        hidden += len(job.log)
        free -= log_lines + 3
    return jobs if everything else _last_lines(jobs, height - 2 - hidden)


def _log_lines() -> int:
    text = os.environ.get("BUILDKIT_TTY_LOG_LINES", "")
    return int(text) if text.isdecimal() and int(text) else SCREEN_LINES


def _last_lines(jobs: list[Job], limit: int) -> list[Job]:
    """The last jobs; ones that are cut off but still run take the place of ones that ended."""
    if limit < 0:
        return []
    if len(jobs) <= limit:
        return jobs
    cut, shown = jobs[: len(jobs) - limit], jobs[len(jobs) - limit :]
    running = [job for job in cut if not job.completed]
    kept, room = [], len(running)
    for job in shown:
        if not job.completed or room <= 0:
            kept.append(job)
        room -= 1
    free = len(shown) - len(kept)
    return (running[-free:] if free else []) + kept


def stderr_is_terminal() -> bool:
    return sys.stderr.isatty()
