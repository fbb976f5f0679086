"""Go's regular expressions, which never backtrack: for every pattern that a client sends.

Go's `regexp` and RE2 are one language and one way of matching: the time is the length of the text
times the size of the expression, whatever either of them is. Python's `re` may take for ever.

What isn't UTF-8 is, in text and expression, U+FFFD, a character for each byte: as Go decodes it.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final

import re2

from croze.errors import InvalidRequest
from croze.patterns import lazy_pattern

_MEMORY_BYTES: Final = 8 << 20
"""How much memory an expression takes: its program, at most 130,000 steps, and the states that it
remembers."""
_MOST_COPIES: Final = 2000
"""What all `{n}` of an expression may come to. To make the program takes RE2 the square of it."""
_MOST_LARGE_CLASSES: Final = 200
_LARGE_CLASS = lazy_pattern(r"\\[pP]")
"""Unicode's large classes; each is hundreds of ranges."""
_COUNT = lazy_pattern(r"\{(\d{1,9})(?:,(\d{0,9}))?\}", re.ASCII)
_RUNES: Final = "croze-runes"


def _unreadable(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    return b"\xef\xbf\xbd" * (error.end - error.start), error.end


codecs.register_error(_RUNES, _unreadable)


class BadExpression(InvalidRequest):
    """A pattern that is no expression of RE2's, or too large a one."""


class Match:
    """A match: its groups by number or name, 0 for all of it."""

    __slots__ = ("_match",)

    def __init__(self, match: object) -> None:
        self._match = match

    def __getitem__(self, group: int | str) -> str:
        """Empty for a group that is not there or took no part."""
        key = group.encode() if isinstance(group, str) else group
        try:
            data: bytes | None = self._match[key]  # type: ignore[index]
        except (IndexError, KeyError):
            return ""
        return (data or b"").decode()


class Regexp:
    """A compiled expression. Raises `BadExpression`."""

    __slots__ = ("_compiled",)

    def __init__(self, text: str) -> None:
        copies = sum(int(most or least) for least, most in _COUNT.findall(text))
        if copies > _MOST_COPIES or len(_LARGE_CLASS.findall(text)) > _MOST_LARGE_CLASSES:
            raise BadExpression(f"error parsing regexp: expression too large: `{text[:100]}`")
        options = re2.Options()
        options.max_mem = _MEMORY_BYTES
        options.log_errors = False
        try:
            self._compiled = re2.compile(_encode(text), options)
        except re2.error as error:
            raise BadExpression(_message(error)) from None
        finally:
            re2.purge()  # it would keep the last 128 expressions, each with its memory

    def search(self, text: str) -> bool:
        """Whether it matches somewhere in `text`."""
        return self._compiled.search(_encode(text)) is not None

    def span(self, text: str) -> tuple[int, int] | None:
        """Where the leftmost match begins and ends, in characters."""
        data = _encode(text)
        match = self._compiled.search(data)
        if match is None:
            return None
        begin, end = match.span()
        return len(data[:begin].decode()), len(data[:end].decode())

    def fullmatch(self, text: str) -> Match | None:
        match = self._compiled.fullmatch(_encode(text))
        return Match(match) if match is not None else None

    def find_all(self, text: str, most: int = -1) -> list[list[str]]:
        """All matches, or the first few: each with its groups, the whole of it first."""
        matches = itertools.islice(self._matches(_encode(text)), most if most >= 0 else None)
        return [
            [(group or b"").decode() for group in (match[0], *match.groups())] for match in matches
        ]

    def split(self, text: str) -> list[str]:
        """What stands between the matches. An empty match at either end divides nothing."""
        data = _encode(text)
        out, last = [], 0
        for match in self._matches(data):
            begin, end = match.span()
            if data and end == 0:
                continue
            out.append(data[last:begin].decode())
            last = end
            if begin == end == len(data):
                return out
        return [*out, data[last:].decode()]

    def replace(self, text: str, make: Callable[[Match], str]) -> str:
        """The text with what `make` gives for each match in its place. An empty match right behind
        another one doesn't count."""
        return b"".join(self._pieces(_encode(text), make)).decode()

    def _pieces(self, data: bytes, make: Callable[[Match], str]) -> Iterator[bytes]:
        last = 0
        for match in self._matches(data):
            begin, end = match.span()
            yield data[last:begin]
            yield _encode(make(Match(match)))
            last = end
        yield data[last:]

    def _matches(self, data: bytes) -> Iterator[re.Match[bytes]]:
        """Right behind a match there is no empty one."""
        last = 0
        for match in self._compiled.finditer(data):
            begin, end = match.span()
            if begin == end == last and last > 0:
                continue
            yield match
            last = end


def _encode(text: str) -> bytes:
    return text.encode("utf-8", _RUNES)


_GO_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
    "pattern too large - compile failed": "expression too large",
}


def _message(error: Exception) -> str:
    """Go's words for what RE2 says."""
    reason = error.args[0] if error.args else b""
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    problem, _, place = text.partition(": ")
    return f"error parsing regexp: {_GO_WORDS.get(problem, problem)}: `{place}`"
