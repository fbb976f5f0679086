"""What the lexer makes of text."""

from __future__ import annotations

from typing import Final

from croze.bake.hcl.source import SourceRange, SourceText, Stretch

# Punctuation is its own kind; these are the kinds that have no fixed spelling.
IDENT: Final = "identifier"
NUMBER: Final = "number"
COMMENT: Final = "comment"
NEWLINE: Final = "newline"
EOF: Final = "end of file"
OPEN_QUOTE: Final = "open quote"
CLOSE_QUOTE: Final = "close quote"
OPEN_HEREDOC: Final = "open heredoc"
CLOSE_HEREDOC: Final = "close heredoc"
QUOTED: Final = "quoted text"
TEXT: Final = "text"
INTERPOLATION: Final = "${"
CONTROL: Final = "%{"
SEQUENCE_END: Final = "sequence end"
INVALID: Final = "invalid"
BAD_UTF8: Final = "bad UTF-8"
QUOTED_NEWLINE: Final = "newline in quotes"
NOTHING: Final = ""

OPPOSITE: Final = {
    "{": "}",
    "[": "]",
    "(": ")",
    OPEN_QUOTE: CLOSE_QUOTE,
    OPEN_HEREDOC: CLOSE_HEREDOC,
    "}": "{",
    "]": "[",
    ")": "(",
    CLOSE_QUOTE: OPEN_QUOTE,
    CLOSE_HEREDOC: OPEN_HEREDOC,
    CONTROL: SEQUENCE_END,
    INTERPOLATION: SEQUENCE_END,
    SEQUENCE_END: INTERPOLATION,
}


class HclToken(Stretch):
    """A piece of source text, its kind, and where it stands."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str, source: SourceText, first: int, last: int) -> None:
        self.kind = kind
        self.text = text
        self.source = source
        self.first = first
        self.last = last

    @property
    def range(self) -> SourceRange:
        return self

    def is_keyword(self, word: str) -> bool:
        return self.kind == IDENT and self.text == word

    def as_newline(self) -> HclToken:
        """What a comment up to the end of its line is, which has the newline in it."""
        return HclToken(NEWLINE, "\n", self.source, self.first, self.last)

    def __repr__(self) -> str:
        return f"Token({self.kind!r}, {self.text!r}, {self})"
