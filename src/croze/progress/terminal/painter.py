"""Writes frames over one another, from a thread: a terminal that takes its time (a slow line, one
that is stopped) must not hold up the build. Frames that come meanwhile are left out.

Only lines that changed are written, in one write between the marks of a synchronized update
(private mode 2026; terminals without it pass over them), so that nothing flickers.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import BinaryIO

from croze.progress.terminal.cells import width

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
TO_LINE_END, TO_SCREEN_END = "\x1b[K", "\x1b[J"


def size_of(out: BinaryIO) -> tuple[int, int]:
    """The terminal's columns and rows; 80 by 24 of what is no terminal or does not know."""
    try:
        size = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return 80, 24
    return (size.columns, size.lines) if size.columns and size.lines else (80, 24)


class Painter:
    """Owns the part of the screen from the first frame's first line on. After a stop (Control-Z)
    that is somebody else's, too: the next frame begins below what is there then."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._shown: list[str] = []
        self._columns = 0
        self._next: tuple[list[str], int] | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None
        self._was_stopped = False
        self._watching = ExitStack()

    def watch_for_stops(self) -> None:
        """Hear of stops (Control-Z) until `close`. Only a process's main thread is told of
        signals."""
        if _in_main_thread():
            before = signal.signal(signal.SIGCONT, self._go_on)
            self._watching.callback(signal.signal, signal.SIGCONT, before or signal.SIG_DFL)

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        self._was_stopped = True

    def paint(self, lines: Sequence[str], columns: int) -> None:
        """Show these lines, none wider than `columns`, as soon as the terminal takes them. Raises
        the `OSError` of an earlier frame."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            self._next = ([*lines], columns)
            self._changed.notify()
        if self._thread is None:
            self.watch_for_stops()
            self._thread = threading.Thread(target=self._run, name="croze-paint", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait until the last frame is written. Raises `OSError`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        if _in_main_thread():
            self._watching.close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._next is None and not self._closed:
                    self._changed.wait()
                if self._next is None:
                    return
                (lines, columns), self._next = self._next, None
            try:
                self._out.write(self.frame(lines, columns).encode(errors="replace"))
                self._out.flush()
            except OSError as error:
                self._failure = error
                return

    def frame(self, lines: Sequence[str], columns: int) -> str:
        """The text that makes these lines of those that are shown, with the cursor left below
        them."""
        if self._was_stopped:
            self._was_stopped, self._shown = False, []
        parts = [BEGIN, HIDE, "\r", self._to_top(columns)]
        resized = columns != self._columns
        for number, line in enumerate(lines):
            same = not resized and number < len(self._shown) and self._shown[number] == line
            parts.append("\r\n" if same else f"{line}{TO_LINE_END}\r\n")
        if len(lines) < len(self._shown) or resized:
            parts.append(TO_SCREEN_END)
        parts += [SHOW, END]
        self._shown, self._columns = [*lines], columns
        return "".join(parts)

    def _to_top(self, columns: int) -> str:
        """What moves to the first line. A terminal that became narrower has broken those that did
        not fit any more (as all but the oldest do)."""
        if not self._shown:
            return ""
        rows = len(self._shown)
        if columns < self._columns:
            widths = [width(_without_colors(line)) for line in self._shown]
            rows = sum(max(1, -(-cells // columns)) for cells in widths)
        up = f"\x1b[{rows}A"
        return up if columns == self._columns else up + TO_SCREEN_END


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _without_colors(line: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", line)
