"""A place among the words of a module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from croze.rego.errors import PARSE, Location, Problem
from croze.rego.parse.lexer import RegoToken

MAX_DEPTH = 150
"""How deep terms may be within terms."""


TOO_DEEP = "max recursion depth exceeded"


class Cursor:
    def __init__(self, words: Sequence[RegoToken]) -> None:
        self._words = words
        self._pos = 0
        self._depth = 0

    @property
    def token(self) -> RegoToken:
        return self._words[self._pos]

    @property
    def last(self) -> RegoToken:
        """The word before the present one."""
        return self._words[max(0, self._pos - 1)]

    def advance(self) -> RegoToken:
        token = self.token
        if token.kind != "end":
            self._pos += 1
        return token

    def at_keyword(self, *words: str) -> bool:
        return self.token.kind == "keyword" and self.token.text in words

    def take(self, kind: str) -> RegoToken | None:
        """Pass over the word and return it, if it is of this kind."""
        return self.advance() if self.token.kind == kind else None

    def take_keyword(self, word: str) -> bool:
        if not self.at_keyword(word):
            return False
        self.advance()
        return True

    def touches(self) -> bool:
        """Whether no space stands between the last word and this one."""
        return self.token.begin == self.last.end

    def same_row(self) -> bool:
        return self.token.at.row == self.last.at.row

    def mark(self) -> int:
        """The place, to come back to."""
        return self._pos

    def back_to(self, mark: int) -> None:
        self._pos = mark

    def need(self, kind: str, what: str) -> RegoToken:
        token = self.take(kind)
        if token is None:
            raise self.unexpected(what)
        return token

    def unexpected(self, what: str = "") -> Problem:
        """The problem that what stands here can't stand here."""
        token = self.token
        if token.kind == "end":
            shown = "eof token"
        elif token.kind == "keyword":
            shown = f"{token.text} keyword"
        else:
            shown = f"{_NAMES.get(token.kind, token.kind)} token"
        message = f"unexpected {shown}{': ' if what else ''}{what}"
        return Problem(PARSE, message, token.at, excerpt=True)

    def fail(self, message: str, at: Location | None = None, *, excerpt: bool = False) -> Problem:
        return Problem(PARSE, message, at or self.token.at, excerpt=excerpt)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.fail(TOO_DEEP)
        try:
            yield
        finally:
            self._depth -= 1


_NAMES = {":=": "assign", "name": "identifier", "==": "equal", "=": "unify", "!=": "neq"}
