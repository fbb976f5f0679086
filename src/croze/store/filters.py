"""containerd's filter grammar: `field[.field][(==|!=|~=)value],...` (containerd pkg/filters).

All terms of one filter must hold; of several filters one is enough; none lets everything pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.patterns import lazy_pattern

if TYPE_CHECKING:
    from croze.gotypes.regexp import Regexp

Fields = Mapping[str, str | None]
"""What something shows to filters: a field is present if its value is not None. Of deeper fields
(`labels.a.b`) only their first name counts, unless they are there in full."""

_SPACE = lazy_pattern(r"\s*")
_FIELD = lazy_pattern(r"[A-Za-z0-9_]+")
_OPERATOR = lazy_pattern(r"[=!~]+")
_VALUE = lazy_pattern(r"[^\s,./|\"=!~][^\s,]*")
_QUOTED = lazy_pattern(r'"((?:[^"\\\n]|\\.)*)"|/((?:[^/\\\n]|\\.)*)/|\|((?:[^|\\\n]|\\.)*)\|')
_QUOTES = ('"', "/", "|")
_ESCAPE = lazy_pattern(
    r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


class Term(Struct, frozen=True):
    """One condition. An empty operator asks for presence alone."""

    field: str
    operator: str = ""
    value: str = ""
    path: str = ""
    """The whole of a deeper field."""

    def matches(self, fields: Fields) -> bool:
        """Whether the condition holds. An absent field is like an empty one, but never equal."""
        value = fields.get(self.path, fields.get(self.field))
        if self.operator == "==":
            return value == self.value
        if self.operator == "!=":
            return (value or "") != self.value
        if self.operator == "~=":
            return self._searches(value or "")
        return value is not None

    def _searches(self, text: str) -> bool:
        from croze.gotypes.regexp import BadExpression

        try:
            return _expression(self.value).search(text)
        except BadExpression:
            return False


@lru_cache(maxsize=16)
def _expression(text: str) -> Regexp:
    from croze.gotypes.regexp import Regexp

    return Regexp(text)


def parse(filters: Sequence[str]) -> Callable[[Fields], bool]:
    """One predicate for all filters. Raises `InvalidRequest` pointing at what is wrong."""
    alternatives = [_Parser(text).terms() for text in filters]

    def matches(fields: Fields) -> bool:
        return not alternatives or any(
            all(term.matches(fields) for term in terms) for terms in alternatives
        )

    return matches


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def terms(self) -> list[Term]:
        if not self._text:
            return []
        terms = [self._term()]
        while following := self._following():
            if following != ",":
                raise self._error(f"unexpected input: {following}")
            self._at += 1
            terms.append(self._term())
        return terms

    def _following(self) -> str:
        """The next character; a space, too: none may be where a term ends."""
        return self._text[self._at : self._at + 1]

    def _pass_space(self) -> None:
        """Go on to the next word, where errors are said to be."""
        if space := _SPACE.match(self._text, self._at):
            self._at = space.end()

    def _term(self) -> Term:
        field = path = self._field()
        while self._following() == ".":
            self._at += 1
            path += f".{self._field()}"
        if self._following() in ("", ","):
            return Term(field, path=path)
        self._pass_space()
        at = self._at
        operator = self._take(_OPERATOR)
        if operator is None:
            raise self._error('expected an operator ("=="|"!="|"~=")')
        if operator not in ("==", "!=", "~="):
            self._at = at
            raise self._error(f'unsupported operator "{operator}"')
        return Term(field, operator, self._value(any_quotes=operator == "~="), path)

    def _field(self) -> str:
        self._pass_space()
        if (quoted := self._quoted(any_quotes=False)) is not None:
            return quoted
        if (name := self._take(_FIELD)) is None:
            raise self._error(self._unread("expected field or quoted"))
        return name

    def _value(self, *, any_quotes: bool) -> str:
        self._pass_space()
        if (quoted := self._quoted(any_quotes=any_quotes)) is not None:
            return quoted
        if (value := self._take(_VALUE)) is None:
            raise self._error(self._unread("expected value or quoted"))
        return value

    def _unread(self, expected: str) -> str:
        """Why there is neither a word nor what is between quotes."""
        return "quoted literal not terminated" if self._following() in _QUOTES else expected

    def _quoted(self, *, any_quotes: bool) -> str | None:
        at = self._at
        if (quoted := self._take(_QUOTED)) is None:
            return None
        if quoted[0] != '"' and not any_quotes:
            self._at = at
            raise self._error("invalid quote encountered")
        return _ESCAPE.sub(lambda m: self._unescape(m, quoted[0]), quoted[1:-1])

    def _unescape(self, match: re.Match[str], quote: str) -> str:
        octal, two, four, eight, simple = match.groups()
        if octal:
            return chr(int(octal, 8))
        if digits := two or four or eight:
            return chr(int(digits, 16))
        if simple == quote:
            return quote
        if simple not in _SIMPLE:
            raise self._error("illegal escape sequence")
        return _SIMPLE[simple]

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        if (match := pattern.match(self._text, self._at)) is None:
            return None
        self._at = match.end()
        return match.group()

    def _error(self, message: str) -> InvalidRequest:
        text, at = self._text, self._at
        where = text
        if at < len(text):
            where = f"{text[:at]} >|{text[at]}|< {text[at + 1 :]}"
        return InvalidRequest(f"filters: parse error: [{where}]: {message}: invalid argument")
