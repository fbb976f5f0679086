"""The tokens of a template's text.

Source: Go `text/template/parse` (lex.go), and its documentation of text, spaces and comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from croze.gotypes.quote import quote
from croze.patterns import lazy_pattern


class TemplateError(Exception):
    """A template that can't be read or carried out. The message is Go's where it has one."""


class Token(NamedTuple):
    """A piece of a template. `kind` is text, `{{`, `}}`, space, word, field, variable, string, raw,
    char, number, complex, a mark itself, a keyword itself, error (the text is the message) or EOF.
    Positions count characters from 0, lines from 1."""

    kind: str
    text: str
    position: int
    line: int

    def __str__(self) -> str:
        if self.kind in ("EOF", "error"):
            return self.text
        if self.kind in KEYWORDS:
            return f"<{self.text}>"
        return quote(self.text) if len(self.text) <= 10 else quote(self.text[:10]) + "..."


KEYWORDS: Final = frozenset(
    {".", "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template"}
    | {"with"}
)
_SPACES: Final = " \t\r\n"
_LEFT: Final = lazy_pattern(r"\{\{(-(?=[ \t\r\n]))?")
_RIGHT: Final = lazy_pattern(r"(?P<trim>[ \t\r\n]-)?\}\}")
_SPACE: Final = lazy_pattern(r"[ \t\r\n]+?(?=[ \t\r\n]-\}\})|[ \t\r\n]+")
_NAME: Final = lazy_pattern(r"[.$]?\w*")
_AFTER_NAME: Final = lazy_pattern(r"[ \t\r\n.,|:)(]|\}\}|\Z")
_ONE_NUMBER: Final = (
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_NUMBER: Final = lazy_pattern(rf"{_ONE_NUMBER}(?P<more>[+-]{_ONE_NUMBER})?")
_QUOTED: Final = {
    '"': ("string", lazy_pattern(r'"(?:\\[^\n]|[^"\\\n])*"'), "unterminated quoted string"),
    "'": ("char", lazy_pattern(r"'(?:\\[^\n]|[^'\\\n])*'"), "unterminated character constant"),
    "`": ("raw", lazy_pattern(r"`[^`]*`"), "unterminated raw quoted string"),
}


class _Refused(Exception):
    """What can't be a token."""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text; the last is EOF or an error."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._start = 0
        self._line = 1
        self._parens = 0

    def run(self) -> Iterator[Token]:
        try:
            while True:
                yield from self._until_action()
                if self._at >= len(self._text):
                    break
                if not self._comment():
                    yield from self._action()
        except _Refused as refused:
            yield Token("error", str(refused), self._start, self._line)
            return
        yield Token("EOF", "EOF", self._at, self._line)

    def _token(self, kind: str, end: int) -> Token:
        """The token from where we are, which is behind it then."""
        token = Token(kind, self._text[self._at : end], self._at, self._line)
        self._skip(end)
        return token

    def _skip(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = self._start = end

    def _until_action(self) -> Iterator[Token]:
        """The text up to the next action, without what that eats."""
        opened = self._text.find("{{", self._at)
        end = len(self._text) if opened < 0 else opened
        if opened >= 0 and (match := _LEFT.match(self._text, opened)) and match[1]:
            end = self._at + len(self._text[self._at : opened].rstrip(_SPACES))
        if end > self._at:
            yield self._token("text", end)
        if opened >= 0:
            self._skip(opened)

    def _comment(self) -> bool:
        """Whether there was one. It is no token."""
        match = _LEFT.match(self._text, self._at)
        assert match is not None
        after = match.end() + bool(match[1])
        if not self._text.startswith("/*", after):
            return False
        self._skip(after)
        end = self._text.find("*/", after + 2)
        if end < 0:
            raise _Refused("unclosed comment")
        right = _RIGHT.match(self._text, end + 2)
        if right is None:
            raise _Refused("comment ends before closing delimiter")
        self._behind(right)
        return True

    def _behind(self, right: re.Match[str]) -> None:
        """Go on behind an action, and the space that it eats."""
        end = right.end()
        if right["trim"]:
            end = len(self._text) - len(self._text[end:].lstrip(_SPACES))
        self._skip(end)

    def _action(self) -> Iterator[Token]:
        opened = _LEFT.match(self._text, self._at)
        assert opened is not None
        token = self._token("{{", opened.end())
        yield token._replace(text="{{")
        if opened[1]:
            self._skip(self._at + 1)
        self._parens = 0
        while True:
            right = _RIGHT.match(self._text, self._at)
            if right is not None:
                if self._parens:
                    raise _Refused("unclosed left paren")
                if right["trim"]:
                    self._skip(right.end() - 2)
                yield Token("}}", "}}", self._at, self._line)
                self._behind(right)
                return
            yield self._inside()

    def _inside(self) -> Token:
        text, at = self._text, self._at
        if at >= len(text):
            raise _Refused("unclosed action")
        char = text[at]
        if space := _SPACE.match(text, at):
            return self._token("space", space.end())
        if char in _QUOTED:
            kind, pattern, unterminated = _QUOTED[char]
            if (match := pattern.match(text, at)) is None:
                raise _Refused(unterminated)
            return self._token(kind, match.end())
        after = text[at + 1 : at + 2]
        if char in "+-0123456789" or (char == "." and (after.isdigit() or not after)):
            return self._number()
        if char in ".$" or char == "_" or char.isalnum():
            return self._name()
        return self._mark(char)

    def _number(self) -> Token:
        match = _NUMBER.match(self._text, self._at)
        assert match is not None
        end = match.end()
        bad = _is_word(self._text[end : end + 1])
        if bad or (match["more"] is not None and match["more"][-1:] != "i"):
            raise _Refused(f"bad number syntax: {quote(self._text[self._at : end + bad])}")
        return self._token("complex" if match["more"] is not None else "number", end)

    def _name(self) -> Token:
        """A field, a variable, a keyword or another word; or a dot."""
        match = _NAME.match(self._text, self._at)
        assert match is not None
        if _AFTER_NAME.match(self._text, match.end()) is None:
            char = self._text[match.end()]
            raise _Refused(f"bad character {_shown(char)}")
        word = match[0]
        if word in KEYWORDS:
            kind = word
        elif word[0] in ".$":
            kind = "field" if word[0] == "." else "variable"
        else:
            kind = "bool" if word in ("true", "false") else "word"
        return self._token(kind, match.end())

    def _mark(self, char: str) -> Token:
        end = self._at + 1
        if char == ":":
            if not self._text.startswith("=", end):
                raise _Refused("expected :=")
            return self._token(":=", end + 1)
        if char == ")" and not self._parens:
            raise _Refused("unexpected right paren")
        if char in "()":
            self._parens += 1 if char == "(" else -1
        elif not (char.isascii() and char.isprintable()):
            raise _Refused(f"unrecognized character in action: {_shown(char)}")
        return self._token(char if char in "()=|," else "mark", end)


def _is_word(char: str) -> bool:
    return char == "_" or char.isalnum()


def _shown(char: str) -> str:
    """A character as Go's `%#U` has it."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
