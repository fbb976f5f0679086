"""`(did you mean ...?)`: the nearest of some known names, by edit distance."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_DISTANCE = 3
"""A name must be nearer than this."""


def suggest(value: str, options: Iterable[str], *, case_sensitive: bool) -> str:
    """The nearest option, or empty if none is near or one is equal. Of equally near ones the first
    is taken."""
    wanted = value if case_sensitive else value.lower()
    best, best_distance = "", _MAX_DISTANCE
    for option in options:
        option = option if case_sensitive else option.lower()
        if option == wanted:
            return ""
        distance = _distance(wanted, option, best_distance)
        if distance < best_distance:
            best, best_distance = option, distance
    return best if case_sensitive else _match_case(best, value)


def likely_first(options: Iterable[str], value: str) -> list[str]:
    """Options without an order of their own: those with the same first letter lead."""
    first = value[:1].lower()
    return sorted(options, key=lambda option: (not option.lower().startswith(first), option))


def with_suggestion(
    message: str, value: str, options: Iterable[str], *, case_sensitive: bool
) -> str:
    """`message`, with ` (did you mean NAME?)` where there is a near name."""
    found = suggest(value, options, case_sensitive=case_sensitive)
    return f"{message} (did you mean {found}?)" if found else message


def _match_case(text: str, like: str) -> str:
    if like == like.lower():
        return text.lower()
    if like == like.upper():
        return text.upper()
    return text


def _distance(a: str, b: str, limit: int) -> int:
    """Levenshtein distance; any number >= limit once it can't be less."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
