"""What others have written, as a terminal may be given it.

Steps of builds, names of images, Dockerfiles and errors of servers come from anybody, and a
terminal obeys what it is sent: it types for its user, changes its title, puts something on the
clipboard, hides lines, puts words in another order. Colours stay, and whatever else would be obeyed
is shown in the way of `cat -v`, or of `less` (`<U+202E>`). What goes to files and pipes stays as it
is.
"""

from __future__ import annotations

import re
import sys
from typing import BinaryIO, TextIO

from croze.patterns import lazy_pattern

_TEXT = lazy_pattern(
    "(\x1b\\[[0-9;:]*m)|\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_BYTES = lazy_pattern(
    rb"(\x1b\[[0-9;:]*m|\x1b\[[0-2]?K)|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]"
    rb"|\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])"
)
"""A step may go back in its line, and erase the rest of it: it draws its progress so."""


def visible(text: str) -> str:
    """The text with all that a terminal would obey, but for colours, shown in place of sent."""
    return text if text.isprintable() else _TEXT.sub(_seen, text)


def visible_bytes(data: bytes) -> bytes:
    """Like `visible`, for what a step prints: it may also go back to the beginning of its line."""
    return _BYTES.sub(lambda match: match[1] or _caret(match[0].decode()).encode(), data)


def _seen(match: re.Match[str]) -> str:
    return match[1] or _caret(match[0])


def _caret(control: str) -> str:
    number = ord(control)
    if number > 255:
        return f"<U+{number:04X}>"
    return f"^{chr(number ^ 64)}" if number < 128 else f"M-^{chr(number - 64)}"


class _VisibleBytes:
    """A terminal's stream."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: bytes) -> int:
        self._out.write(visible_bytes(data))
        return len(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._out, name)


class _VisibleText:
    """A terminal's stream. Its `buffer` is as it was."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        self._out.write(visible(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._out, name)


def for_terminals(out: BinaryIO) -> BinaryIO:
    """A stream to write to what others have written: as it is, but for a terminal."""
    return _VisibleBytes(out) if out.isatty() else out  # type: ignore[return-value]


def guard_standard_streams() -> None:
    """Keep what is printed from doing anything to a terminal. Idempotent."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _VisibleText) and stream.isatty():
            setattr(sys, name, _VisibleText(stream))
