"""`(did you mean ...?)`: the nearest of some known names, by edit distance."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_MAX_DISTANCE = 3
"""A name must be nearer than this."""


class Comparisons:
    """How much names may be compared for one build, in letters. Whoever has thousands of unknown
    names and thousands of known ones does without the last suggestions."""

    def __init__(self, letters: int = 200_000) -> None:
        self._left = letters

    def suggest(self, value: str, options: Collection[str]) -> str:
        """See `suggest`; upper and lower case differ."""
        if self._left <= 0:
            return ""
        self._left -= sum(map(len, options))
        return suggest(value, options, case_sensitive=True)


def suggest(value: str, options: Iterable[str], *, case_sensitive: bool) -> str:
    """The nearest option, or empty if none is near or one is equal. Of equally near ones the first
    is taken."""
    word = value if case_sensitive else value.lower()
    best, best_distance = "", _MAX_DISTANCE
    for option in options:
        option = option if case_sensitive else option.lower()
        if option == word:
            return ""
        distance = _distance(word, option, best_distance)
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
    """The message, with ` (did you mean NAME?)` where there is a near name."""
    suggestion = suggest(value, options, case_sensitive=case_sensitive)
    return f"{message} (did you mean {suggestion}?)" if suggestion else message


def _match_case(text: str, like: str) -> str:
    if like == like.lower():
        return text.lower()
    if like == like.upper():
        return text.upper()
    return text


def _distance(a: str, b: str, limit: int) -> int:
    """Levenshtein distance; `limit` where it is not less. Only what lies so near to the diagonal
    of the table that it can be less is computed."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    row = [min(j, limit) for j in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        first, last = max(1, i - limit + 1), min(len(b), i + limit - 1)
        previous, row[first - 1] = row[first - 1], min(i, limit) if first == 1 else limit
        for j in range(first, last + 1):
            cost = min(row[j] + 1, row[j - 1] + 1, previous + (x != b[j - 1]), limit)
            previous, row[j] = row[j], cost
        if min(row[first - 1 : last + 1]) >= limit:
            return limit
    return row[-1]
