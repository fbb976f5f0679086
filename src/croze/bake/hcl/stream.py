"""A token stream with one token of look-ahead, and ways to get back on track after an error."""

from __future__ import annotations

from typing import NoReturn

from croze.bake.hcl import tokens as t
from croze.bake.hcl.source import Diagnostic, HclError, SourceRange
from croze.bake.hcl.tokens import HclToken

# Each level costs the interpreter a handful of frames; nobody writes this deep by hand.
_DEEPEST = 80
_SKIPPED = frozenset({t.COMMENT, t.NEWLINE})
_OPENING = frozenset({"{", "[", "(", t.OPEN_QUOTE, t.OPEN_HEREDOC, t.INTERPOLATION, t.CONTROL})
_CLOSING = frozenset({"}", "]", ")", t.CLOSE_QUOTE, t.CLOSE_HEREDOC})


class TokenStream:
    """What every part of the parser reads from. Comments are never seen; newlines where they
    matter.

    `recovering` is set once an error left the stream in an unclear place: from then on, problems
    that may only follow from that are not told.
    """

    def __init__(self, tokens: list[HclToken], problems: list[Diagnostic]) -> None:
        self.tokens = tokens
        self.problems = problems
        self.index = 0
        self.recovering = False
        self._newlines = [True]
        self._depth = 0
        self.ahead = tokens[-1]
        """The token that `read` returns next."""
        self._next_index = 0
        self._look()

    def error(self, summary: str, detail: str, subject: SourceRange) -> None:
        self.problems.append(Diagnostic(summary, detail, subject))

    def lost(self, mark: int) -> bool:
        """Whether there were errors since `mark` (a length of `problems`) that the stream must
        recover from."""
        return self.recovering and len(self.problems) > mark

    def descend(self) -> None:
        """Count a level of nesting, to be left with `ascend`; HclError if there are too many."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self.too_deep()

    def too_deep(self) -> NoReturn:
        """Give up on the whole text."""
        detail = f"Expressions can be nested at most {_DEEPEST} levels deep."
        self.error("Expression nested too deeply", detail, self.ahead.range)
        raise HclError(self.problems)

    def ascend(self) -> None:
        self._depth -= 1

    def read(self) -> HclToken:
        token = self.ahead
        self.index = at = self._next_index
        if at < len(self.tokens) and (following := self.tokens[at]).kind not in _SKIPPED:
            self.ahead = following
            self._next_index = at + 1
        else:
            self._look()
        return token

    def _look(self) -> None:
        """Find the token that is next from here."""
        tokens, newlines = self.tokens, self._newlines[-1]
        for at in range(self.index, len(tokens)):
            token = tokens[at]
            kind = token.kind
            if kind == t.COMMENT:
                if not (newlines and token.text.endswith("\n")):
                    continue
                token = token.as_newline()
            elif kind == t.NEWLINE and not newlines:
                continue
            self.ahead, self._next_index = token, at + 1
            return
        self.ahead, self._next_index = tokens[-1], len(tokens)

    def previous_range(self) -> SourceRange:
        return self.tokens[self.index - 1].range if self.index else self.ahead.range

    def push_newlines(self, matter: bool) -> None:
        """Have newlines be tokens, or not, until `pop_newlines`."""
        self._newlines.append(matter)
        self._look()

    def pop_newlines(self) -> None:
        self._newlines.pop()
        self._look()

    def recover(self, end: str) -> HclToken:
        """Skip to behind the next `end` that closes what is open here; returns it, or the end of
        file."""
        self.recovering = True
        start = t.OPPOSITE.get(end, t.NOTHING)
        nested = 0
        while True:
            token = self.read()
            kind = token.kind
            if end == t.SEQUENCE_END and kind == t.CONTROL:
                kind = t.INTERPOLATION
            if kind == start:
                nested += 1
            elif kind == end:
                if not nested:
                    return token
                nested -= 1
            elif kind == t.EOF:
                return token

    def recover_over(self, start: str) -> None:
        """Skip to behind the next thing that `start` opens."""
        while self.read().kind not in (start, t.EOF):
            pass
        self.recover(t.OPPOSITE[start])

    def recover_after_item(self) -> None:
        """Skip to behind the line that ends an attribute or block."""
        self.recovering = True
        opened: list[str] = []
        while True:
            kind = self.read().kind
            if kind == t.EOF or (kind == t.NEWLINE and not opened):
                return
            if kind in _OPENING:
                opened.append(kind)
            elif kind in _CLOSING:
                _close(opened, (t.OPPOSITE[kind],))
            elif kind == t.SEQUENCE_END:
                _close(opened, (t.INTERPOLATION, t.CONTROL))


def _close(opened: list[str], openers: tuple[str, ...]) -> None:
    while opened and opened[-1] not in openers:
        opened.pop()
    if opened:
        opened.pop()
