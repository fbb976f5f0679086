"""Rows as lines of a terminal: marks, times, colors, cut to its width."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

from croze.progress.terminal.cells import cut, printable, spread
from croze.progress.terminal.rows import Mark, TerminalRow

log = logging.getLogger(__name__)

FAINT, RESET = "\x1b[2m", "\x1b[0m"
SPINNER_S = 0.1
"""How long a picture of the spinner stays."""

_COLORS = {
    name: f"\x1b[{base + number}m"
    for base, prefix in ((30, ""), (90, "light-"))
    for number, color in enumerate(
        ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
    )
    for name in (prefix + color,)
} | {"default": "\x1b[39m"}


def palette() -> dict[str, str]:
    """Colors of what has ended: `run`, `cancel`, `error`, `warning`, as `BUILDKIT_COLORS` may
    change them; none with `NO_COLOR`."""
    if os.environ.get("NO_COLOR"):
        return {}
    colors = {
        "run": _COLORS["blue"],
        "cancel": _COLORS["yellow"],
        "warning": _COLORS["yellow"],
        "error": _COLORS["red"],
    }
    text = os.environ.get("BUILDKIT_COLORS", "")
    for pair in text.split(":") if text else ():
        key, _, value = pair.partition("=")
        color = _COLORS.get(value.lower()) or _rgb(value)
        if not color:
            log.warning("Unknown color value found in BUILDKIT_COLORS: %s", pair)
        elif key.lower() not in colors:
            log.warning(
                "Unknown key found in BUILDKIT_COLORS (expected: run, cancel, error, or warning): "
                "%s",
                key.lower(),
            )
        else:
            colors[key.lower()] = color
    return colors


def _rgb(text: str) -> str:
    parts = text.strip('"').split(",")
    if len(parts) == 3 and all(p.isdecimal() and int(p) < 256 for p in parts):
        return f"\x1b[38;2;{';'.join(parts)}m"
    return ""


class Signs(Struct, frozen=True):
    """What the terminal's character set has for the marks."""

    spinner: str
    done: str
    cached: str
    failed: str
    canceled: str
    warning: str
    log: str
    ellipsis: str


UNICODE = Signs("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "✔", "●", "✘", "◌", "!", "│", "…")
ASCII = Signs("|/-\\", "+", "=", "x", "~", "!", "|", "..")


def signs() -> Signs:
    """ASCII if the locale names another character set than UTF-8, or the terminal is a simple
    one."""
    if os.environ.get("TERM", "") in ("dumb", "linux", "vt100", "vt220"):
        return ASCII
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        locale = os.environ.get(name, "")
        if locale:
            charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
            return ASCII if charset not in ("", "utf8") else UNICODE
    return UNICODE


class Style(Struct, frozen=True):
    """Makes lines of rows: marks, times and colours, as this terminal can show them."""

    colors: Mapping[str, str]
    signs: Signs

    def lines(
        self, rows: Sequence[TerminalRow], columns: int, now: int, elapsed_s: float
    ) -> list[str]:
        """The rows as lines of the terminal. `now` in nanoseconds by the daemon's clock."""
        spinner = self.signs.spinner[int(elapsed_s / SPINNER_S) % len(self.signs.spinner)]
        return [self._line(row, columns, now, spinner) for row in rows]

    def _line(self, row: TerminalRow, columns: int, now: int, spinner: str) -> str:
        sign = self._sign(row.mark, spinner)
        text = spelt(f" {'  ' * row.depth}{sign} {printable(row.text)}", self.signs)
        if row.mark is Mark.LOG:
            return self._faint(cut(text, columns - 1, self.signs.ellipsis))
        right = "" if row.intervals is None else _seconds(row, now)
        line = (
            spread(text, right, columns - 1)
            if right
            else cut(text, columns - 1, self.signs.ellipsis)
        )
        color = self.colors.get(_COLOR_OF.get(row.mark, ""), "")
        return f"{color}{line}{RESET}" if color else line

    def _faint(self, line: str) -> str:
        return f"{FAINT}{line}{RESET}" if self.colors else line

    def _sign(self, mark: Mark, spinner: str) -> str:
        signs = self.signs
        return {
            Mark.NONE: " ",
            Mark.RUNNING: spinner,
            Mark.DONE: signs.done,
            Mark.CACHED: signs.cached,
            Mark.FAILED: signs.failed,
            Mark.CANCELED: signs.canceled,
            Mark.WARNING: signs.warning,
            Mark.LOG: signs.log,
        }[mark]


_COLOR_OF = {
    Mark.DONE: "run",
    Mark.CACHED: "run",
    Mark.FAILED: "error",
    Mark.CANCELED: "cancel",
    Mark.WARNING: "warning",
}


def spelt(text: str, signs: Signs) -> str:
    """The text without characters that the terminal lacks."""
    if signs is UNICODE or text.isascii():
        return text
    return text.encode("ascii", "replace").decode()


def _seconds(row: TerminalRow, now: int) -> str:
    elapsed_s = sum(interval.seconds(now) for interval in row.intervals or ())
    return f"{elapsed_s if elapsed_s >= 0.05 else 0:.1f}s"
