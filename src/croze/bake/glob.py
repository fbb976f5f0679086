"""Names by pattern, as Go's path.Match has it: `*`, `?`, `[a-z]`, `[^a]` and `\\`."""

from __future__ import annotations

from msgspec import Struct


class BadPatternError(ValueError):
    """The pattern is malformed."""

    def __init__(self) -> None:
        super().__init__("syntax error in pattern")


class _One(Struct, frozen=True):
    """One character of a pattern: which characters it stands for."""

    any: bool
    negated: bool = False
    ranges: tuple[tuple[str, str], ...] = ()

    def matches(self, char: str) -> bool:
        if self.any:
            return char != "/"
        return any(low <= char <= high for low, high in self.ranges) != self.negated


_NOTHING = _One(False)
_Pattern = list[_One | None]
"""None stands for a star."""


def compile_pattern(text: str) -> _Pattern:
    pattern: _Pattern = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "*":
            if not (pattern and pattern[-1] is None):
                pattern.append(None)
            at += 1
        elif char == "?":
            pattern.append(_One(True))
            at += 1
        elif char == "[":
            one, at = _class(text, at + 1)
            pattern.append(one)
        else:
            char, at = _char(text, at)
            pattern.append(_One(False, ranges=((char, char),)))
    return pattern


def _char(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] == "\\":
        at += 1
    if at >= len(text):
        raise BadPatternError
    return text[at], at + 1


def _class(text: str, at: int) -> tuple[_One, int]:
    negated = text[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while True:
        if text[at : at + 1] == "]" and ranges:
            return _One(False, negated, tuple(ranges)), at + 1
        if text[at : at + 1] in ("", "-", "]"):
            raise BadPatternError
        low, at = _char(text, at)
        high = low
        if text[at : at + 1] == "-":
            if text[at + 1 : at + 2] in ("", "-", "]"):
                raise BadPatternError
            high, at = _char(text, at + 1)
        ranges.append((low, high))


def matches(pattern: _Pattern, name: str) -> bool:
    """Whether the whole name fits. Goes back to the last star only, so time is bounded."""
    at, i, star, resume = 0, 0, -1, 0
    while at < len(name):
        one = pattern[i] if i < len(pattern) else _NOTHING
        if one is None:
            star, resume = i, at
            i += 1
        elif one.matches(name[at]):
            at += 1
            i += 1
        elif star >= 0 and name[resume] != "/":
            resume += 1
            at, i = resume, star + 1
        else:
            return False
    return all(one is None for one in pattern[i:])


def has_wildcard(text: str) -> bool:
    return any(char in text for char in "*?[]")
