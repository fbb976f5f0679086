"""Go's `path.Match` patterns: `*`, `?` (never a slash), `[a-z]`, `[^a]`, and backslash escapes.

A pattern is cut at its stars into *chunks*, in which each piece takes one character. As Go does it,
the first place where a chunk fits is final, so the time to match is at most the length of the name
times that of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from croze.errors import InvalidRequest
from croze.patterns import lazy_pattern


class BadPattern(InvalidRequest):
    """The pattern is malformed."""

    def __init__(self, message: str = "syntax error in pattern") -> None:
        super().__init__(message)


def match(pattern: str, name: str) -> bool:
    """Whether the whole of `name` matches. Raises BadPattern."""
    return compile_glob(pattern).matches(name)


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> Glob:
    """The compiled pattern; equal ones are kept. Raises BadPattern."""
    return Glob(pattern)


def fits_so_far(pattern: str, name: str) -> bool:
    """Like `match`, but what is wrong behind the first chunk that doesn't fit goes unnoticed, as
    with Go's `filepath.Match`. Raises BadPattern."""
    chunks = list(_chunks(pattern))
    at = 0
    for number, (star, text) in enumerate(chunks):
        placed = _Chunk(star, text).place(name, at, last=number + 1 == len(chunks))
        if placed is None:
            return False
        at = placed
    return at == len(name)


class Glob:
    """A compiled pattern. Raises BadPattern."""

    __slots__ = ("_chunks",)

    def __init__(self, pattern: str) -> None:
        self._chunks = [_Chunk(star, text) for star, text in _chunks(pattern)]

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` matches."""
        at = 0
        last = self._chunks[-1] if self._chunks else None
        for chunk in self._chunks:
            placed = chunk.place(name, at, last=chunk is last)
            if placed is None:
                return False
            at = placed
        return at == len(name)


class _Chunk:
    """A piece of a pattern with no star in it, and whether there is one in front."""

    __slots__ = ("_expression", "_length", "_star")

    def __init__(self, star: bool, text: str) -> None:
        pieces = list(_pieces(text))
        self._star = star
        self._length = len(pieces)
        self._expression = re.compile("".join(pieces), re.DOTALL)

    def place(self, name: str, at: int, *, last: bool) -> int | None:
        """Where the chunk ends if it begins at `at`, or after what a star may skip."""
        begin, slash = at, name.find("/", at)
        if self._star:
            furthest = len(name) if slash < 0 else slash
            if last:
                begin = max(at, len(name) - self._length)
                return len(name) if begin <= furthest and self._fits(name, begin) else None
            match = self._expression.search(name, at, furthest + self._length)
            return match.end() if match else None
        end = begin + self._length
        if last and end != len(name):
            return None
        return end if self._fits(name, begin) else None

    def _fits(self, name: str, begin: int) -> bool:
        return self._expression.match(name, begin) is not None


def _chunks(pattern: str) -> Iterator[tuple[bool, str]]:
    """Each chunk, and whether a star is in front of it."""
    at = 0
    while at < len(pattern):
        start = at
        while pattern[at : at + 1] == "*":
            at += 1
        end = _chunk_end(pattern, at)
        yield at > start, pattern[at:end]
        at = end


def _chunk_end(pattern: str, at: int) -> int:
    """The place of the next star outside a class."""
    inside = False
    while at < len(pattern):
        char = pattern[at]
        if char == "*" and not inside:
            break
        inside = char == "[" or (inside and char != "]")
        at += 2 if char == "\\" else 1
    return min(at, len(pattern))


def _pieces(chunk: str) -> Iterator[str]:
    """A regular expression for each character that a chunk takes."""
    i = 0
    while i < len(chunk):
        char = chunk[i]
        i += 1
        if char == "?":
            yield "[^/]"
        elif char == "[":
            text, i = _char_class(chunk, i)
            yield text
        elif char == "\\":
            literal, i = _class_char(chunk, i - 1, closing=False)
            yield re.escape(literal)
        else:
            yield re.escape(char)


def _char_class(pattern: str, i: int) -> tuple[str, int]:
    """The regular expression for the class whose `[` is just before `i`, and where it ends."""
    negated = pattern[i : i + 1] == "^"
    i += negated
    ranges: list[str] = []
    while not (ranges and pattern[i : i + 1] == "]"):
        low, i = _class_char(pattern, i, closing=True)
        high = low
        if pattern[i] == "-":
            high, i = _class_char(pattern, i + 1, closing=True)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    body = "".join(ranges)
    if not body:
        return (r"[\s\S]" if negated else r"(?!)"), i + 1
    return f"[{'^' if negated else ''}{body}]", i + 1


def _class_char(pattern: str, i: int, *, closing: bool) -> tuple[str, int]:
    """One possibly escaped character. In a class something must follow it."""
    if i >= len(pattern) or (closing and pattern[i] in "-]"):
        raise BadPattern
    if pattern[i] == "\\":
        i += 1
        if i >= len(pattern):
            raise BadPattern
    if closing and i + 1 >= len(pattern):
        raise BadPattern
    return pattern[i], i + 1


_ESCAPED = lazy_pattern(r"\\.", re.DOTALL)
_WILDCARD = lazy_pattern(r"[*?\[]")


def has_wildcards(text: str) -> bool:
    """Whether a wildcard character is there that no backslash hides."""
    return _WILDCARD.search(_ESCAPED.sub("", text)) is not None
