"""Words of a module."""

from __future__ import annotations

import re

from msgspec import Struct

from croze.rego.errors import PARSE, Location, Problem

KEYWORDS = frozenset(
    {
        *("as", "contains", "default", "else", "every", "false", "if", "import", "in"),
        *("not", "null", "package", "some", "true", "with"),
    }
)
_OPERATORS = re.compile(r":=|==|!=|<=|>=|[-+*/%&|<>=.,;:(){}\[\]]")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPACE = re.compile(r"[ \t\r\n]+|#[^\n]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"'}


class RegoToken(Struct, frozen=True):
    kind: str
    """`name`, `keyword`, `number`, `string`, `template`, `end`, or the operator itself."""
    text: str
    at: Location
    begin: int
    end: int
    parts: tuple[str | tuple[RegoToken, ...], ...] = ()
    """The parts of a template: texts, and the words between braces."""


def tokens(text: str, file: str) -> list[RegoToken]:
    """The words of a module's text. Raises `Problem`."""
    return _Lexer(text, file).run()


class _Lexer:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.pos = text, file, 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._row = 1
        self._line, self._line_row = "", 0

    def at(self, pos: int) -> Location:
        while self._row < len(self._starts) and self._starts[self._row] <= pos:
            self._row += 1
        while self._row > 1 and self._starts[self._row - 1] > pos:
            self._row -= 1
        start = self._starts[self._row - 1]
        if self._line_row != self._row:
            end = self.text.find("\n", start)
            self._line = self.text[start : end if end >= 0 else len(self.text)]
            self._line_row = self._row
        return Location(self.file, self._row, pos - start + 1, self._line)

    def _end(self) -> Location:
        """Where OPA sees the end: in the row after the last, with the last line that isn't empty,
        below its last character."""
        text = self.text.rstrip()
        start = text.rfind("\n") + 1
        line = self.text[start:].partition("\n")[0]
        return Location(self.file, self.text.count("\n") + 1, len(text) - start, line)

    def fail(self, message: str, pos: int | None = None) -> Problem:
        at = self.at(self.pos if pos is None else pos)
        return Problem(PARSE, message, at, excerpt=True)

    def run(self) -> list[RegoToken]:
        tokens = []
        while (token := self.next()).kind != "end":
            tokens.append(token)
        return [*tokens, token]

    def next(self) -> RegoToken:
        while space := _SPACE.match(self.text, self.pos):
            self.pos = space.end()
        begin = self.pos
        if begin >= len(self.text):
            return RegoToken("end", "", self._end(), begin, begin)
        char = self.text[begin]
        if self.text.startswith(('$"', "$`"), begin):
            return self._template()
        if char in '"`':
            self.pos += 1
            content, _ = self._string(char)
            return RegoToken("string", content, self.at(begin), begin, self.pos)
        for kind, pattern in (("name", _NAME), ("number", _NUMBER), ("", _OPERATORS)):
            if match := pattern.match(self.text, begin):
                self.pos = match.end()
                word = match[0]
                if kind == "name" and word in KEYWORDS:
                    kind = "keyword"
                return RegoToken(kind or word, word, self.at(begin), begin, self.pos)
        raise self.fail(f"illegal {char} character")

    def _string(self, quote: str, stop: str = "") -> tuple[str, bool]:
        """Up to the closing quote, which is passed, or to `stop`, which isn't; whether closed."""
        out: list[str] = []
        begin = self.pos
        while self.pos < len(self.text):
            char = self.text[self.pos]
            if char == quote:
                self.pos += 1
                return "".join(out), True
            if stop and char == stop:
                return "".join(out), False
            if char == "\n" and quote == '"':
                break
            self.pos += 1
            escapes = char == "\\" and (quote == '"' or self.text[self.pos : self.pos + 1] == stop)
            out.append(self._escape(stop) if escapes else char)
        raise self.fail("non-terminated string", begin - 1)

    def _escape(self, stop: str) -> str:
        char = self.text[self.pos : self.pos + 1]
        if stop and char == stop:
            self.pos += 1
            return char
        if char == "u" and re.fullmatch("[0-9a-fA-F]{4}", self.text[self.pos + 1 : self.pos + 5]):
            code = int(self.text[self.pos + 1 : self.pos + 5], 16)
            self.pos += 5
            return self._surrogate(code)
        if char not in _ESCAPES:
            raise self.fail("illegal escape sequence", self.pos - 1)
        self.pos += 1
        return _ESCAPES[char]

    def _surrogate(self, code: int) -> str:
        if not 0xD800 <= code < 0xE000:
            return chr(code)
        low = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(self.text, self.pos)
        if code >= 0xDC00 or not low:
            return "\ufffd"
        self.pos = low.end()
        return chr(0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00)

    def _template(self) -> RegoToken:
        begin, quote = self.pos, self.text[self.pos + 1]
        self.pos += 2
        parts: list[str | tuple[RegoToken, ...]] = []
        closed = False
        while not closed:
            content, closed = self._string(quote, "{")
            parts.append(content)
            if not closed:
                self.pos += 1
                parts.append(self._braced(begin))
        return RegoToken("template", "", self.at(begin), begin, self.pos, tuple(parts))

    def _braced(self, begin: int) -> tuple[RegoToken, ...]:
        words: list[RegoToken] = []
        depth = 1
        while True:
            token = self.next()
            if token.kind == "end":
                raise self.fail("non-terminated string", begin)
            depth += (token.kind == "{") - (token.kind == "}")
            if not depth:
                return (*words, RegoToken("end", "", token.at, token.begin, token.begin))
            words.append(token)
