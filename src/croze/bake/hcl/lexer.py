"""HCL text to tokens.

The lexer knows a stack of modes: plain tokens, the inside of a quoted template, the inside of a
heredoc. `${` and `%{` open plain tokens inside a template, and the brace that balances them leads
back. Source: HCL's native syntax specification (hclsyntax/spec.md), which is thin on what is
invalid; there the reference scanner is the authority.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from croze.bake.hcl import tokens as t
from croze.bake.hcl.graphemes import clusters
from croze.bake.hcl.source import START, Pos
from croze.bake.hcl.tokens import HclToken

_PLAIN: Final = re.compile(
    r"""
    [ \t]*
    (?:
      (?P<ident>[A-Za-z_][A-Za-z0-9_-]*)
    | (?P<newline>\r?\n)
    | (?P<string>"[^$%"\\\r\n\udc80-\udcff]*")
    | (?P<number>[0-9](?:(?:[0-9.]|[eE][+-]?[0-9])*(?:[0-9]|[eE][+-]?[0-9]))?)
    | (?P<comment>(?:\#|//)[^\n]*\n?)
    | (?P<block>/\*)
    | (?P<heredoc><<-?[^\W\d][\w-]*\r?\n)
    | (?P<closing>~\})
    | (?P<brace>["{}])
    | (?P<symbol>==|!=|>=|<=|&&|\|\||::|\.\.\.|=>|[][().,*/%+\-=<>!?:&|~^;`'])
    )
    """,
    re.VERBOSE,
)
_BLANKS: Final = re.compile(r"[ \t]*")
_QUOTED: Final = re.compile(
    r"""
      (?P<text>\$\$\{~? | %%\{~? | \$(?=[^{]) | %(?=[^{])
        | (?:\\[^\r\n\udc80-\udcff] | [^$%"\\\r\n\udc80-\udcff])+)
    | (?P<open>[$%]\{~?)
    | (?P<quote>")
    | (?P<newline>[\r\n]+)
    """,
    re.VERBOSE,
)
_HEREDOC: Final = re.compile(
    r"""
      (?P<open>[$%]\{~?)
    | (?P<line>(?:\$\$\{~? | %%\{~? | \$(?=[^{]) | %(?=[^{]) | [^$%\r\n\udc80-\udcff]*)\r?\n)
    | (?P<text>\$\$\{~? | %%\{~? | \$(?=[^{]) | %(?=[^{]) | [^$%\r\n\udc80-\udcff]+)
    """,
    re.VERBOSE,
)
_AS_THEY_STAND: Final = {"newline": t.NEWLINE, "number": t.NUMBER, "comment": t.COMMENT}
_BARE_MODE: Final = "bare"
_PLAIN_MODE: Final = "plain"
_QUOTED_MODE: Final = "quoted"
_HEREDOC_MODE: Final = "heredoc"


class _Heredoc:
    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.at_line_start = True


class _Text:
    """The source that tokens stand in (a `SourceText`)."""

    def __init__(self, text: str, filename: str, start: Pos) -> None:
        self.text = text
        self.filename = filename
        self.start = start
        self.tokens: list[HclToken] = []
        self._places: dict[int, Pos] | None = None

    def place(self, offset: int) -> Pos:
        if self._places is None:
            self._places = dict(self._count())
        return self._places[offset]

    def _count(self) -> Iterator[tuple[int, Pos]]:
        """Offsets where tokens begin and end (only ASCII blanks are between them), and places."""
        line, column, _ = self.start
        at = 0
        for token in self.tokens:
            column += token.first - at
            yield token.first, Pos(line, column, self.start.offset + token.first)
            at = token.last
            piece = self.text[token.first : at]
            if piece.isascii() and "\n" not in piece:
                column += len(piece)
            else:
                for cluster in clusters(piece):
                    if cluster in ("\n", "\r\n"):
                        line, column = line + 1, 1
                    else:
                        column += 1
            yield at, Pos(line, column, self.start.offset + at)


class _Lexer:
    def __init__(self, text: str, filename: str, start: Pos, mode: str) -> None:
        self.text = text
        self.source = _Text(text, filename, start)
        self.tokens = self.source.tokens
        self.at = 0
        self.modes = [mode]
        self.braces = 0
        self.closing_braces: list[int] = []
        self.heredocs: list[_Heredoc] = []
        self.last_comment_end = text.rfind("*/")
        self.is_ascii = text.isascii()

    def run(self) -> list[HclToken]:
        steps = {
            _PLAIN_MODE: self.plain,
            _QUOTED_MODE: self.quoted,
            _HEREDOC_MODE: self.heredoc,
            _BARE_MODE: self.heredoc,
        }
        size = len(self.text)
        while self.at < size:
            steps[self.modes[-1]]()
        self.emit(t.EOF, size)
        return self.tokens

    def emit(self, kind: str, end: int) -> None:
        """Add the token that goes from here to `end`."""
        at = self.at
        self.tokens.append(HclToken(kind, self.text[at:end], self.source, at, end))
        self.at = end

    def plain(self) -> None:
        """Tokens up to one that says how to read on."""
        text, source, is_ascii = self.text, self.source, self.is_ascii
        add, match_at = self.tokens.append, _PLAIN.match
        at = self.at
        while match := match_at(text, at):
            group = match.lastgroup
            piece = match[match.lastindex or 0]
            at = match.end()
            first = at - len(piece)
            if group == "symbol":
                add(HclToken(piece, piece, source, first, at))
            elif group == "string":
                add(HclToken(t.OPEN_QUOTE, '"', source, first, first + 1))
                if len(piece) > 2:
                    add(HclToken(t.QUOTED, piece[1:-1], source, first + 1, at - 1))
                add(HclToken(t.CLOSE_QUOTE, '"', source, at - 1, at))
            elif group == "ident":
                if not is_ascii:
                    at = _identifier_end(text, at)
                    piece = text[first:at]
                add(HclToken(t.IDENT, piece, source, first, at))
            elif group in _AS_THEY_STAND:
                add(HclToken(_AS_THEY_STAND[group], piece, source, first, at))
            else:
                self.at = first
                self.turn(group, piece, at)
                return
        blanks = _BLANKS.match(text, at)
        self.at = at if blanks is None else blanks.end()
        if self.at < len(text):
            self.other_character()

    def turn(self, group: str | None, piece: str, end: int) -> None:
        """A token that leads into another mode, or back; or a comment, which may have no end."""
        if group == "brace":
            self.brace(piece, end)
        elif group == "heredoc":
            self.open_heredoc(piece, end)
        elif group == "closing":
            self.close_sequence(end)
        elif self.last_comment_end >= end:
            self.emit(t.COMMENT, self.text.index("*/", end) + 2)
        else:
            self.emit("/", end - 1)

    def other_character(self) -> None:
        char = self.text[self.at]
        if char.isidentifier():
            self.emit(t.IDENT, _identifier_end(self.text, self.at + 1))
        else:
            self.emit(_unusable(char), self.at + 1)

    def brace(self, piece: str, end: int) -> None:
        if piece == '"':
            self.emit(t.OPEN_QUOTE, end)
            self.modes.append(_QUOTED_MODE)
        elif piece == "{":
            self.emit("{", end)
            self.braces += 1
        elif self.closing_braces and self.closing_braces[-1] == self.braces:
            self.close_sequence(end)
        else:
            self.emit("}", end)
            self.braces -= 1

    def close_sequence(self, end: int) -> None:
        self.emit(t.SEQUENCE_END, end)
        if self.closing_braces and self.closing_braces[-1] == self.braces:
            self.closing_braces.pop()
            self.modes.pop()
        self.braces -= 1

    def open_sequence(self, end: int) -> None:
        self.emit(t.INTERPOLATION if self.text[self.at] == "$" else t.CONTROL, end)
        self.braces += 1
        self.closing_braces.append(self.braces)
        if self.heredocs:
            self.heredocs[-1].at_line_start = False
        self.modes.append(_PLAIN_MODE)

    def open_heredoc(self, opening: str, end: int) -> None:
        marker = opening[2:].removeprefix("-").rstrip("\r\n")
        self.emit(t.OPEN_HEREDOC, end)
        self.heredocs.append(_Heredoc(marker))
        self.modes.append(_HEREDOC_MODE)

    def quoted(self) -> None:
        match = _QUOTED.match(self.text, self.at)
        if match is None:
            self.stray()
        elif match.lastgroup == "open":
            self.open_sequence(match.end())
        elif match.lastgroup == "quote":
            self.emit(t.CLOSE_QUOTE, match.end())
            self.modes.pop()
        else:
            self.emit(t.QUOTED if match.lastgroup == "text" else t.QUOTED_NEWLINE, match.end())

    def stray(self) -> None:
        """A character no template can hold, or a `$` or `%` that ends the file."""
        if self.text[self.at] in "$%":
            self.emit(t.INVALID, len(self.text))
        else:
            self.emit(_unusable(self.text[self.at]), self.at + 1)

    def heredoc(self) -> None:
        """A line of a heredoc, or of a template that is a whole text."""
        match = _HEREDOC.match(self.text, self.at)
        bare = self.modes[-1] == _BARE_MODE
        if match is None:
            if "\udc80" <= self.text[self.at] <= "\udcff":
                self.emit(t.BAD_UTF8, self.at + 1)
            else:
                self.emit(t.TEXT if bare else t.INVALID, len(self.text))
        elif match.lastgroup == "open":
            self.open_sequence(match.end())
        elif bare:
            self.emit(t.TEXT, match.end())
        else:
            self.heredoc_text(match.group(), match.end(), match.lastgroup == "line")

    def heredoc_text(self, piece: str, end: int, ends_line: bool) -> None:
        heredoc = self.heredocs[-1]
        if ends_line and heredoc.at_line_start and piece.strip() == heredoc.marker:
            newline = 2 if piece.endswith("\r\n") else 1
            self.emit(t.CLOSE_HEREDOC, end - newline)
            self.emit(t.NEWLINE, end)
            self.heredocs.pop()
            self.modes.pop()
            return
        heredoc.at_line_start = ends_line
        self.emit(t.TEXT, end)


def _identifier_end(text: str, at: int) -> int:
    size = len(text)
    while at < size and (text[at] in "-_" or ("a" + text[at]).isidentifier()):
        at += 1
    return at


def _unusable(char: str) -> str:
    return t.BAD_UTF8 if "\udc80" <= char <= "\udcff" else t.INVALID


def tokenize(text: str, filename: str, start: Pos = START) -> list[HclToken]:
    """The tokens of a file or an expression; the last is always the end of the file."""
    return _Lexer(text, filename, start, _PLAIN_MODE).run()


def tokenize_template(text: str, filename: str, start: Pos = START) -> list[HclToken]:
    """The tokens of a text that is a template from end to end, as strings in JSON are."""
    return _Lexer(text, filename, start, _BARE_MODE).run()
