"""The interactive display: stages and their steps, drawn over themselves."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING, BinaryIO

from croze.files.terminals import visible_bytes
from croze.progress import warnings
from croze.progress.limit import Limiter
from croze.progress.model import SCREEN_LINES, Trace
from croze.progress.plain import print_failed_logs
from croze.progress.terminal.cells import spread
from croze.progress.terminal.painter import Painter, size_of
from croze.progress.terminal.render import Style, palette, signs
from croze.progress.terminal.rows import all_rows, fitting_rows
from croze.progress.terminal.stages import by_stage

if TYPE_CHECKING:
    from croze.api import control_pb2


class TtyDisplay:
    """Draws stages over themselves. `desc` stands at the right of the first line; `phase` at its
    left."""

    def __init__(self, out: BinaryIO, desc: str = "", phase: str = "Building") -> None:
        self._out = out
        self._desc = desc
        self._phase = phase
        self._trace = Trace(screens=True)
        self._limiter = Limiter()
        self._is_closed = False
        self._style = Style(palette(), signs())
        self._painter = Painter(out)
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
        """Draw every step once more, then the logs of what failed."""
        if self._is_closed:
            return
        self._is_closed = True
        self._draw(last=True)
        self._painter.close()
        failed = io.BytesIO()
        print_failed_logs(self._trace, failed)
        self._out.write(visible_bytes(failed.getvalue()))
        self._out.flush()

    def _draw(self, *, last: bool) -> None:
        columns, height = size_of(self._out)
        elapsed_s = time.monotonic() - self._started
        stages = by_stage(self._trace.vertices, self._trace.by_digest.values())
        room = max(height - 2, 1)
        rows = all_rows(stages) if last else fitting_rows(stages, room, _log_lines(height))
        header = self._header(columns, elapsed_s, last=last)
        lines = self._style.lines(rows, columns, self._trace.now(), elapsed_s)
        self._painter.paint([header, *lines], columns)

    def _header(self, columns: int, elapsed_s: float, *, last: bool) -> str:
        shown = self._trace.shown()
        completed = sum(vertex.completed for vertex in shown)
        word = " FINISHED" if last and completed and completed == len(shown) else ""
        text = f"[+] {self._phase} {elapsed_s:.1f}s ({completed}/{len(shown)}){word}"
        return spread(text, self._desc, columns - 1)


def _log_lines(height: int) -> int:
    """Lines of each running step's log: what `BUILDKIT_TTY_LOG_LINES` says, if the screen has
    room."""
    text = os.environ.get("BUILDKIT_TTY_LOG_LINES", "")
    lines = int(text) if text.isdecimal() and int(text) else SCREEN_LINES
    return max(min(lines, height - SCREEN_LINES - 1), SCREEN_LINES)
