"""A line typed at a raw terminal: shown as it is typed, with the usual keys to change it.

What Go's `golang.org/x/term` does for buildx, as far as a command line needs it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

_SEQUENCE = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O[A-Za-z]|[^\[O])")
_LONGEST_SEQUENCE = 32
_UP, _DOWN, _RIGHT, _LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
_HOME = ("\x1b[H", "\x1bOH", "\x1b[1~", "\x01")
_END = ("\x1b[F", "\x1bOF", "\x1b[4~", "\x05")


class LineEditor:
    """Keeps the lines that were typed, to be called back."""

    def __init__(self, prompt: str, say: Callable[[str], None]) -> None:
        """`say` writes to the terminal."""
        self._prompt = prompt
        self._say = say
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._text = ""
        self._at = 0
        self._past: list[str] = []
        self._shown_past = 0

    def begin(self) -> None:
        """Begin a new line."""
        self._pending = self._text = ""
        self._at = 0
        self._shown_past = len(self._past)
        self._say(self._prompt)

    def typed(self, data: bytes) -> str | None:
        """Take in one more byte; the line if that ends it. Raises `EOFError` for Ctrl-C, and for
        Ctrl-D on an empty line."""
        self._pending += self._decoder.decode(data)
        if not self._pending:
            return None
        if len(self._pending) > _LONGEST_SEQUENCE:
            self._pending = ""  # no key of any terminal, however it goes on
            return None
        if self._pending[0] == "\x1b" and not _SEQUENCE.fullmatch(self._pending):
            return None
        key, self._pending = self._pending, ""
        if key in ("\r", "\n"):
            return self._ended()
        if key == "\x03" or (key == "\x04" and not self._text):
            raise EOFError
        self._press(key)
        return None

    def _ended(self) -> str:
        line, self._text = self._text, ""
        self._say("\r\n")
        if line:
            self._past.append(line)
        return line

    def _press(self, key: str) -> None:
        before, after = self._text[: self._at], self._text[self._at :]
        match key:
            case "\x7f" | "\x08":
                before = before[:-1]
            case "\x04" | "\x1b[3~":
                after = after[1:]
            case "\x0b":
                after = ""
            case "\x15":
                before = ""
            case "\x17":
                before = re.sub(r"\S*\s*$", "", before)
            case "\x1b[D":
                before, after = before[:-1], before[-1:] + after
            case "\x1b[C":
                before, after = before + after[:1], after[1:]
            case "\x1b[A" | "\x1b[B":
                before, after = self._called_back(-1 if key == _UP else 1), ""
            case _ if key in _HOME:
                before, after = "", before + after
            case _ if key in _END:
                before, after = before + after, ""
            case _ if key.isprintable():
                before += key
            case _:
                return
        self._show(before, after)

    def _called_back(self, step: int) -> str:
        self._shown_past = min(max(self._shown_past + step, 0), len(self._past))
        return self._past[self._shown_past] if self._shown_past < len(self._past) else ""

    def _show(self, before: str, after: str) -> None:
        grown = before[len(self._text) :] if not after and before.startswith(self._text) else ""
        self._text, self._at = before + after, len(before)
        if grown:
            self._say(grown)
            return
        back = f"\x1b[{len(after)}D" if after else ""
        self._say(f"\r{self._prompt}{self._text}\x1b[K{back}")
