"""JSON text to tokens, with source ranges and with tolerance, so that messages can say what is
wrong."""

from __future__ import annotations

import re
from typing import Final

from croze.bake.hcl import tokens as t
from croze.bake.hcl.graphemes import count
from croze.bake.hcl.source import Placed, Pos, SourceRange

STRING: Final = "string"
KEYWORD: Final = "keyword"
_TOKEN: Final = re.compile(
    r"""
      (?P<symbol>[{}\[\],:=])
    | (?P<string>"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*(?:"|\\)?)
    | (?P<number>[-+.0-9][-+.eE0-9]*)
    | (?P<keyword>[A-Za-z][A-Za-z_]*)
    """,
    re.VERBOSE,
)
_SPACE: Final = re.compile(r"[ \t\r\n]*")


class JsonToken(Placed):
    """A piece of JSON text, its kind, and where it stands."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str, filename: str, start: Pos, end: Pos) -> None:
        super().__init__(filename, start, end)
        self.kind = kind
        self.text = text

    @property
    def range(self) -> SourceRange:
        return self


def tokenize_json(text: str, filename: str) -> list[JsonToken]:
    """Tokens up to the end of the file, or up to the first character that begins none."""
    tokens: list[JsonToken] = []
    at, line, column = 0, 1, 1
    size = len(text)
    while True:
        space = _SPACE.match(text, at)
        assert space is not None
        line, column = _skip(space.group(), line, column)
        at = space.end()
        start = Pos(line, column, at)
        if at >= size:
            tokens.append(JsonToken(t.EOF, "", filename, start, start))
            return tokens
        match = _TOKEN.match(text, at)
        if match is None:
            end = Pos(line, column + 1, at + 1)
            tokens.append(JsonToken(t.INVALID, text[at], filename, start, end))
            tokens.append(JsonToken(t.EOF, "", filename, end, end))
            return tokens
        piece = match.group()
        column += count(piece)
        at = match.end()
        group = match.lastgroup
        kind = {"string": STRING, "number": t.NUMBER, "keyword": KEYWORD}.get(group or "", piece)
        tokens.append(JsonToken(kind, piece, filename, start, Pos(line, column, at)))


def _skip(space: str, line: int, column: int) -> tuple[int, int]:
    """Where one is after white space; a tab is two columns wide, a carriage return none."""
    newlines = space.count("\n")
    if newlines:
        line, column = line + newlines, 1
        space = space[space.rindex("\n") + 1 :]
    return line, column + space.count(" ") + 2 * space.count("\t")
